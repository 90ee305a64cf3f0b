// What was sent, by transport-wide sequence number, until the receiver says when it arrived.
//
// 16 bits on the wire, so a number that feedback names is the last one sent with those bits. Feedback about a packet
// that was reported before, or is older than the ring, is left out: each packet counts once. In flight is what was sent
// after the newest packet told of; that what was sent before it has arrived or is lost, nobody needs to say.
import type { Feedback } from "../rtcp.js";

/** A packet the receiver has told of. */
export interface ReportedPacket {
  readonly sentAtMs: number;
  /** In the receiver's clock; null: lost, or not there yet. */
  readonly arrivalMs: number | null;
  readonly bytes: number;
}

/** 3 s at 25 Mbit/s. */
const slots = 8192;

export class SentPackets {
  readonly #sequences = new Int32Array(slots).fill(-1);
  readonly #sentAtMs = new Float64Array(slots);
  readonly #bytes = new Uint16Array(slots);
  /** Of everything sent, up to and with this packet. */
  readonly #bytesUpTo = new Float64Array(slots);
  #bytesSent = 0;
  #bytesToldOf = 0;

  get inFlightBytes(): number {
    return this.#bytesSent - this.#bytesToldOf;
  }

  record(sequence: number, bytes: number, sentAtMs: number): void {
    const slot = sequence & (slots - 1);
    this.#sequences[slot] = sequence & 0xffff;
    this.#sentAtMs[slot] = sentAtMs;
    this.#bytes[slot] = bytes;
    this.#bytesUpTo[slot] = this.#bytesSent += bytes;
  }

  /** Something sent after this packet has arrived. */
  passed(sequence: number): void {
    const slot = sequence & (slots - 1);
    if (this.#sequences[slot] === sequence) this.#bytesToldOf = Math.max(this.#bytesToldOf, this.#bytesUpTo[slot]!);
  }

  /** The packets it tells of for the first time, in the order they were sent. */
  match({ packets }: Extract<Feedback, { type: "transport" }>): ReportedPacket[] {
    const reported: ReportedPacket[] = [];
    for (const { sequence, arrivalMs } of packets) {
      const slot = sequence & (slots - 1);
      if (this.#sequences[slot] !== sequence) continue;
      this.#sequences[slot] = -1;
      this.#bytesToldOf = Math.max(this.#bytesToldOf, this.#bytesUpTo[slot]!);
      reported.push({ sentAtMs: this.#sentAtMs[slot]!, arrivalMs, bytes: this.#bytes[slot]! });
    }
    return reported;
  }
}
