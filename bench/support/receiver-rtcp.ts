// What a receiver tells the sender, as pure functions: the reception report (RFC 3550 §6.4.2) and each packet's arrival
// by its transport-wide number (draft-holmer-rmcat-transport-wide-cc-extensions-01, two-bit status vectors only).

const receiverReport = 201;
const transportFeedback = 205;

export interface Reception {
  readonly ssrc: number;
  readonly mediaSsrc: number;
  readonly packetsLost: number;
  readonly highestSequence: number;
  /** The middle 32 bits of the last sender report's NTP time, and how long ago it came; null: none came yet. */
  readonly lastReport: { readonly ntpMiddle: number; readonly agoMs: number } | null;
}

export function buildReceiverReport(reception: Reception): Buffer {
  const packet = Buffer.alloc(32);
  writeHead(packet, 1, receiverReport);
  packet.writeUInt32BE(reception.ssrc, 4);
  packet.writeUInt32BE(reception.mediaSsrc, 8);
  packet.writeUIntBE(Math.min(reception.packetsLost, 0x7f_ffff), 13, 3);
  packet.writeUInt32BE(reception.highestSequence >>> 0, 16);
  packet.writeUInt32BE(reception.lastReport?.ntpMiddle ?? 0, 24);
  packet.writeUInt32BE(Math.round((reception.lastReport?.agoMs ?? 0) * 65.536) >>> 0, 28);
  return packet;
}

export interface Arrival {
  readonly transportSequence: number;
  readonly atMs: number;
}

const symbolsPerChunk = 7;
const referenceMs = 64;
const tickMs = 0.25;
const [lost, smallStep, largeStep] = [0, 1, 2];

/** Of packets in order of their numbers, at least one; what is missing between them counts as lost. */
export function buildTransportFeedback(
  arrivals: readonly Arrival[],
  feedback: { ssrc: number; mediaSsrc: number; count: number },
): Buffer {
  const base = arrivals[0]!.transportSequence;
  const reference = Math.floor(arrivals[0]!.atMs / referenceMs);
  const symbols: number[] = [];
  const deltas: Buffer[] = [];
  let ticks = (reference * referenceMs) / tickMs;
  for (const { transportSequence, atMs } of arrivals) {
    while (((base + symbols.length) & 0xffff) !== transportSequence) symbols.push(lost);
    const delta = Math.round(atMs / tickMs) - ticks;
    ticks += delta;
    const small = delta >= 0 && delta <= 0xff;
    symbols.push(small ? smallStep : largeStep);
    const bytes = Buffer.alloc(small ? 1 : 2);
    if (small) bytes[0] = delta;
    else bytes.writeInt16BE(Math.max(-0x8000, Math.min(0x7fff, delta)));
    deltas.push(bytes);
  }
  const chunks = Buffer.alloc(2 * Math.ceil(symbols.length / symbolsPerChunk));
  for (let at = 0; at < chunks.length; at += 2) {
    let chunk = 0xc000;
    for (let i = 0; i < symbolsPerChunk; i++)
      chunk |= (symbols[(at / 2) * symbolsPerChunk + i] ?? lost) << (12 - 2 * i);
    chunks.writeUInt16BE(chunk, at);
  }
  const head = Buffer.alloc(20);
  const body = Buffer.concat([head, chunks, ...deltas]);
  const packet = Buffer.alloc(Math.ceil(body.length / 4) * 4);
  body.copy(packet);
  writeHead(packet, 15, transportFeedback);
  packet.writeUInt32BE(feedback.ssrc, 4);
  packet.writeUInt32BE(feedback.mediaSsrc, 8);
  packet.writeUInt16BE(base, 12);
  packet.writeUInt16BE(symbols.length, 14);
  packet.writeUIntBE(reference & 0x7f_ffff, 16, 3);
  packet[19] = feedback.count & 0xff;
  return packet;
}

function writeHead(packet: Buffer, format: number, type: number): void {
  packet[0] = 0x80 | format;
  packet[1] = type;
  packet.writeUInt16BE(packet.length / 4 - 1, 2);
}
