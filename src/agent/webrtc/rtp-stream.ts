// One outgoing RTP stream: numbers packets, sends them, answers NACKs (retransmission.ts) and writes sender reports.
// The hot path of the agent: 850 packets a second at 8 Mbit/s. Each packet is written once, into the slot of the
// history it is resent from, and handed to `send`, which must not keep it.
import type { SentPackets } from "./congestion/sent-packets.js";
import { type Budget, PacketHistory, refill, repair } from "./retransmission.js";
import { buildSenderReport, ntpMiddle } from "./rtcp.js";
import {
  type ExtensionIds,
  extensionBlock,
  fixedHeaderBytes,
  h264Payloads,
  rtpBytesMax,
  stampTransportSequence,
  writeHeader,
} from "./rtp.js";

export interface RtpStreamOptions {
  readonly ssrc: number;
  readonly payloadType: number;
  readonly clockRate: number;
  readonly cname: string;
  readonly extensions: ExtensionIds;
  /** Null: the browser offered no RTX, lost packets cost a keyframe. */
  readonly rtx: { readonly ssrc: number; readonly payloadType: number } | null;
  /** Where packets with a transport-wide sequence number are remembered; null: they have none. */
  readonly sent: SentPackets | null;
  /** Sequence numbers begin at random (RFC 3550 §5.1). */
  readonly firstSequence: number;
  readonly send: (packet: Buffer) => void;
}

const fuHeaderBytes = 2;
const rtxHeaderBytes = 2;

export class RtpStream {
  readonly #options: RtpStreamOptions;
  readonly #extensions;
  readonly #history = new PacketHistory();
  readonly #rtxPacket = Buffer.allocUnsafe(rtpBytesMax);
  readonly #payloadBytesMax: number;
  #sequence: number;
  #rtxSequence: number;
  #transportSequence = 0;
  #packets = 0;
  #octets = 0;
  #lastTimestamp = 0;
  #lastSentAtMs = 0;
  #keyframeAtMs = Number.NEGATIVE_INFINITY;
  #budget: Budget = { bytes: 0, atMs: 0 };

  constructor(options: RtpStreamOptions) {
    this.#options = options;
    this.#extensions = extensionBlock(options.extensions);
    this.#sequence = options.firstSequence & 0xffff;
    this.#rtxSequence = options.firstSequence & 0xffff;
    this.#payloadBytesMax = rtpBytesMax - fixedHeaderBytes - this.#extensions.bytes.length - rtxHeaderBytes;
  }

