// Measures what the player feels, for as long as a player lives: gathers what was sent, what the machine's receipts say
// and what the browser shows; receipt-join.ts and latency-meter.ts do the rest.
import type { RecentLatency, SessionLatency } from "../../contracts/latency.js";
import { decodeReceipt, type FrameReceipt, ReceiptFormatError } from "../../contracts/receipts.js";
import type { PlayerStats } from "../api.js";
import { LatencyMeter } from "./latency-meter.js";
import { type JoinedFrame, ReceiptJoin } from "./receipt-join.js";

export class Latency {
  readonly #join = new ReceiptJoin();
  readonly #meter = new LatencyMeter();

  /** Watches the frames of `video` until `signal` aborts. A browser that cannot tell of them measures nothing. */
  watch(video: HTMLVideoElement, signal: AbortSignal): void {
    if (!("requestVideoFrameCallback" in video)) return;
    const next = () => {
      const handle = video.requestVideoFrameCallback((_now, metadata) => {
        this.#presented(metadata);
        next();
      });
      cancel = () => video.cancelVideoFrameCallback(handle);
    };
    let cancel = () => {};
    next();
    signal.addEventListener("abort", () => cancel(), { once: true });
  }

  /** An input leaves: it happened when the event did that is being handled, or now where none is (a gamepad's poll). */
  sent(seq: number): void {
    const nowMs = performance.now();
    const { event } = window;
    this.#join.sent(seq, event === undefined ? nowMs : Math.min(nowMs, event.timeStamp));
  }

  /** What the machine says on the state channel. */
  received(bytes: Uint8Array): void {
    let receipt: FrameReceipt;
    try {
      receipt = decodeReceipt(bytes);
    } catch (error) {
      // A machine newer than this page may say more.
      if (error instanceof ReceiptFormatError) return;
      throw error;
    }
    this.#add(this.#join.receipt(receipt));
  }

  /** Another connection. */
  restart(): void {
    this.#join.restart();
    this.#meter.restart();
  }

  /** Null while no frame shown has a receipt. */
  recent({ rttMs, lossRatio }: Pick<PlayerStats, "rttMs" | "lossRatio">): RecentLatency | null {
    const measured = this.#meter.recent(performance.now());
    return measured === null
      ? null
      : { ...measured, rttMs: rttMs === null ? null : Math.min(60_000, rttMs), lossRatio };
  }

  get session(): SessionLatency {
    return this.#meter.session;
  }

  #presented(metadata: VideoFrameCallbackMetadata): void {
    const { rtpTimestamp, receiveTime, processingDuration, expectedDisplayTime } = metadata;
    if (rtpTimestamp === undefined || receiveTime === undefined) return;
    const frame = {
      rtpTimestamp,
      receivedAtMs: receiveTime,
      decodeMs: (processingDuration ?? 0) * 1000,
      presentedAtMs: expectedDisplayTime,
    };
    this.#add(this.#join.frame(frame));
  }

  #add(joined: readonly JoinedFrame[]): void {
    const nowMs = performance.now();
    for (const frame of joined) this.#meter.add(frame, nowMs);
  }
}
