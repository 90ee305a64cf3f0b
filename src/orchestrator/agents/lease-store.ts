// The agents' leases, renewed by their heartbeats; the answer is what must be running there now.
//
// All heartbeats that arrive during one commit are renewed by the next, in one statement (group commit): 100,000 VMs
// beat every 5 s. A heartbeat of another epoch, or for a VM that was given up, renews nothing and is fenced. That a
// lease has run out is for the reconciler to see: a silent VM is unreachable first, and given up after a grace.
import type { SeatSpec, VmStatus } from "../../contracts/orchestrator.js";
import type { Clock } from "../../platform/clock.js";
import type { Database } from "../../platform/database.js";
import { Counter, type Registry } from "../../platform/metrics.js";
import { appendEvents } from "../events/outbox-store.js";
import { GroupCommit } from "../placement/group-commit.js";
import { noSuchVm } from "../vm/vm-rows-store.js";
import { fenced, isOver } from "./enrolment-store.js";

export interface Heartbeat {
  readonly vmId: string;
  readonly epoch: number;
}

export interface DesiredState {
  readonly status: VmStatus;
  readonly seats: SeatSpec[];
}

interface LeaseRow {
  /** Null, with all the rest: there is no such VM. */
  readonly status: VmStatus | null;
  readonly epoch: number;
  readonly returned: boolean;
  readonly seats: SeatSpec[] | null;
}

const groupLimits = { itemsPerBatchMax: 2_000, batchesInFlightMax: 1, waitingItemsMax: 200_000 } as const;

export class LeaseStore {
  readonly #group: GroupCommit<Heartbeat, LeaseRow>;
  readonly #beats: Counter;
  readonly #batches: Counter;

  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
    registry: Registry,
  ) {
    this.#group = new GroupCommit((beats) => this.#renew(beats), groupLimits);
    const registers = [registry];
    this.#beats = new Counter({ name: "hotseat_heartbeats_total", help: "Heartbeats of agents", registers });
    this.#batches = new Counter({
      name: "hotseat_heartbeat_commits_total",
      help: "Commits that the heartbeats took together",
      registers,
    });
  }

  /** @throws Problem not-found, agent-fenced */
  async renew(beat: Heartbeat): Promise<DesiredState> {
    const { status, epoch, seats } = await this.#group.push(beat);
    if (status === null) throw noSuchVm(beat.vmId);
    if (epoch !== beat.epoch || isOver(status)) throw fenced(beat.vmId, status);
    return { status, seats: seats ?? [] };
  }

  async #renew(beats: readonly Heartbeat[]): Promise<readonly LeaseRow[]> {
    const rows = await this.db.query<LeaseRow>(
      {
        name: "leases-renew",
        text: `
          with beat as materialized (
            select vm_id, epoch, ord from unnest($1::text[], $2::integer[]) with ordinality as b (vm_id, epoch, ord)
          ), held as materialized ( -- in id order, as everywhere
            select v.vm_id, v.epoch, v.status, v.reachable from orchestrator.vms v
             where v.vm_id = any($1::text[]) order by v.vm_id for no key update
          ), heard as (
            select distinct h.vm_id, h.reachable from held h join beat b using (vm_id, epoch)
             where h.status not in ('TEMPLATE', 'ERROR', 'TERMINATED')
          ), renewed as (
            update orchestrator.vms v
               set heard_at = $3, reachable = true, version = v.version + (not h.reachable)::integer
              from heard h where v.vm_id = h.vm_id
          )
          select h.status, h.epoch, not coalesce(h.reachable, true) as returned,
                 (select jsonb_agg(p.spec order by p.assigned_at, p.session_id)
                    from orchestrator.placements p where p.vm_id = b.vm_id) as seats
            from beat b left join held h using (vm_id) order by b.ord`,
      },
      [beats.map(({ vmId }) => vmId), beats.map(({ epoch }) => epoch), new Date(this.clock.now())],
    );
    this.#beats.inc(beats.length);
    this.#batches.inc();
    const tellsNews = rows.some(({ returned, epoch }, i) => returned && epoch === beats[i]!.epoch);
    if (tellsNews) await appendEvents(this.db, [], new Date(this.clock.now()), ["waiting"]);
    return rows;
  }
}
