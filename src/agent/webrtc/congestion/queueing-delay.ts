// How long packets stand in queues: the delay of the quickest packet of each feedback over the quickest of the last
// 10–20 s. Both clocks may start anywhere; that they drift by some ms in that time does not matter here.

const bucketMs = 10_000;

export class QueueingDelay {
  #bucketSinceMs = Number.NEGATIVE_INFINITY;
  #leastNow = Number.POSITIVE_INFINITY;
  #leastBefore = Number.POSITIVE_INFINITY;
  ms = 0;

  /** `delayMs`: arrival in one clock minus sending in the other, of the quickest packet just reported. */
  add(delayMs: number, nowMs: number): void {
    if (nowMs - this.#bucketSinceMs >= bucketMs) {
      this.#bucketSinceMs = nowMs;
      this.#leastBefore = this.#leastNow;
      this.#leastNow = Number.POSITIVE_INFINITY;
    }
    this.#leastNow = Math.min(this.#leastNow, delayMs);
    this.ms = delayMs - Math.min(this.#leastNow, this.#leastBefore);
  }
}
