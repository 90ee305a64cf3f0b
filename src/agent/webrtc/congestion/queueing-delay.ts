// How long packets stand in queues: their delay over the least of the last 10–20 s. Both clocks may start anywhere; that
// they drift by some ms in that time does not matter here.
//
// Of each feedback two packets speak: the quickest (`ms`), and the quickest of those that arrived last (`endMs`), which
// tells of a queue while it grows. Jitter holds packets back but lets them in together, the last one fresh: it moves
// neither of them far.
import type { ReportedPacket } from "./sent-packets.js";

const bucketMs = 10_000;
/** What arrived within so long of the last packet counts as the end of a feedback. */
const endSpanMs = 20;

export type ArrivedPacket = ReportedPacket & { readonly arrivalMs: number };

export class QueueingDelay {
  #bucketSinceMs = Number.NEGATIVE_INFINITY;
  #leastNow = Number.POSITIVE_INFINITY;
  #leastBefore = Number.POSITIVE_INFINITY;
  ms = 0;
  endMs = 0;

  /** The packets just reported as arrived; at least one. */
  add(arrived: readonly ArrivedPacket[], nowMs: number): void {
    if (nowMs - this.#bucketSinceMs >= bucketMs) {
      this.#bucketSinceMs = nowMs;
      this.#leastBefore = this.#leastNow;
      this.#leastNow = Number.POSITIVE_INFINITY;
    }
    const endFromMs = arrived.at(-1)!.arrivalMs - endSpanMs;
    let least = Number.POSITIVE_INFINITY;
    let leastAtEnd = Number.POSITIVE_INFINITY;
    for (const { arrivalMs, sentAtMs } of arrived) {
      const delayMs = arrivalMs - sentAtMs;
      if (delayMs < least) least = delayMs;
      if (delayMs < leastAtEnd && arrivalMs >= endFromMs) leastAtEnd = delayMs;
    }
    this.#leastNow = Math.min(this.#leastNow, least);
    const base = Math.min(this.#leastNow, this.#leastBefore);
    this.ms = least - base;
    this.endMs = leastAtEnd - base;
  }
}
