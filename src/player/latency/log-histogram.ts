// Percentiles of milliseconds in fixed memory, each within 1 % of the true one: counts in buckets that grow by 2 %
// (DDSketch; Masson, Rim, Lee, VLDB 2019, §2). A session of hours has millions of frames; a ring that kept the newest
// would say nothing about the session, and a sample of them little about its p99.

const growth = 1.02;
const msMin = 0.02;
const msMax = 60_000;
const logGrowth = Math.log(growth);
const buckets = Math.ceil(Math.log(msMax / msMin) / logGrowth) + 1;

export class LogHistogram {
  readonly #counts = new Uint32Array(buckets);
  #total = 0;

  get count(): number {
    return this.#total;
  }

  /** Less than 20 µs counts as that, more than a minute as a minute. */
  add(ms: number): void {
    const within = Math.max(msMin, Math.min(msMax, ms));
    this.#counts[Math.ceil(Math.log(within / msMin) / logGrowth)]!++;
    this.#total++;
  }

  merge(other: LogHistogram): void {
    for (let i = 0; i < buckets; i++) this.#counts[i]! += other.#counts[i]!;
    this.#total += other.#total;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }

  /** By the nearest-rank method, `p` in 0–100; null without values. */
  percentile(p: number): number | null {
    if (this.#total === 0) return null;
    let left = Math.max(1, Math.ceil((p / 100) * this.#total));
    for (let i = 0; i < buckets; i++) {
      left -= this.#counts[i]!;
      // The bucket's middle, by ratio: within 1 % of both its ends.
      if (left <= 0) return (2 * msMin * growth ** i) / (1 + growth);
    }
    return msMax;
  }
}
