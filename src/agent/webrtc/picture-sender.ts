// The picture's way to one browser: RTP at the pace and the rate that its path carries, and what the browser says about
// it, obeyed. No clock and no socket: peer.ts brings both, the tests bring a simulated path.
//
// Guarantees: resent packets and a frame's first 40 ms leave at once, the rest of a large frame spread (pacer.ts); while
// the path is full no frame should be made (`hasRoom`) and nothing is resent: what is lost then, a keyframe makes up for.
import { BandwidthEstimate, type RateBounds } from "./congestion/bandwidth-estimate.js";
import { Flight } from "./congestion/flight.js";
import { SentPackets } from "./congestion/sent-packets.js";
import { Pacer } from "./pacer.js";
import type { Feedback } from "./rtcp.js";
import { RtpStream, type RtpStreamOptions } from "./rtp-stream.js";

export class PictureSender {
  readonly #ssrc: number;
  readonly #stream: RtpStream;
  readonly #sent = new SentPackets();
  readonly #estimate: BandwidthEstimate;
  readonly #flight = new Flight();
  readonly #pacer = new Pacer();
  /** Of the receiver's reports (rtcp.ts), kept up by whoever has a wall clock. */
  roundTripMs = 0;

  constructor(options: Omit<RtpStreamOptions, "sent">, startKbps: number, bounds: RateBounds) {
    this.#ssrc = options.ssrc;
    this.#estimate = new BandwidthEstimate(startKbps, bounds);
    const numbered = options.extensions.transportSequence !== null;
    this.#stream = new RtpStream({ ...options, sent: numbered ? this.#sent : null });
  }

  /** What the path carries. */
  get kbps(): number {
    return this.#estimate.kbps;
  }

  /** Whether a frame made now would get through. */
  hasRoom(nowMs: number): boolean {
    return this.#flight.hasRoom(this.#sent.inFlightBytes, this.kbps, nowMs);
  }

  /**
   * `waits` afterwards: `sendWaiting` every `pacing.stepMs`. Answers false when the frame was left out, and a keyframe is
   * wanted instead: the path collapsed while it was made, and it would only lengthen the queue that has to go first.
   */
  send(unit: { bytes: Buffer; keyframe: boolean }, timestamp: number, nowMs: number): boolean {
    const { bytes, keyframe } = unit;
    if (this.#estimate.overflowing && !this.hasRoom(nowMs)) return false;
    this.sendWaiting(nowMs);
    const budgetBytes = this.#pacer.budgetBytes(this.kbps, nowMs);
    this.#pacer.spend(this.#stream.sendAccessUnit(bytes, { timestamp, keyframe, nowMs }, budgetBytes));
    return true;
  }

  get waits(): boolean {
    return this.#stream.waits;
  }

  sendWaiting(nowMs: number): void {
    if (!this.waits) return;
    this.#pacer.spend(this.#stream.sendWaiting(this.#pacer.budgetBytes(this.kbps, nowMs), nowMs));
  }

  sendReport(epochMs: number, nowMs: number): void {
    this.#stream.sendReport(epochMs, nowMs);
  }

  /** Answers whether a keyframe is wanted. */
  obey(feedback: Feedback, nowMs: number): boolean {
    switch (feedback.type) {
      case "pli":
      case "fir":
        return true;
      case "nack":
        return feedback.ssrc === this.#ssrc && this.#resend(feedback.sequences, nowMs);
      case "transport": {
        const packets = this.#sent.match(feedback);
        const newest = packets.at(-1);
        if (newest !== undefined) this.#flight.heard(newest.sentAtMs, nowMs);
        this.#estimate.update(packets, nowMs, this.roundTripMs);
        return false;
      }
      default:
        return false;
    }
  }

  #resend(sequences: readonly number[], nowMs: number): boolean {
    // Sooner than the next feedback: what is missed, or arrived before it, is not on its way any more.
    const newest = this.#stream.transportSequenceOf(sequences.at(-1) ?? 0);
    if (newest !== null) this.#sent.passed(newest);
    const context = { nowMs, roundTripMs: this.roundTripMs, bitrateKbps: this.hasRoom(nowMs) ? this.kbps : 0 };
    const { resentBytes, needsKeyframe } = this.#stream.resend(sequences, context);
    this.#pacer.spend(resentBytes);
    return needsKeyframe;
  }
}
