// The agents' heartbeats, renewed in batches; the answer is what must be running there now.
//
// All heartbeats that arrive during one commit are renewed by the next, in one statement (group commit): 100,000 VMs
// beat every 5 s. A heartbeat names the version of the seats its agent knows, and is told them only if there is a newer
// one. One of another epoch, or for a VM that was given up, renews nothing and is fenced. That a lease has run out is
// for the reconciler to see: a silent VM is unreachable first, and given up after a grace.
import type { SeatSpec, VmStatus } from "../../contracts/orchestrator.js";
import { Counter, type Registry } from "../../platform/metrics.js";
import { type Defer, GroupCommit } from "../placement/group-commit.js";
import type { Heartbeat, LeaseAnswer, Leases } from "../store.js";
import { noSuchVm } from "../vm/lifecycle.js";
import { fenced, isOver } from "./fencing.js";

export interface DesiredState {
  readonly status: VmStatus;
  readonly version: number;
  /** Null: as at the version the heartbeat named. */
  readonly seats: SeatSpec[] | null;
}

const groupLimits = { itemsPerBatchMax: 2_000, batchesInFlightMax: 1, waitingItemsMax: 200_000 } as const;

export class Heartbeats {
  readonly #group: GroupCommit<Heartbeat, LeaseAnswer>;

  constructor({ leases, registry, defer }: { leases: Leases; registry: Registry; defer: Defer }) {
    const registers = [registry];
    const beats = new Counter({ name: "hotseat_heartbeats_total", help: "Heartbeats of agents", registers });
    const batches = new Counter({
      name: "hotseat_heartbeat_commits_total",
      help: "Commits that the heartbeats took together",
      registers,
    });
    const renew = async (batch: readonly Heartbeat[]) => {
      const answers = await leases.renew(batch);
      beats.inc(batch.length);
      batches.inc();
      return answers;
    };
    this.#group = new GroupCommit(renew, groupLimits, defer);
  }

  /** @throws Problem not-found, agent-fenced */
  async renew(beat: Heartbeat): Promise<DesiredState> {
    const { status, epoch, version, seats } = await this.#group.push(beat);
    if (status === null) throw noSuchVm(beat.vmId);
    if (epoch !== beat.epoch || isOver(status)) throw fenced(beat.vmId, status);
    return { status, version, seats };
  }
}
