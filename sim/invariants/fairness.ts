// No tenant starves: whoever waits is overtaken by another tenant's later requests a few times at most before its own
// tenant is served, on VMs that it could have had as well and would have filled no more than they did.
//
// The queue's rule (placement/turns.ts) says one, two where a round ends; requests that needed less room than the one
// who waits do not count here, since what it needs may not have been there.
import { misfit } from "../../src/orchestrator/placement/place.js";
import { unitsFor } from "../../src/orchestrator/placement/seats.js";
import { type MemoryTables, type PlacementRow, sessionsMaxOf } from "../memory/tables.js";
import type { Stage } from "../stage.js";

/** A replica may place on what it read a moment ago, and so may others at once. */
const overtakenMax = 5;

export class FairnessRules {
  /** By session that waits, then by tenant: how often it was overtaken. */
  readonly #overtaken = new Map<string, Map<string, number>>();

  constructor(
    private readonly stage: Stage,
    private readonly tables: MemoryTables,
  ) {}

  seated(served: PlacementRow): void {
    const { vm } = served.seat!;
    this.#overtaken.delete(served.sessionId);
    const candidate = { ...vm, sessionsMax: sessionsMaxOf(vm) };
    for (const waiting of this.tables.queue) {
      if (waiting.tenant === served.tenant) this.#overtaken.delete(waiting.sessionId);
      else if (
        waiting.ticket < served.ticket &&
        !served.again &&
        waiting.demand.policy === "soonest" &&
        misfit(candidate, waiting.demand) === null &&
        unitsFor(candidate, waiting.demand.preset) <= unitsFor(candidate, served.demand.preset)
      )
        this.#count(waiting, served);
    }
  }

  left(sessionId: string): void {
    this.#overtaken.delete(sessionId);
  }

  #count({ sessionId, tenant }: PlacementRow, served: PlacementRow): void {
    const by = this.#overtaken.get(sessionId) ?? new Map<string, number>();
    this.#overtaken.set(sessionId, by);
    const times = (by.get(served.tenant) ?? 0) + 1;
    by.set(served.tenant, times);
    if (times > overtakenMax)
      this.stage.break("no tenant starves", `${sessionId} of ${tenant} was overtaken by ${times} of ${served.tenant}`);
  }
}
