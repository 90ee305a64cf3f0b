// Where the time between input and picture goes, of the last 10 s and of the whole session: percentiles by stage, out of
// joined frames (receipt-join.ts). Pure: whoever adds says what time it is.
//
// What the machine and the browser do is measured on every frame, whether anybody plays or not; `total`, `network` and
// `wait` on every input. Jitter needs no input either: it is how much longer than the quickest of the last frames each
// took from the machine's last packet out to the browser's last packet in. The two clocks differ by a constant there,
// which the difference leaves out (as RFC 3550 §6.4.1 does), and drift by less than 1 ms in these seconds.
import {
  type LatencyStage,
  latencyLimits,
  latencyStages,
  type RecentLatency,
  type SessionLatency,
  type StagePercentiles,
} from "../../contracts/latency.js";
import type { FrameReceipt } from "../../contracts/receipts.js";
import { LogHistogram } from "./log-histogram.js";
import type { JoinedFrame, PresentedFrame } from "./receipt-join.js";

const sliceMs = 1_000;
const slices = latencyLimits.recentMs / sliceMs;
const ticksPerMs = 90;
const transitsMax = 1_024;

class Measured {
  inputs = 0;
  frames = 0;
  skipped = 0;
  heldBack = 0;
  readonly stages = Object.fromEntries(latencyStages.map((stage) => [stage, new LogHistogram()])) as Record<
    LatencyStage,
    LogHistogram
  >;

  add({ receipt, frame, inputs }: JoinedFrame): void {
    const { draw, encode, send, decode, present, total, wait, network } = this.stages;
    this.skipped += receipt.skipped;
    this.heldBack += receipt.heldBack;
    draw.add(receipt.drawUs / 1000);
    encode.add(receipt.encodeUs / 1000);
    send.add(receipt.sendUs / 1000);
    if (frame !== null) {
      this.frames++;
      decode.add(frame.decodeMs);
      present.add(frame.presentedAtMs - frame.receivedAtMs - frame.decodeMs);
    }
    this.inputs += inputs.length;
    for (const { totalMs, waitMs, networkMs } of inputs) {
      total.add(totalMs);
      wait.add(waitMs);
      if (networkMs !== null) network.add(networkMs);
    }
  }

  merge(other: Measured): void {
    for (const count of ["inputs", "frames", "skipped", "heldBack"] as const) this[count] += other[count];
    for (const stage of latencyStages) this.stages[stage].merge(other.stages[stage]);
  }

  clear(): void {
    this.inputs = this.frames = this.skipped = this.heldBack = 0;
    for (const stage of latencyStages) this.stages[stage].clear();
  }

  get figures(): SessionLatency {
    const { inputs, frames, skipped, heldBack } = this;
    const stages: StagePercentiles = {};
    for (const stage of latencyStages) {
      const at = (p: number) => round(this.stages[stage].percentile(p)!);
      if (this.stages[stage].count > 0) stages[stage] = { p50: at(50), p95: at(95), p99: at(99) };
    }
    return { inputs, frames, skipped, heldBack, stages };
  }
}

export class LatencyMeter {
  readonly #session = new Measured();
  readonly #slices = Array.from({ length: slices }, () => ({ number: -1, measured: new Measured() }));
  readonly #sum = new Measured();
  #transits: { readonly atMs: number; readonly ms: number }[] = [];
  /** RTP timestamps count on from here, without wrapping. */
  #ticks: { readonly timestamp: number; readonly unwrapped: number } | null = null;
  #newest: FrameReceipt | null = null;

  add(joined: JoinedFrame, nowMs: number): void {
    this.#session.add(joined);
    const number = Math.floor(nowMs / sliceMs);
    const slice = this.#slices[number % slices]!;
    if (slice.number !== number) slice.measured.clear();
    slice.number = number;
    slice.measured.add(joined);
    this.#newest = joined.receipt;
    if (joined.frame !== null) this.#transit(joined.receipt, joined.frame, nowMs);
  }

  /** Another connection: its timestamps, and the way it takes, have nothing to do with those before. */
  restart(): void {
    this.#transits = [];
    this.#ticks = null;
  }

  /** Null when no frame had a receipt. */
  recent(nowMs: number): Pick<RecentLatency, "fps" | "jitterMs" | keyof SessionLatency> | null {
    const number = Math.floor(nowMs / sliceMs);
    this.#sum.clear();
    for (const slice of this.#slices)
      if (slice.number > number - slices && slice.number <= number) this.#sum.merge(slice.measured);
    if (this.#newest === null || this.#sum.frames === 0) return null;
    return { ...this.#sum.figures, fps: Math.max(1, this.#newest.fps), jitterMs: this.#jitterMs(nowMs) };
  }

  get session(): SessionLatency {
    return this.#session.figures;
  }

  #transit(receipt: FrameReceipt, frame: PresentedFrame, nowMs: number): void {
    const { timestamp, unwrapped } = this.#ticks ?? { timestamp: receipt.rtpTimestamp, unwrapped: 0 };
    const ticks = unwrapped + ((receipt.rtpTimestamp - timestamp) | 0);
    this.#ticks = { timestamp: receipt.rtpTimestamp, unwrapped: ticks };
    const leftAtMs = ticks / ticksPerMs + (receipt.drawUs + receipt.encodeUs + receipt.sendUs) / 1000;
    this.#transits.push({ atMs: nowMs, ms: frame.receivedAtMs - leftAtMs });
    if (this.#transits.length > 2 * transitsMax) this.#transits = this.#transits.slice(-transitsMax);
  }

  #jitterMs(nowMs: number): number {
    const recent = this.#transits.slice(-transitsMax).filter(({ atMs }) => atMs > nowMs - latencyLimits.recentMs);
    const ms = recent.map((transit) => transit.ms).sort((a, b) => a - b);
    return ms.length === 0 ? 0 : round(ms[Math.ceil(0.95 * ms.length) - 1]! - ms[0]!);
  }
}

const round = (ms: number): number => Number(Math.min(60_000, ms).toFixed(2));
