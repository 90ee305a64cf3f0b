// Whether the path has room for another frame: a congestion window over unreported bytes. (WebRTC's pushback gives the
// encoder less then; here a frame is left out, because every one of ours must leave whole.)
//
// In flight, by time at the estimate, there may be the path's least round trip and a queue of `fullMs`. Beyond that no
// frames are made until the queue is down to `clearMs`: whatever is sent into a full one is lost, or stands in the way of
// the keyframe that ends the freeze. Between two feedbacks the path is taken to drain at the estimate, so that a lost
// end, which nobody reports, or darkness, holds nothing back for good.
const flightLimits = { fullMs: 120, clearMs: 75 } as const;

/** How long the least round trip counts. */
const leastForMs = 10_000;

export class Flight {
  #heardAtMs: number | null = null;
  #least = { sinceMs: Number.NEGATIVE_INFINITY, nowMs: Number.POSITIVE_INFINITY, beforeMs: Number.POSITIVE_INFINITY };
  #full = false;

  /** Feedback came; the newest packet it tells of was sent at `sentAtMs`. */
  heard(sentAtMs: number, nowMs: number): void {
    this.#heardAtMs = nowMs;
    if (nowMs - this.#least.sinceMs >= leastForMs)
      this.#least = { sinceMs: nowMs, nowMs: Number.POSITIVE_INFINITY, beforeMs: this.#least.nowMs };
    this.#least.nowMs = Math.min(this.#least.nowMs, nowMs - sentAtMs);
  }

  /** Before the first feedback nothing is known, and nothing held back. */
  hasRoom(inFlightBytes: number, kbps: number, nowMs: number): boolean {
    if (this.#heardAtMs === null) return true;
    const inFlightMs = (inFlightBytes * 8) / kbps - (nowMs - this.#heardAtMs);
    const emptyMs = Math.min(this.#least.nowMs, this.#least.beforeMs);
    this.#full = inFlightMs > emptyMs + (this.#full ? flightLimits.clearMs : flightLimits.fullMs);
    return !this.#full;
  }
}
