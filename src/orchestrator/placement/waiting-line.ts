// How those who wait stand: places and expected times, planned once for all who ask.
//
// A plan reads the fleet and the queue, and whoever waits is asked about every 2 s: so a plan serves everybody for half a
// second, unless a session is not in it that came since. Those who ask while one is made share it.
import type { Clock } from "../../platform/clock.js";
import type { Placements } from "../store.js";
import type { GrowthRules } from "./growth.js";
import { planWaiting, queuePassMax, type Standing } from "./waiting.js";

const lineMsMax = 500;

interface Line {
  readonly atMs: number;
  readonly standings: ReadonlyMap<string, Standing>;
}

export class WaitingLine {
  #line: Line = { atMs: Number.NEGATIVE_INFINITY, standings: new Map() };
  #next: Promise<Line> | null = null;

  constructor(private readonly deps: { placements: Placements; growth: GrowthRules; clock: Clock }) {}

  /** Null: it does not wait, or very many do before it. */
  async find(sessionId: string): Promise<Standing | null> {
    const fresh = this.deps.clock.now() - this.#line.atMs < lineMsMax;
    const known = fresh ? this.#line.standings.get(sessionId) : undefined;
    if (known !== undefined) return known;
    if (fresh && this.#line.standings.size >= queuePassMax) return null;
    // One that is being made may have read the queue before this session came.
    const shared = await this.#next?.then(({ standings }) => standings.get(sessionId));
    return shared ?? (await this.#plan()).standings.get(sessionId) ?? null;
  }

  #plan(): Promise<Line> {
    this.#next ??= this.#read().finally(() => {
      this.#next = null;
    });
    return this.#next;
  }

  async #read(): Promise<Line> {
    const { placements, growth, clock } = this.deps;
    const atMs = clock.now();
    const [fleet, queue] = [await placements.readFleet(), await placements.readQueue()];
    const { outcomes } = planWaiting({ ...growth, fleet, queue, nowMs: atMs, newVmId: () => "" });
    const standings = new Map(queue.waiting.map(({ sessionId }, i) => [sessionId, outcomes[i]!]));
    this.#line = { atMs, standings };
    return this.#line;
  }
}
