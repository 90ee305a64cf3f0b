// RTCP as pure functions: the sender report we build (RFC 3550 §6.4.1, §6.5), and what a browser says back, out of
// compound packets (RFC 3550 §6.1): loss and round trip (RR), keyframe requests (PLI, RFC 4585 §6.3.1; FIR, RFC 5104
// §4.3.1), retransmission requests (NACK, RFC 4585 §6.2.1), bandwidth (REMB) and transport-wide arrival times (TWCC,
// draft-holmer-rmcat-transport-wide-cc-extensions-01).
//
// The bytes come from the network: whatever they are, parsing never throws and never reads outside them. A part that
// is cut short or contradicts itself is left out, and so is everything of a type we have no use for.

export type Feedback =
  | { readonly type: "pli"; readonly ssrc: number }
  | { readonly type: "fir"; readonly ssrc: number }
  | { readonly type: "nack"; readonly ssrc: number; readonly sequences: readonly number[] }
  | {
      readonly type: "report";
      readonly ssrc: number;
      readonly fractionLost: number;
      readonly packetsLost: number;
      readonly jitter: number;
      /** The middle 32 bits of our report's NTP time, and the receiver's delay since, in 1/65,536 s; 0: none yet. */
      readonly lastSenderReport: number;
      readonly delaySinceLastSenderReport: number;
    }
  | { readonly type: "remb"; readonly bitsPerSecond: number }
  | {
      readonly type: "transport";
      readonly feedbackCount: number;
      /** Transport sequence number and arrival, ms in the receiver's clock; null: not arrived. */
      readonly packets: readonly { readonly sequence: number; readonly arrivalMs: number | null }[];
    };

const senderReport = 200;
const receiverReport = 201;
const transportFeedback = 205;
const payloadFeedback = 206;
const sourceDescription = 202;
const reportBlockBytes = 24;
/** As many as the sender remembers (sent-packets.ts): 40 bytes can claim 65,535, and so buy a tenth of a second of work. */
const transportPacketsMax = 8_192;

/** Whether a packet of an RTP session is RTCP, by its second byte (RFC 5761 §4). */
export const isRtcp = (packet: Buffer): boolean => packet.length >= 2 && packet[1]! >= 192 && packet[1]! <= 223;

export function parseRtcp(compound: Buffer): Feedback[] {
  const feedback: Feedback[] = [];
  let at = 0;
  while (at + 8 <= compound.length) {
    const bytes = (compound.readUInt16BE(at + 2) + 1) * 4;
    const packet = compound.subarray(at, at + bytes);
    if (packet.length < bytes || packet[0]! >> 6 !== 2) break;
    feedback.push(...parsePacket(packet, packet[0]! & 0x1f, packet[1]!));
    at += bytes;
  }
  return feedback;
}

function parsePacket(packet: Buffer, format: number, type: number): Feedback[] {
  if (type === receiverReport) return parseReportBlocks(packet, 8, format);
  if (type === senderReport) return parseReportBlocks(packet, 28, format);
  if (packet.length < 12) return [];
  if (type === payloadFeedback) {
    if (format === 1) return [{ type: "pli", ssrc: packet.readUInt32BE(8) }];
    if (format === 4) return packet.length < 16 ? [] : [{ type: "fir", ssrc: packet.readUInt32BE(12) }];
    if (format === 15) return parseRemb(packet);
  }
  if (type === transportFeedback) {
    if (format === 1) return [{ type: "nack", ssrc: packet.readUInt32BE(8), sequences: nackedSequences(packet) }];
    if (format === 15) return parseTransport(packet);
  }
  return [];
}

function parseReportBlocks(packet: Buffer, from: number, count: number): Feedback[] {
  const reports: Feedback[] = [];
  for (let i = 0, at = from; i < count && at + reportBlockBytes <= packet.length; i++, at += reportBlockBytes) {
    reports.push({
      type: "report",
      ssrc: packet.readUInt32BE(at),
      fractionLost: packet[at + 4]! / 256,
      packetsLost: packet.readIntBE(at + 5, 3),
      jitter: packet.readUInt32BE(at + 12),
      lastSenderReport: packet.readUInt32BE(at + 16),
      delaySinceLastSenderReport: packet.readUInt32BE(at + 20),
    });
  }
  return reports;
}

function nackedSequences(packet: Buffer): number[] {
  const sequences: number[] = [];
  for (let at = 12; at + 4 <= packet.length; at += 4) {
    const first = packet.readUInt16BE(at);
    const following = packet.readUInt16BE(at + 2);
    sequences.push(first);
    for (let bit = 0; bit < 16; bit++) if (following & (1 << bit)) sequences.push((first + bit + 1) & 0xffff);
  }
  return sequences;
}

