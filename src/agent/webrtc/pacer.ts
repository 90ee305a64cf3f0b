// How many bytes may leave now, so that a frame far larger than the others does not arrive at the bottleneck as one burst:
// what a frame has beyond `burstMs` of the rate leaves at `factor` times the rate, in steps of `stepMs`. Ordinary frames
// (up to 33 ms of it, at 30 frames a second) are below that and leave at once; at more than twice the rate a path that
// carries only the estimate delivers no frame later for it.
export const pacing = { burstMs: 40, factor: 2.5, stepMs: 5 } as const;

export class Pacer {
  #bytes = 0;
  #atMs = Number.NEGATIVE_INFINITY;

  budgetBytes(kbps: number, nowMs: number): number {
    const bytesPerMs = kbps / 8;
    const refilled = this.#bytes + (nowMs - this.#atMs) * bytesPerMs * pacing.factor;
    this.#bytes = Math.min(bytesPerMs * pacing.burstMs, refilled);
    this.#atMs = nowMs;
    return this.#bytes;
  }

  /** Also beyond the budget: what does not wait is owed. */
  spend(bytes: number): void {
    this.#bytes -= bytes;
  }
}
