// Which lost packets are sent again (RFC 4588), and when a keyframe is the better answer.
//
// Guarantees: a packet is sent again at most once per round trip; never when a newer keyframe has made it irrelevant;
// never when it would come too late to be shown; and resent bytes stay within a share of the stream's bitrate, because
// unbudgeted answers to NACKs on a full link make a storm of them. What cannot be repaired asks for a keyframe at once:
// Chromium itself waits up to 3 s before it sends a PLI (measured).
//
// The history is one block of memory with a slot per sequence number, into which packets are written in the first
// place: nothing is allocated or copied per packet.
import { rtpBytesMax } from "./rtp.js";

const slots = 2048;

export const retransmissionLimits = {
  ageMsMax: 400,
  roundTripMsMin: 15,
  /** Of the stream's bitrate; and how long unused budget is saved up. */
  budgetShare: 0.3,
  budgetBurstMs: 100,
} as const;

/** The last 2,048 packets of a stream: 0.8 s at 25 Mbit/s, twice what may still be resent. */
export class PacketHistory {
  readonly memory = Buffer.allocUnsafe(slots * rtpBytesMax);
  readonly #sequences = new Int32Array(slots).fill(-1);
  readonly #bytes = new Uint16Array(slots);
  readonly #sentAtMs = new Float64Array(slots);
  readonly #resentAtMs = new Float64Array(slots);
  readonly #transportSequences = new Uint16Array(slots);

  /** Where in `memory` the packet with this sequence number stands, or is to be written. */
  offsetOf(sequence: number): number {
    return (sequence % slots) * rtpBytesMax;
  }

  record(sequence: number, bytes: number, nowMs: number): void {
    const slot = sequence % slots;
    this.#sequences[slot] = sequence;
    this.#bytes[slot] = bytes;
    this.#sentAtMs[slot] = nowMs;
    this.#resentAtMs[slot] = Number.NEGATIVE_INFINITY;
  }

  /** When it really left, and under which transport-wide sequence number. */
  recordSent(sequence: number, transportSequence: number, nowMs: number): void {
    this.#sentAtMs[sequence % slots] = nowMs;
    this.#transportSequences[sequence % slots] = transportSequence;
  }

  recordResent(sequence: number, nowMs: number): void {
    this.#resentAtMs[sequence % slots] = nowMs;
  }

  /** Of a packet that is known to be there. */
  bytesOf(sequence: number): number {
    return this.#bytes[sequence % slots]!;
  }

  find(sequence: number): { bytes: number; sentAtMs: number; resentAtMs: number; transportSequence: number } | null {
    const slot = sequence % slots;
    if (this.#sequences[slot] !== sequence) return null;
    return {
      bytes: this.#bytes[slot]!,
      sentAtMs: this.#sentAtMs[slot]!,
      resentAtMs: this.#resentAtMs[slot]!,
      transportSequence: this.#transportSequences[slot]!,
    };
  }
}

/** A token bucket of bytes that may be resent. */
export interface Budget {
  readonly bytes: number;
  readonly atMs: number;
}

export function refill(budget: Budget, nowMs: number, bitrateKbps: number): Budget {
  const bytesPerMs = (bitrateKbps / 8) * retransmissionLimits.budgetShare;
  const bytes = budget.bytes + Math.max(0, nowMs - budget.atMs) * bytesPerMs;
  return { bytes: Math.min(bytes, bytesPerMs * retransmissionLimits.budgetBurstMs), atMs: nowMs };
}

export interface RepairContext {
  readonly nowMs: number;
  readonly roundTripMs: number;
  /** When the last keyframe's first packet was sent. */
  readonly keyframeAtMs: number;
  readonly budgetBytes: number;
}

export interface Repair {
  readonly resend: readonly number[];
  readonly resendBytes: number;
  /** Something is lost for good that a keyframe must make up for. */
  readonly needsKeyframe: boolean;
}

/** What to do about a NACK. */
export function repair(history: PacketHistory, sequences: readonly number[], context: RepairContext): Repair {
  const oncePerMs = Math.max(context.roundTripMs, retransmissionLimits.roundTripMsMin);
  const resend: number[] = [];
  let resendBytes = 0;
  let needsKeyframe = false;
  for (const sequence of sequences) {
    const packet = history.find(sequence);
    if (packet === null) {
      needsKeyframe = true;
    } else if (packet.sentAtMs < context.keyframeAtMs || context.nowMs - packet.resentAtMs < oncePerMs) {
      // A newer keyframe, or a copy under way, already makes up for it.
    } else if (
      context.nowMs - packet.sentAtMs > retransmissionLimits.ageMsMax ||
      resendBytes + packet.bytes > context.budgetBytes
    ) {
      needsKeyframe = true;
    } else if (!resend.includes(sequence)) {
      resend.push(sequence);
      resendBytes += packet.bytes;
    }
  }
  return { resend, resendBytes, needsKeyframe };
}
