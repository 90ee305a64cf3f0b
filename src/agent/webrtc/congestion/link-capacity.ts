// What the path carried whenever it was found full: a moving average with its spread (draft-ietf-rmcat-gcc-02 §5.5,
// "close to convergence": within three standard deviations).

const weight = 0.05;
/** Variance relative to the average, kbit/s: as WebRTC bounds it. */
const spreadMin = 0.4;
const spreadMax = 2.5;

export class LinkCapacity {
  #kbps: number | null = null;
  #spread = spreadMin;

  /** The path was full, and so much arrived. */
  learn(kbps: number): void {
    if (this.#kbps === null) {
      this.#kbps = kbps;
      return;
    }
    const error = kbps - this.#kbps;
    this.#kbps += weight * error;
    const spread = (1 - weight) * this.#spread + (weight * error ** 2) / Math.max(1, this.#kbps);
    this.#spread = Math.min(spreadMax, Math.max(spreadMin, spread));
  }

  isNear(kbps: number): boolean {
    return this.#kbps !== null && Math.abs(kbps - this.#kbps) <= this.#deviations;
  }

  /** More than this arriving says that the path has changed. */
  get kbpsMax(): number {
    return this.#kbps === null ? Number.POSITIVE_INFINITY : this.#kbps + this.#deviations;
  }

  forget(): void {
    this.#kbps = null;
    this.#spread = spreadMin;
  }

  get #deviations(): number {
    return 3 * Math.sqrt(this.#spread * (this.#kbps ?? 0));
  }
}
