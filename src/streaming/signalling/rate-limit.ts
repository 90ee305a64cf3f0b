// A token bucket: `perSecond` on average, bursts of three seconds' worth (a browser gathers its candidates at once).

const burstSeconds = 3;

export class RateLimit {
  #tokens: number;
  #at: number;

  constructor(
    private readonly perSecond: number,
    now: number,
  ) {
    this.#tokens = perSecond * burstSeconds;
    this.#at = now;
  }

  /** Whether one more may pass. `now`: ms. */
  take(now: number): boolean {
    const earned = (Math.max(0, now - this.#at) / 1000) * this.perSecond;
    this.#tokens = Math.min(this.perSecond * burstSeconds, this.#tokens + earned);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
