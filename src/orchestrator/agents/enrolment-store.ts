// Which agent speaks for a VM: the one that enrolled, of the launch it was started by (its epoch). Bootstrap tokens are
// kept by their hash alone and are used up by the first to show one.
import type { VmStatus } from "../../contracts/orchestrator.js";
import type { Clock } from "../../platform/clock.js";
import type { Database } from "../../platform/database.js";
import { notEnrolled, tokenRefused } from "../refusals.js";
import type { Enrolments } from "../store.js";
import { noSuchVm } from "../vm/lifecycle.js";
import { fenced, isOver } from "./fencing.js";
import type { AgentKey } from "./proof.js";

interface AgentRow {
  readonly epoch: number;
  readonly status: VmStatus;
  readonly key: AgentKey | null;
}

export class EnrolmentStore implements Enrolments {
  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
  ) {}

  async enrol(vmId: string, bootstrapHash: string, key: AgentKey, claimedEpoch: number | undefined): Promise<number> {
    const enrolled = await this.db.maybeOne<{ epoch: number }>(
      `with enrolled as (
         update orchestrator.vms v
            set agent_key = $3, epoch = launch.epoch, launches = '[]'
           from (select (l->>'epoch')::integer as epoch
                   from orchestrator.vms known, jsonb_array_elements(known.launches) as l
                  where known.vm_id = $1 and l->>'hash' = $2 and (l->>'expiresAt')::timestamptz > $4) launch
          where v.vm_id = $1 and v.agent_key is null and v.status in ('PROVISIONING', 'BOOTING')
         returning v.vm_id, v.epoch
       ), leased as (
         insert into orchestrator.leases (vm_id, heard_at) select vm_id, $4 from enrolled
         on conflict (vm_id) do update set heard_at = excluded.heard_at
       )
       select epoch from enrolled`,
      [vmId, bootstrapHash, key, new Date(this.clock.now())],
    );
    if (enrolled !== null) return enrolled.epoch;
    const agent = await this.#read(vmId);
    const replaced = agent.key !== null && claimedEpoch !== undefined && claimedEpoch !== agent.epoch;
    if (replaced || isOver(agent.status)) throw fenced(vmId, agent.status);
    throw tokenRefused();
  }

  async keyOf(vmId: string, claimedEpoch: number | undefined): Promise<{ key: AgentKey; epoch: number }> {
    const { key, epoch, status } = await this.#read(vmId);
    if (key === null) throw notEnrolled(vmId);
    if ((claimedEpoch !== undefined && claimedEpoch !== epoch) || isOver(status)) throw fenced(vmId, status);
    return { key, epoch };
  }

  async check(vmId: string, epoch: number): Promise<void> {
    const agent = await this.#read(vmId);
    if (agent.epoch !== epoch || isOver(agent.status)) throw fenced(vmId, agent.status);
  }

  async #read(vmId: string): Promise<AgentRow> {
    const row = await this.db.maybeOne<AgentRow>(
      "select epoch, status, agent_key as key from orchestrator.vms where vm_id = $1",
      [vmId],
    );
    if (row === null) throw noSuchVm(vmId);
    return row;
  }
}