  /** Sends one H.264 access unit; every packet is on its way when it returns. */
  sendAccessUnit(accessUnit: Buffer, frame: { timestamp: number; keyframe: boolean; nowMs: number }): void {
    if (frame.keyframe) this.#keyframeAtMs = frame.nowMs;
    const payloads = h264Payloads(accessUnit, this.#payloadBytesMax);
    const last = payloads.length - 1;
    for (let i = 0; i <= last; i++) {
      const { fuIndicator, fuHeader, start, end } = payloads[i]!;
      const packetAt = this.#history.offsetOf(this.#sequence);
      let at = this.#begin(i === last, frame.timestamp);
      if (fuIndicator !== null) {
        this.#history.memory[at] = fuIndicator;
        this.#history.memory[at + 1] = fuHeader;
        at += fuHeaderBytes;
      }
      at += accessUnit.copy(this.#history.memory, at, start, end);
      this.#finish(packetAt, at, frame.nowMs);
    }
    this.#lastTimestamp = frame.timestamp;
    this.#lastSentAtMs = frame.nowMs;
  }

  /** Sends one packet whose payload is complete in itself, as Opus is. */
  sendPayload(payload: Buffer, timestamp: number, nowMs: number): void {
    const packetAt = this.#history.offsetOf(this.#sequence);
    const at = this.#begin(false, timestamp);
    this.#finish(packetAt, at + payload.copy(this.#history.memory, at), nowMs);
    this.#lastTimestamp = timestamp;
    this.#lastSentAtMs = nowMs;
  }

  /** Answers a NACK; true: a keyframe must make up for what cannot be sent again. */
  resend(sequences: readonly number[], context: { nowMs: number; roundTripMs: number; bitrateKbps: number }): boolean {
    const { rtx } = this.#options;
    if (rtx === null) return true;
    const { nowMs, roundTripMs } = context;
    const budget = refill(this.#budget, nowMs, context.bitrateKbps);
    const answer = repair(this.#history, sequences, {
      nowMs,
      roundTripMs,
      keyframeAtMs: this.#keyframeAtMs,
      budgetBytes: budget.bytes,
    });
    for (const sequence of answer.resend) this.#resendOne(sequence, rtx, nowMs);
    this.#budget = { bytes: budget.bytes - answer.resendBytes, atMs: nowMs };
    return answer.needsKeyframe;
  }

  /** Tells the receiver which moment `timestamp` is; nothing before the first packet. Answers its NTP middle. */
  sendReport(epochMs: number, nowMs: number): number | null {
    if (this.#packets === 0) return null;
    const { ssrc, cname, clockRate } = this.#options;
    const sinceLast = Math.round(((nowMs - this.#lastSentAtMs) * clockRate) / 1000);
    this.#options.send(
      buildSenderReport({
        ssrc,
        cname,
        epochMs,
        timestamp: this.#lastTimestamp + sinceLast,
        packets: this.#packets,
        octets: this.#octets,
      }),
    );
    return ntpMiddle(epochMs);
  }

  #begin(marker: boolean, timestamp: number): number {
    const { payloadType, ssrc } = this.#options;
    const sequence = this.#sequence;
    const header = { payloadType, marker, sequence, timestamp, ssrc };
    return writeHeader(this.#history.memory, this.#history.offsetOf(sequence), header, this.#extensions);
  }

  #finish(from: number, to: number, nowMs: number): void {
    this.#stamp(this.#history.memory, from, to - from, nowMs);
    this.#history.record(this.#sequence, to - from, nowMs);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#packets++;
    this.#octets += to - from - fixedHeaderBytes - this.#extensions.bytes.length;
    this.#options.send(this.#history.memory.subarray(from, to));
  }

  /** RFC 4588 §4: the same header on its own SSRC, then the original sequence number, then the original payload. */
  #resendOne(sequence: number, rtx: { ssrc: number; payloadType: number }, nowMs: number): void {
    const { memory } = this.#history;
    const from = this.#history.offsetOf(sequence);
    const bytes = this.#history.find(sequence)!.bytes;
    const headerBytes = fixedHeaderBytes + this.#extensions.bytes.length;
    const packet = this.#rtxPacket;
    memory.copy(packet, 0, from, from + headerBytes);
    packet[1] = (memory[from + 1]! & 0x80) | rtx.payloadType;
    packet.writeUInt16BE(this.#rtxSequence, 2);
    packet.writeUInt32BE(rtx.ssrc, 8);
    packet.writeUInt16BE(sequence, headerBytes);
    memory.copy(packet, headerBytes + rtxHeaderBytes, from + headerBytes, from + bytes);
    this.#stamp(packet, 0, bytes + rtxHeaderBytes, nowMs);
    this.#rtxSequence = (this.#rtxSequence + 1) & 0xffff;
    this.#history.recordResent(sequence, nowMs);
    this.#options.send(packet.subarray(0, bytes + rtxHeaderBytes));
  }

  #stamp(packet: Buffer, at: number, bytes: number, nowMs: number): void {
    stampTransportSequence(packet, at, this.#extensions, this.#transportSequence);
    this.#options.sent?.record(this.#transportSequence, bytes, nowMs);
    this.#transportSequence = (this.#transportSequence + 1) & 0xffff;
  }
}
