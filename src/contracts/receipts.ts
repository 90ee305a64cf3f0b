// The binary layout of a frame's receipt, from the machine to the page: what went into the frame and how long each step
// took, little-endian, one message a frame on the data channel "state" (unordered, never sent again).
//
//   bytes 0–     the frame, see `receiptLayout` below
//   then         `inputs` times what is in it for the first time, see `receiptInputLayout`
//
// Durations only: the page has a clock of its own, and adds them up to nothing but durations (player/latency).
import { type Field, field, fieldBytes } from "./input.js";

/** An input that this frame is the first to show. */
export interface AppliedInput {
  readonly seq: number;
  /** From its arrival at the machine until the frame was begun. */
  readonly waitUs: number;
}

export interface FrameReceipt {
  /** Of the frame's packets: what joins the two. */
  readonly rtpTimestamp: number;
  readonly keyframe: boolean;
  /** Frames a second the machine aims at now. */
  readonly fps: number;
  /** Frames left out before this one, because they could not be made in time. */
  readonly skipped: number;
  /** Frames left out before this one, because the path had no room for them. */
  readonly heldBack: number;
  /** What the encoder is to keep to. */
  readonly bitrateKbps: number;
  readonly bytes: number;
  readonly drawUs: number;
  readonly encodeUs: number;
  /** From the encoder's last bit until the last packet was given to the network. */
  readonly sendUs: number;
  /** The newest input in the game; 0 before the first. */
  readonly newestInput: number;
  readonly inputs: readonly AppliedInput[];
}

/** The bytes are not a receipt. */
export class ReceiptFormatError extends Error {
  override name = "ReceiptFormatError";
}

/** The first byte: other kinds of messages may follow on this channel one day. */
export const receiptKind = 1;

/** Those that arrived first; a mouse at 1,000 Hz is thinned out to less before it is sent. */
export const receiptInputsMax = 8;

export const receiptLayout = [
  field("u8", "kind", `${receiptKind}`),
  field("u8", "keyframe", "1 if it is one, else 0"),
  field("u8", "fps", "frames a second the machine aims at now"),
  field("u8", "skipped", "frames left out before this one, because they could not be made in time; 255: or more"),
  field("u8", "heldBack", "frames left out before this one, because the path had no room for them; 255: or more"),
  field("u32", "rtpTimestamp", "of the frame's packets"),
  field("u16", "bitrateKbps", "what the encoder is to keep to; 65,535: or more"),
  field("u32", "bytes", "of the encoded frame"),
  field("u32", "drawUs", "µs to draw or capture it"),
  field("u32", "encodeUs", "µs to encode it"),
  field("u32", "sendUs", "µs until its last packet was given to the network"),
  field("u32", "newestInput", "sequence number of the newest input in the game, 0 before the first"),
  field("u8", "inputs", `how many follow, 0–${receiptInputsMax}`),
] as const satisfies readonly Field[];

export const receiptInputLayout = [
  field("u32", "seq", "sequence number of an input that this frame is the first to show"),
  field("u32", "waitUs", "µs from its arrival at the machine until the frame was begun"),
] as const satisfies readonly Field[];

const headBytes = fieldBytes(receiptLayout);
const inputBytes = fieldBytes(receiptInputLayout);
export const receiptBytesMax = headBytes + receiptInputsMax * inputBytes;

const u8 = (value: number) => Math.max(0, Math.min(0xff, Math.round(value)));
const u16 = (value: number) => Math.max(0, Math.min(0xffff, Math.round(value)));
const u32 = (value: number) => Math.max(0, Math.min(0xffff_ffff, Math.round(value)));

/** Writes it into `memory` (at least `receiptBytesMax`) and answers that part: 60 a second need no memory of their own. */
export function encodeReceipt(receipt: FrameReceipt, memory: Uint8Array): Uint8Array {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  const inputs = receipt.inputs.slice(0, receiptInputsMax);
  view.setUint8(0, receiptKind);
  view.setUint8(1, receipt.keyframe ? 1 : 0);
  view.setUint8(2, u8(receipt.fps));
  view.setUint8(3, u8(receipt.skipped));
  view.setUint8(4, u8(receipt.heldBack));
  view.setUint32(5, receipt.rtpTimestamp, true);
  view.setUint16(9, u16(receipt.bitrateKbps), true);
  view.setUint32(11, u32(receipt.bytes), true);
  view.setUint32(15, u32(receipt.drawUs), true);
  view.setUint32(19, u32(receipt.encodeUs), true);
  view.setUint32(23, u32(receipt.sendUs), true);
  view.setUint32(27, receipt.newestInput, true);
  view.setUint8(31, inputs.length);
  for (const [i, { seq, waitUs }] of inputs.entries()) {
    view.setUint32(headBytes + i * inputBytes, seq, true);
    view.setUint32(headBytes + i * inputBytes + 4, u32(waitUs), true);
  }
  return memory.subarray(0, headBytes + inputs.length * inputBytes);
}

/** @throws ReceiptFormatError on another kind, a wrong length, or a field out of its range. */
export function decodeReceipt(bytes: Uint8Array): FrameReceipt {
  if (bytes[0] !== receiptKind) throw new ReceiptFormatError(`unknown kind ${bytes[0]}`);
  if (bytes.length < headBytes) throw new ReceiptFormatError(`a receipt has ${headBytes} bytes, not ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const keyframe = view.getUint8(1);
  if (keyframe > 1) throw new ReceiptFormatError(`a flag is 0 or 1, not ${keyframe}`);
  const count = view.getUint8(31);
  if (count > receiptInputsMax) throw new ReceiptFormatError(`${count} inputs of ${receiptInputsMax}`);
  const expected = headBytes + count * inputBytes;
  if (bytes.length !== expected) throw new ReceiptFormatError(`that receipt is ${expected} bytes, not ${bytes.length}`);
  const inputs: AppliedInput[] = [];
  for (let at = headBytes; at < expected; at += inputBytes)
    inputs.push({ seq: view.getUint32(at, true), waitUs: view.getUint32(at + 4, true) });
  return {
    rtpTimestamp: view.getUint32(5, true),
    keyframe: keyframe === 1,
    fps: view.getUint8(2),
    skipped: view.getUint8(3),
    heldBack: view.getUint8(4),
    bitrateKbps: view.getUint16(9, true),
    bytes: view.getUint32(11, true),
    drawUs: view.getUint32(15, true),
    encodeUs: view.getUint32(19, true),
    sendUs: view.getUint32(23, true),
    newestInput: view.getUint32(27, true),
    inputs,
  };
}
