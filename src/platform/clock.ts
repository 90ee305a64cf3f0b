// Time and randomness as arguments, so that cores stay pure and tests decide what time it is.

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
}

export const systemClock: Clock = { now: Date.now };

/** Full-jitter exponential back-off, ms (Brooker, "Exponential Backoff And Jitter", AWS 2015). `random` in [0, 1). */
export const backoffMs = (attempt: number, random: number, { baseMs = 100, capMs = 10_000 } = {}): number =>
  Math.ceil(random * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 20)));
