// Bad bytes: input messages by the table of their layout, RTCP packets by their formats, and either with changes.

import type { Random } from "../../sim/kernel/random.js";
import { fieldBytes, inputLayout } from "../../src/contracts/input.js";

/** One in two fields at an edge of its width, where a decoder that forgot a bound would show it. */
export function inputMessage(random: Random, seq = random.whole(0, 2 ** 32 - 1)): Uint8Array {
  const kinds = Object.values(inputLayout);
  const kind = random.whole(0, kinds.length - 1);
  const bytes = [kind, ...littleEndian(seq, 4)];
  for (const field of kinds[kind]!) {
    const width = fieldBytes([field]);
    const most = 256 ** width - 1;
    const value = random.chance(0.5) ? random.pick([0, 1, most >> 1, (most >> 1) + 1, most]) : random.whole(0, most);
    bytes.push(...littleEndian(value, width));
  }
  return Uint8Array.from(bytes);
}

const littleEndian = (value: number, width: number): number[] =>
  Array.from({ length: width }, (_, i) => Math.floor(value / 256 ** i) & 0xff);

/** Some bytes are others, or it is cut, or longer. */
export function changedBytes(random: Random, bytes: Uint8Array): Buffer {
  const length = random.chance(0.6) ? bytes.length : random.whole(0, bytes.length + 20);
  const changed = Buffer.alloc(length);
  changed.set(bytes.subarray(0, length));
  for (let i = random.whole(0, 4); i > 0 && length > 0; i--)
    changed[random.whole(0, length - 1)] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.whole(0, 255)]);
  return changed;
}

/** Of the kinds a browser sends, and some it does not (RFC 3550 §6, RFC 4585 §6.1). */
export function rtcpPacket(random: Random): Buffer {
  const [type, format] = random.pick([
    [200, random.whole(0, 31)],
    [201, random.whole(0, 31)],
    [202, 1],
    [205, 1],
    [205, 15],
    [205, 15],
    [206, 1],
    [206, 4],
    [206, 15],
    [204, random.whole(0, 31)],
  ] as const);
  const words = random.whole(0, 40);
  const packet = Buffer.alloc(4 + 4 * words);
  for (let at = 4; at < packet.length; at++) packet[at] = random.whole(0, 255);
  packet.writeUInt8(0x80 | format, 0);
  packet.writeUInt8(type, 1);
  packet.writeUInt16BE(random.chance(0.9) ? words : random.whole(0, 0xffff), 2);
  // One of our own streams, a count that the rest can hold, chunks that tell of arrivals.
  if (packet.length >= 12) packet.writeUInt32BE(1, 8);
  if (packet.length >= 20 && type === 205 && random.chance(0.8)) packet.writeUInt16BE(random.whole(0, 60), 14);
  if (packet.length >= 20 && type === 206 && format === 15) packet.write("REMB", 12, "latin1");
  return packet;
}

/** Of one packet of the stream 1 (RFC 4585 §6.2.1). */
export function nackOf(sequence: number): Buffer {
  const packet = Buffer.from("81cd0003000000090000000100000000", "hex");
  packet.writeUInt16BE(sequence & 0xffff, 12);
  return packet;
}
