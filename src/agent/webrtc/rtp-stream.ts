// One outgoing RTP stream: numbers packets, sends them, answers NACKs (retransmission.ts) and writes sender reports.
// A frame that is more than may leave at once is written whole, and the rest of its packets wait where they stand.
// The hot path of the agent: 850 packets a second at 8 Mbit/s. Each packet is written once, into the slot of the
// history it is resent from, and handed to `send`, which must not keep it.
import type { SentPackets } from "./congestion/sent-packets.js";
import { type Budget, PacketHistory, refill, repair } from "./retransmission.js";
import { buildSenderReport } from "./rtcp.js";
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
/** Far below the history's slots: a packet that waits must not be written over. */
const waitingPacketsMax = 1_024;

export class RtpStream {
  readonly #options: RtpStreamOptions;
  readonly #extensions;
  readonly #history = new PacketHistory();
  readonly #rtxPacket = Buffer.allocUnsafe(rtpBytesMax);
  readonly #payloadBytesMax: number;
  /** Of the next packet written, and of the next one sent. */
  #sequence: number;
  #unsent: number;
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
    this.#unsent = this.#sequence;
    this.#rtxSequence = options.firstSequence & 0xffff;
    this.#payloadBytesMax = rtpBytesMax - fixedHeaderBytes - this.#extensions.bytes.length - rtxHeaderBytes;
  }

  /**
   * Sends one H.264 access unit, after whatever still waits: of both together the packets that `bytesMax` covers at
   * once, the rest by `sendWaiting`. Answers the bytes sent.
   */
  sendAccessUnit(
    accessUnit: Buffer,
    frame: { timestamp: number; keyframe: boolean; nowMs: number },
    bytesMax = Number.POSITIVE_INFINITY,
  ): number {
    if (frame.keyframe) this.#keyframeAtMs = frame.nowMs;
    const payloads = h264Payloads(accessUnit, this.#payloadBytesMax);
    const last = payloads.length - 1;
    let bytes = 0;
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
      this.#finish(at - packetAt, frame.nowMs);
      if (bytes < bytesMax || this.#waitingPackets > waitingPacketsMax) bytes += this.#sendNext(frame.nowMs);
    }
    this.#lastTimestamp = frame.timestamp;
    this.#lastSentAtMs = frame.nowMs;
    return bytes;
  }

  get waits(): boolean {
    return this.#unsent !== this.#sequence;
  }

  /** Sends of what waits the packets that `bytesMax` covers; answers their bytes. */
  sendWaiting(bytesMax: number, nowMs: number): number {
    let bytes = 0;
    while (bytes < bytesMax && this.waits) bytes += this.#sendNext(nowMs);
    return bytes;
  }

  /** Sends one packet whose payload is complete in itself, as Opus is. */
  sendPayload(payload: Buffer, timestamp: number, nowMs: number): void {
    const packetAt = this.#history.offsetOf(this.#sequence);
    const at = this.#begin(false, timestamp);
    this.#finish(at + payload.copy(this.#history.memory, at) - packetAt, nowMs);
    this.#sendNext(nowMs);
    this.#lastTimestamp = timestamp;
    this.#lastSentAtMs = nowMs;
  }

  /** Answers a NACK, within the budget that `bitrateKbps` gives. */
  resend(
    sequences: readonly number[],
    context: { nowMs: number; roundTripMs: number; bitrateKbps: number },
  ): { resentBytes: number; needsKeyframe: boolean } {
    const { rtx } = this.#options;
    if (rtx === null) return { resentBytes: 0, needsKeyframe: true };
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
    return { resentBytes: answer.resendBytes, needsKeyframe: answer.needsKeyframe };
  }

  /** Under which transport-wide sequence number a packet first left; null: too long ago. */
  transportSequenceOf(sequence: number): number | null {
    return this.#history.find(sequence)?.transportSequence ?? null;
  }

  /** Tells the receiver which moment `timestamp` is; nothing before the first packet. */
  sendReport(epochMs: number, nowMs: number): void {
    if (this.#packets === 0) return;
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
  }

  #begin(marker: boolean, timestamp: number): number {
    const { payloadType, ssrc } = this.#options;
    const sequence = this.#sequence;
    const header = { payloadType, marker, sequence, timestamp, ssrc };
    return writeHeader(this.#history.memory, this.#history.offsetOf(sequence), header, this.#extensions);
  }

  #finish(bytes: number, nowMs: number): void {
    this.#history.record(this.#sequence, bytes, nowMs);
    this.#sequence = (this.#sequence + 1) & 0xffff;
  }

  get #waitingPackets(): number {
    return (this.#sequence - this.#unsent) & 0xffff;
  }

  #sendNext(nowMs: number): number {
    const sequence = this.#unsent;
    const from = this.#history.offsetOf(sequence);
    const bytes = this.#history.bytesOf(sequence);
    this.#history.recordSent(sequence, this.#transportSequence, nowMs);
    this.#stamp(this.#history.memory, from, bytes, nowMs);
    this.#unsent = (sequence + 1) & 0xffff;
    this.#packets++;
    this.#octets += bytes - fixedHeaderBytes - this.#extensions.bytes.length;
    this.#options.send(this.#history.memory.subarray(from, from + bytes));
    return bytes;
  }

  /** RFC 4588 §4: the same header on its own SSRC, then the original sequence number, then the original payload. */
  #resendOne(sequence: number, rtx: { ssrc: number; payloadType: number }, nowMs: number): void {
    const { memory } = this.#history;
    const from = this.#history.offsetOf(sequence);
    const bytes = this.#history.bytesOf(sequence);
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
