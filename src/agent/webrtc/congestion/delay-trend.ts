// Whether queues on the path grow: the slope of the smoothed delay over the last bursts, against a threshold that
// follows it (draft-ietf-rmcat-gcc-02 §5.3–5.4; the line fit and its constants are those of Carlucci, De Cicco, Holmer,
// Mascolo, "Congestion Control for Web Real-Time Communication", IEEE/ACM ToN 2017, as WebRTC runs it).
//
// The threshold adapts so that neither jitter counts as congestion nor a loss-based flow on the same queue starves us.

export type PathUse = "normal" | "overused" | "underused";

const windowBursts = 20;
const smoothing = 0.9;
const gain = 4;
/** The trend counts for more the longer it has been watched, up to this many bursts. */
const burstsCountedMax = 60;
const overuseMsMin = 10;

const threshold = { initialMs: 12.5, msMin: 6, msMax: 600, up: 0.0087, down: 0.039, outlierMs: 15, stepMsMax: 100 };

export class DelayTrend {
  readonly #points: { atMs: number; delayMs: number }[] = [];
  #firstMs: number | null = null;
  #accumulatedMs = 0;
  #smoothedMs = 0;
  #bursts = 0;
  #thresholdMs = threshold.initialMs;
  #lastMs = 0;
  #lastTrend = 0;
  /** Since when the trend is above the threshold, and for how many bursts; null: it is not. */
  #above: { sinceMs: number; bursts: number } | null = null;
  use: PathUse = "normal";

  add(arrivalMs: number, delayChangeMs: number): PathUse {
    this.#firstMs ??= arrivalMs;
    this.#bursts = Math.min(this.#bursts + 1, burstsCountedMax);
    this.#accumulatedMs += delayChangeMs;
    this.#smoothedMs = smoothing * this.#smoothedMs + (1 - smoothing) * this.#accumulatedMs;
    this.#points.push({ atMs: arrivalMs - this.#firstMs, delayMs: this.#smoothedMs });
    if (this.#points.length > windowBursts) this.#points.shift();
    if (this.#points.length === windowBursts) this.#judge(slope(this.#points) * this.#bursts * gain, arrivalMs);
    return this.use;
  }

  #judge(trend: number, nowMs: number): void {
    if (trend > this.#thresholdMs) {
      this.#above ??= { sinceMs: this.#lastMs, bursts: 0 };
      this.#above.bursts += 1;
      const lasts = nowMs - this.#above.sinceMs > overuseMsMin && this.#above.bursts > 1;
      if (lasts && trend >= this.#lastTrend) this.use = "overused";
    } else {
      this.#above = null;
      this.use = trend < -this.#thresholdMs ? "underused" : "normal";
    }
    this.#lastTrend = trend;
    this.#adapt(Math.abs(trend), nowMs);
  }

  #adapt(trend: number, nowMs: number): void {
    const elapsedMs = Math.min(threshold.stepMsMax, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    // A sudden rise, as when the route changes, is no measure of the path's jitter.
    if (trend > this.#thresholdMs + threshold.outlierMs) return;
    const rate = trend < this.#thresholdMs ? threshold.down : threshold.up;
    const next = this.#thresholdMs + rate * (trend - this.#thresholdMs) * elapsedMs;
    this.#thresholdMs = Math.min(threshold.msMax, Math.max(threshold.msMin, next));
  }
}

/** Of the least-squares line, ms of delay per ms. */
function slope(points: readonly { atMs: number; delayMs: number }[]): number {
  const meanAt = points.reduce((sum, { atMs }) => sum + atMs, 0) / points.length;
  const meanDelay = points.reduce((sum, { delayMs }) => sum + delayMs, 0) / points.length;
  let above = 0;
  let below = 0;
  for (const { atMs, delayMs } of points) {
    above += (atMs - meanAt) * (delayMs - meanDelay);
    below += (atMs - meanAt) ** 2;
  }
  return below === 0 ? 0 : above / below;
}
