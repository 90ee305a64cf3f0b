// The binary layout of rumble, machine → page, on the reliable "input" data channel in reverse: one message an effect,
// little-endian. An effect replaces the one before on the same gamepad; one without strength ends it.
//
//   byte 0      kind, 0
//   bytes 1–    the fields of `rumbleLayout`
import { type Field, field, fieldBytes } from "./input.js";

/** Strengths are 0–1: of the slow, heavy motor and of the fast, light one ("dual-rumble", W3C Gamepad Extensions). */
export interface Rumble {
  readonly index: number;
  readonly strong: number;
  readonly weak: number;
  readonly durationMs: number;
}

/** Browsers refuse longer effects (W3C Gamepad Extensions, "valid effect": duration and delay together). */
export const rumbleMsMax = 5_000;

export const rumbleKind = 0;
export const rumbleLayout: readonly Field[] = [
  field("u8", "index", "0–3, whose gamepad"),
  field("u8", "strong", "0–255, the heavy motor"),
  field("u8", "weak", "0–255, the light motor"),
  field("u16", "durationMs", `0–${rumbleMsMax.toLocaleString("en")}`),
];
export const rumbleBytes = 1 + fieldBytes(rumbleLayout);

/** The bytes are no rumble. */
export class RumbleFormatError extends Error {
  override name = "RumbleFormatError";
}

const byte = (strength: number) => Math.round(Math.max(0, Math.min(1, strength)) * 255);

/** Strengths and duration out of their range are brought into it. */
export function encodeRumble({ index, strong, weak, durationMs }: Rumble): Uint8Array {
  const bytes = new Uint8Array(rumbleBytes);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, rumbleKind);
  view.setUint8(1, index);
  view.setUint8(2, byte(strong));
  view.setUint8(3, byte(weak));
  view.setUint16(4, Math.round(Math.max(0, Math.min(rumbleMsMax, durationMs))), true);
  return bytes;
}

/** @throws RumbleFormatError on an unknown kind, a wrong length, or a field out of its range. */
export function decodeRumble(bytes: Uint8Array): Rumble {
  if (bytes[0] !== rumbleKind) throw new RumbleFormatError(`unknown kind ${bytes[0]}`);
  if (bytes.length !== rumbleBytes) throw new RumbleFormatError(`rumble is ${rumbleBytes} bytes, not ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const index = view.getUint8(1);
  const durationMs = view.getUint16(4, true);
  if (index > 3) throw new RumbleFormatError(`gamepad ${index} of 4`);
  if (durationMs > rumbleMsMax) throw new RumbleFormatError(`${durationMs} ms are more than ${rumbleMsMax}`);
  return { index, strong: view.getUint8(2) / 255, weak: view.getUint8(3) / 255, durationMs };
}