function parseRemb(packet: Buffer): Feedback[] {
  if (packet.length < 20 || packet.toString("latin1", 12, 16) !== "REMB") return [];
  const exponent = packet[17]! >> 2;
  const mantissa = ((packet[17]! & 3) << 16) | packet.readUInt16BE(18);
  return [{ type: "remb", bitsPerSecond: mantissa * 2 ** exponent }];
}

function parseTransport(packet: Buffer): Feedback[] {
  if (packet.length < 20) return [];
  const base = packet.readUInt16BE(12);
  const count = packet.readUInt16BE(14);
  if (count > transportPacketsMax) return [];
  const statuses: number[] = [];
  let at = 20;
  while (statuses.length < count) {
    if (at + 2 > packet.length) return [];
    const chunk = packet.readUInt16BE(at);
    at += 2;
    if ((chunk & 0x8000) === 0) {
      const run = Math.min(chunk & 0x1fff, count - statuses.length);
      for (let i = 0; i < run; i++) statuses.push((chunk >> 13) & 3);
      if (run === 0) return [];
    } else if (chunk & 0x4000) {
      for (let shift = 12; shift >= 0; shift -= 2) statuses.push((chunk >> shift) & 3);
    } else {
      for (let shift = 13; shift >= 0; shift--) statuses.push((chunk >> shift) & 1);
    }
  }
  const packets: { sequence: number; arrivalMs: number | null }[] = [];
  let arrivalMs = packet.readIntBE(16, 3) * 64;
  for (let i = 0; i < count; i++) {
    const sequence = (base + i) & 0xffff;
    const deltaBytes = statuses[i]!;
    if (deltaBytes === 0 || deltaBytes === 3) {
      packets.push({ sequence, arrivalMs: null });
      continue;
    }
    if (at + deltaBytes > packet.length) return [];
    arrivalMs += (deltaBytes === 1 ? packet[at]! : packet.readInt16BE(at)) / 4;
    at += deltaBytes;
    packets.push({ sequence, arrivalMs });
  }
  return [{ type: "transport", feedbackCount: packet[19]!, packets }];
}

export interface SenderReport {
  readonly ssrc: number;
  readonly cname: string;
  /** Wall clock, ms since 1970, and the RTP timestamp of that moment. */
  readonly epochMs: number;
  readonly timestamp: number;
  readonly packets: number;
  readonly octets: number;
}

const ntpEpochSeconds = 2_208_988_800;

/** The middle 32 bits of the NTP time, by which a receiver report refers to our sender report. */
export function ntpMiddle(epochMs: number): number {
  const seconds = Math.floor(epochMs / 1000) + ntpEpochSeconds;
  return (((seconds & 0xffff) << 16) | Math.floor(((epochMs % 1000) / 1000) * 0x1_0000)) >>> 0;
}

/** Round trip by RFC 3550 §6.4.1; null when the receiver has seen no sender report yet, or its figures are impossible. */
export function roundTripMs(epochMs: number, lastSenderReport: number, delaySinceLastSenderReport: number) {
  if (lastSenderReport === 0) return null;
  const units = (ntpMiddle(epochMs) - lastSenderReport - delaySinceLastSenderReport) | 0;
  return units < 0 ? null : units / 65.536;
}

/** A sender report and its source description: the smallest legal compound packet. */
export function buildSenderReport(report: SenderReport): Buffer {
  const cname = Buffer.from(report.cname, "latin1");
  const descriptionBytes = Math.ceil((8 + 2 + cname.length + 1) / 4) * 4;
  const packet = Buffer.alloc(28 + descriptionBytes);
  packet[0] = 0x80;
  packet[1] = senderReport;
  packet.writeUInt16BE(28 / 4 - 1, 2);
  packet.writeUInt32BE(report.ssrc, 4);
  packet.writeUInt32BE((Math.floor(report.epochMs / 1000) + ntpEpochSeconds) >>> 0, 8);
  packet.writeUInt32BE(Math.floor(((report.epochMs % 1000) / 1000) * 0x1_0000_0000) >>> 0, 12);
  packet.writeUInt32BE(report.timestamp >>> 0, 16);
  packet.writeUInt32BE(report.packets >>> 0, 20);
  packet.writeUInt32BE(report.octets >>> 0, 24);
  packet[28] = 0x81;
  packet[29] = sourceDescription;
  packet.writeUInt16BE(descriptionBytes / 4 - 1, 30);
  packet.writeUInt32BE(report.ssrc, 32);
  packet[36] = 1;
  packet[37] = cname.length;
  cname.copy(packet, 38);
  return packet;
}
