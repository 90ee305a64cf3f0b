// Who may join the queue: of each tenant as many as may wait, counting those who do.
//
// The limit is for newcomers. Whoever waits already stays, also more than the limit, where it was lowered or a VM broke;
// and a newcomer that gets a seat in its first pass has not waited. So the pass itself asks, for each newcomer in its
// turn, before anything but a free seat is given to it or made for it.
import type { Quotas } from "../../platform/quotas.js";

export interface Newcomer {
  readonly sessionId: string;
  readonly tenant: string;
}

/** What its tenant has waiting, and may have. */
export interface TurnedAway {
  readonly used: number;
  readonly max: number;
}

export class Admission {
  readonly #newcomers: ReadonlyMap<string, Newcomer>;
  readonly #waiting: Map<string, number>;
  readonly #admitted = new Set<string>();

  /** `waiting`: how many of each tenant wait, newcomers left out. */
  constructor(
    newcomers: readonly Newcomer[],
    waiting: ReadonlyMap<string, number>,
    private readonly quotas: Quotas,
  ) {
    this.#newcomers = new Map(newcomers.map((newcomer) => [newcomer.sessionId, newcomer]));
    this.#waiting = new Map(waiting);
  }

  /** Why it may not wait; null: it may, or does. */
  refusal({ sessionId, tenant }: Newcomer): TurnedAway | null {
    if (!this.#newcomers.has(sessionId) || this.#admitted.has(sessionId)) return null;
    const max = this.quotas.max(tenant, "waiting");
    const used = this.#waiting.get(tenant) ?? 0;
    return max !== null && used >= max ? { used, max } : null;
  }

  /** It waits from now on, if it did not. */
  admit({ sessionId, tenant }: Newcomer): void {
    if (!this.#newcomers.has(sessionId) || this.#admitted.has(sessionId)) return;
    this.#admitted.add(sessionId);
    this.#waiting.set(tenant, (this.#waiting.get(tenant) ?? 0) + 1);
  }

  /**
   * After the pass: newcomers without a seat that may not wait. A seat may have been lost to somebody else since it was
   * planned, and of a very long queue a pass does not look at everybody.
   */
  turnAway(seated: readonly Newcomer[]): Map<string, TurnedAway> {
    const sitting = new Set(seated.map(({ sessionId }) => sessionId));
    const away = new Map<string, TurnedAway>();
    for (const newcomer of this.#newcomers.values()) {
      if (sitting.has(newcomer.sessionId)) continue;
      const refusal = this.refusal(newcomer);
      if (refusal === null) this.admit(newcomer);
      else away.set(newcomer.sessionId, refusal);
    }
    return away;
  }
}

export const nobodyNew = (quotas: Quotas): Admission => new Admission([], new Map(), quotas);
