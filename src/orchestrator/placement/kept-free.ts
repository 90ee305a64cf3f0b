// Nobody starves: a session that needs much room of one VM would wait for ever where seats free one by one and smaller
// ones take them.
//
// A session is overtaken when another gets a seat on a VM that would have carried it, had it had more room. After 30 s of
// that a VM is kept free for it: of those that would carry it the one with the fewest units in use. Nobody else is
// placed there, and another one is chosen only when it has fewer, so what is in the way only gets less, and the wait ends
// with sessions that were there before. Of those that could use the same VM one has it at a time, who was overtaken first:
// the price is at most one VM's free seats (as backfilling schedulers reserve for the first job in line: EASY, Lifka 1995).
import { takesSessions } from "../vm/lifecycle.js";
import type { Demand } from "./demand.js";
import type { FleetVm } from "./fleet.js";
import { misfit } from "./place.js";
import type { WaitingSession } from "./waiting.js";

export const overtakenMsMax = 30_000;

/** The VMs kept free, by the session they are kept for. */
export function keptFree<V extends FleetVm>(
  vms: readonly V[],
  waiting: readonly WaitingSession[],
  nowMs: number,
): Map<string, V> {
  const kept = new Map<string, V>();
  const starving = waiting
    .filter(({ overtakenAtMs }) => overtakenAtMs !== null && nowMs - overtakenAtMs >= overtakenMsMax)
    .sort((a, b) => a.overtakenAtMs! - b.overtakenAtMs!);
  for (const { sessionId, demand } of starving) {
    const carries = (vm: V) => misfit(vm, demand) === null;
    if ([...kept.values()].some(carries)) continue;
    const able = vms.filter((vm) => takesSessions(vm.status) && vm.reachable && carries(vm));
    const [emptiest] = able.sort((a, b) => a.usedUnits - b.usedUnits || (a.vmId < b.vmId ? -1 : 1));
    if (emptiest !== undefined) kept.set(sessionId, emptiest);
  }
  return kept;
}

/** Notes, during a pass, who is overtaken. */
export class Overtaking {
  readonly #behind = new Map<Demand, string[]>();
  readonly overtaken: string[] = [];

  passedOver({ sessionId, demand, overtakenAtMs }: WaitingSession): void {
    if (overtakenAtMs !== null) return;
    const sessions = this.#behind.get(demand);
    if (sessions === undefined) this.#behind.set(demand, [sessionId]);
    else sessions.push(sessionId);
  }

  seated(vm: FleetVm): void {
    for (const [demand, sessions] of this.#behind) {
      if (misfit(vm, demand) !== null) continue;
      this.overtaken.push(...sessions);
      this.#behind.delete(demand);
    }
  }
}
