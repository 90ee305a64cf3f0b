// Keeps the fleet in memory (fleet-index.ts) as fresh as the database's notifications make it.
//
// Every commit that changes a VM tells it (the trigger in 002-group-commit.sql). What was told while nobody listened is
// lost, so the whole fleet is read at the start and after each gap. Nothing here needs to be right: a commit looks at
// the VM again, and whoever finds no VM in here goes the way of those who wait, which reads the database.
import { providerId, regionId, templateId } from "../../contracts/catalog.js";
import { vmStatus } from "../../contracts/orchestrator.js";
import type { Database } from "../../platform/database.js";
import type { Log } from "../../platform/log.js";
import { candidateColumns } from "../vm/vm-rows-store.js";
import { FleetIndex, type KnownVm } from "./fleet-index.js";
import type { Rank } from "./replicas-store.js";

const fleetChannel = "orchestrator_fleet";

export class LiveFleet implements AsyncDisposable {
  readonly index: FleetIndex;
  #rank: Rank = { index: 0, count: 1 };
  /** VMs heard of since the reading under way began; null: none is. */
  #heard: Set<string> | null = null;
  #reading: Promise<void> | null = null;
  #listening: AsyncDisposable | null = null;

  constructor(
    private readonly db: Database,
    private readonly log: Log,
    random: () => number,
  ) {
    this.index = new FleetIndex(random);
  }

  /** Reads the fleet and listens from then on. */
  async open(): Promise<void> {
    await this.#read();
    this.#listening = this.db.listen(fleetChannel, (notice) => {
      if (notice.kind === "notified") this.#hear(notice.payload);
      else
        this.#reading = this.#read().catch((error: unknown) => this.log.warn({ err: error }, "the fleet was not read"));
    });
  }

  /** Prefer this replica's share of the VMs. */
  share(rank: Rank): void {
    if (rank.index === this.#rank.index && rank.count === this.#rank.count) return;
    this.#rank = rank;
    this.index.prefer((vmId) => hash(vmId) % rank.count === rank.index);
  }

  async #read(): Promise<void> {
    const heard = new Set<string>();
    this.#heard = heard;
    const vms = await this.db.query<KnownVm>({
      name: "live-fleet",
      text: `select ${candidateColumns} from orchestrator.vms v where v.status not in ('TEMPLATE', 'TERMINATED')`,
    });
    const there = new Set(vms.map(({ vmId }) => vmId));
    for (const vm of vms) this.index.put(vm);
    for (const vmId of [...this.index.ids()]) if (!there.has(vmId) && !heard.has(vmId)) this.index.forget(vmId);
    if (this.#heard === heard) this.#heard = null;
  }

  /** As the trigger writes it: a line for each VM; of one that is gone only its id. */
  #hear(payload: string): void {
    for (const line of payload.split("\n")) {
      const [vmId = "", ...facts] = line.split("|");
      this.#heard?.add(vmId);
      if (facts.length > 1) this.index.put(parseFacts(vmId, facts));
      else this.index.forget(vmId);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening?.[Symbol.asyncDispose]();
    await this.#reading;
  }
}

function parseFacts(vmId: string, facts: readonly string[]): KnownVm {
  const [region, template, provider, status, version, reachable, usedUnits, sessionsMax] = facts;
  return {
    vmId,
    region: regionId.parse(region),
    templateId: templateId.parse(template),
    provider: providerId.parse(provider),
    status: vmStatus.parse(status),
    version: Number(version),
    reachable: reachable === "1",
    usedUnits: Number(usedUnits),
    sessionsMax: sessionsMax === "-" ? null : Number(sessionsMax),
  };
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 2_166_136_261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16_777_619);
  return value >>> 0;
}
