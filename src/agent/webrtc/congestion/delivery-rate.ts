// How much arrives: bytes acknowledged over a sliding window of the receiver's clock, kbit/s.
//
// Null until there is half a window of it. What arrives is a bound from below of what the path carries only while we
// fill it: whoever reads this knows whether we did.

const windowMs = 500;
const spanMsMin = 250;

export class DeliveryRate {
  readonly #arrivals: { atMs: number; bytes: number }[] = [];
  #bytes = 0;

  add(atMs: number, bytes: number): void {
    this.#arrivals.push({ atMs, bytes });
    this.#bytes += bytes;
    while (this.#arrivals.length > 0 && this.#arrivals[0]!.atMs < atMs - windowMs)
      this.#bytes -= this.#arrivals.shift()!.bytes;
  }

  get kbps(): number | null {
    const [first, last] = [this.#arrivals[0], this.#arrivals.at(-1)];
    if (first === undefined || last === undefined || last.atMs - first.atMs < spanMsMin) return null;
    return ((this.#bytes - first.bytes) * 8) / (last.atMs - first.atMs);
  }
}
