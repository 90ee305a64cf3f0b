// Keeps the fleet in memory (fleet-index.ts) as fresh as the store's news make it.
//
// Every commit that changes a VM tells it. What was told while nobody listened is lost, so the whole fleet is read at the
// start and after each gap. Nothing here needs to be right: a commit looks at
// the VM again, and whoever finds no VM in here goes the way of those who wait, which reads the database.
import type { Log } from "../../platform/log.js";
import type { FleetFeed, FleetNotice, Rank } from "../store.js";
import { FleetIndex } from "./fleet-index.js";

export class LiveFleet implements AsyncDisposable {
  readonly index: FleetIndex;
  #rank: Rank = { index: 0, count: 1 };
  /** VMs heard of since the reading under way began; null: none is. */
  #heard: Set<string> | null = null;
  #reading: Promise<void> | null = null;
  #listening: AsyncDisposable | null = null;

  constructor(
    private readonly feed: FleetFeed,
    private readonly log: Log,
    random: () => number,
  ) {
    this.index = new FleetIndex(random);
  }

  /** Reads the fleet and listens from then on. */
  async open(): Promise<void> {
    await this.#read();
    this.#listening = this.feed.listen((notice) => {
      if (notice.kind === "changed") this.#hear(notice);
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
    const vms = await this.feed.read();
    const there = new Set(vms.map(({ vmId }) => vmId));
    for (const vm of vms) this.index.put(vm);
    for (const vmId of [...this.index.ids()]) if (!there.has(vmId) && !heard.has(vmId)) this.index.forget(vmId);
    if (this.#heard === heard) this.#heard = null;
  }

  #hear({ vms, gone }: Extract<FleetNotice, { kind: "changed" }>): void {
    for (const vmId of [...vms.map((vm) => vm.vmId), ...gone]) this.#heard?.add(vmId);
    for (const vm of vms) this.index.put(vm);
    for (const vmId of gone) this.index.forget(vmId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listening?.[Symbol.asyncDispose]();
    await this.#reading;
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 2_166_136_261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16_777_619);
  return value >>> 0;
}
