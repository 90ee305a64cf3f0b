// The binary layout of player input, shared by browser and agent: one message per event, little-endian.
//
//   byte 0      kind
//   bytes 1–4   sequence number, u32: one counter per sender for all kinds, wrapping
//   bytes 5–    the kind's fields, see `inputLayout` below
//
// Discrete events (keys, buttons, wheel, reset) travel in order and reliably. Full-state events (where the pointer is, how
// far it has moved in all, a gamepad) may be lost: the newest wins, and an older one that arrives late is dropped.
//
// Relative motion is a state, too: not how far since the last message, but how far in all since the page was opened, in
// counters that wrap. A lost message costs nothing, the next one has its motion. The two channels have no order between
// them, so a button says where the pointer was when it went down or up (kinds 8 and 9).

/** `KeyboardEvent.code` values (UI Events, "code"), by wire number: physical keys, whatever the layout. Append only. */
export const keyCodes = [
  "Escape",
  "Digit1",
  "Digit2",
  "Digit3",
  "Digit4",
  "Digit5",
  "Digit6",
  "Digit7",
  "Digit8",
  "Digit9",
  "Digit0",
  "Minus",
  "Equal",
  "Backspace",
  "Tab",
  "KeyQ",
  "KeyW",
  "KeyE",
  "KeyR",
  "KeyT",
  "KeyY",
  "KeyU",
  "KeyI",
  "KeyO",
  "KeyP",
  "BracketLeft",
  "BracketRight",
  "Enter",
  "ControlLeft",
  "KeyA",
  "KeyS",
  "KeyD",
  "KeyF",
  "KeyG",
  "KeyH",
  "KeyJ",
  "KeyK",
  "KeyL",
  "Semicolon",
  "Quote",
  "Backquote",
  "ShiftLeft",
  "Backslash",
  "KeyZ",
  "KeyX",
  "KeyC",
  "KeyV",
  "KeyB",
  "KeyN",
  "KeyM",
  "Comma",
  "Period",
  "Slash",
  "ShiftRight",
  "NumpadMultiply",
  "AltLeft",
  "Space",
  "CapsLock",
  "F1",
  "F2",
  "F3",
  "F4",
  "F5",
  "F6",
  "F7",
  "F8",
  "F9",
  "F10",
  "NumLock",
  "ScrollLock",
  "Numpad7",
  "Numpad8",
  "Numpad9",
  "NumpadSubtract",
  "Numpad4",
  "Numpad5",
  "Numpad6",
  "NumpadAdd",
  "Numpad1",
  "Numpad2",
  "Numpad3",
  "Numpad0",
  "NumpadDecimal",
  "IntlBackslash",
  "F11",
  "F12",
  "NumpadEnter",
  "ControlRight",
  "NumpadDivide",
  "PrintScreen",
  "AltRight",
  "Home",
  "ArrowUp",
  "PageUp",
  "ArrowLeft",
  "ArrowRight",
  "End",
  "ArrowDown",
  "PageDown",
  "Insert",
  "Delete",
  "Pause",
  "MetaLeft",
  "MetaRight",
  "ContextMenu",
] as const;
export type KeyCode = (typeof keyCodes)[number];

/** Gamepad in the W3C standard mapping: 17 buttons as bits, triggers 0–1, four axes −1–1 (left x, y, right x, y). */
export interface GamepadState {
  readonly index: number;
  readonly buttons: number;
  readonly leftTrigger: number;
  readonly rightTrigger: number;
  readonly axes: readonly [number, number, number, number];
}

/**
 * What a game hears. Positions are 0–1 of the picture; motion and wheel are CSS pixels; `button` as in
 * `MouseEvent.button`.
 */
export type GameInput =
  | { readonly kind: "key"; readonly code: KeyCode; readonly down: boolean }
  | { readonly kind: "mouse-move"; readonly dx: number; readonly dy: number }
  | { readonly kind: "mouse-position"; readonly x: number; readonly y: number }
  | { readonly kind: "mouse-button"; readonly button: number; readonly down: boolean }
  | { readonly kind: "wheel"; readonly dx: number; readonly dy: number }
  | ({ readonly kind: "gamepad" } & GamepadState)
  | { readonly kind: "reset" };

/** How far the pointer has moved in all: CSS pixels, i32, wrapping. */
export interface MotionCount {
  readonly x: number;
  readonly y: number;
}

/** What travels: what a game hears, and the forms of motion and buttons that survive loss; a game hears those apart. */
export type InputEvent =
  | GameInput
  | ({ readonly kind: "mouse-motion" } & MotionCount)
  | ({ readonly kind: "motion-button"; readonly button: number; readonly down: boolean } & MotionCount)
  | {
      readonly kind: "position-button";
      readonly button: number;
      readonly down: boolean;
      readonly x: number;
      readonly y: number;
    };

export interface InputMessage {
  readonly seq: number;
  readonly event: InputEvent;
}

/** Kinds of which only the newest matters: they may travel unreliably. */
export const isStateKind = (kind: InputEvent["kind"]): boolean =>
  kind === "mouse-position" || kind === "mouse-motion" || kind === "gamepad";
export const isState = ({ kind }: InputEvent): boolean => isStateKind(kind);

/** One byte that is no input message, sent every second: the page is alive. */
export const keepalive = 0xff;

/** The bytes are not an input message. */
export class InputFormatError extends Error {
  override name = "InputFormatError";
}

/** One field of a binary message. */
export interface Field {
  readonly name: string;
  readonly type: keyof typeof typeBytes;
  readonly meaning: string;
}
const typeBytes = { u8: 1, u16: 2, i16: 2, u32: 4, i32: 4 } as const;
export const field = (type: Field["type"], name: string, meaning: string): Field => ({ name, type, meaning });
const down = field("u8", "down", "1 pressed, 0 let go");
const axis = (name: string) => field("i16", name, "−32,767 to 32,767");
const button = field("u8", "button", "0–4 as in `MouseEvent.button`");
const position = [field("u16", "x", "0–65,535 of the picture's width"), field("u16", "y", "of its height")] as const;
const motion = [
  field("i32", "x", "CSS pixels to the right, in all since the page was opened, wrapping"),
  field("i32", "y", "and down"),
] as const;

/** The fields of each kind from byte 5 on; a kind's number is its place here. Append only. */
export const inputLayout = {
  key: [field("u8", "code", "the key's number"), down],
  "mouse-move": [field("i16", "dx", "CSS pixels to the right"), field("i16", "dy", "CSS pixels down")],
  "mouse-position": position,
  "mouse-button": [button, down],
  wheel: [field("i16", "dx", "CSS pixels to the right"), field("i16", "dy", "CSS pixels down")],
  gamepad: [
    field("u8", "index", "0–3"),
    field("u8", "leftTrigger", "0–255"),
    field("u8", "rightTrigger", "0–255"),
    field("u8", "reserved", "0"),
    field("u32", "buttons", "a bit each, by number in the W3C standard mapping"),
    axis("leftX"),
    axis("leftY"),
    axis("rightX"),
    axis("rightY"),
  ],
  reset: [],
  "mouse-motion": motion,
  "motion-button": [button, down, ...motion],
  "position-button": [button, down, ...position],
} as const satisfies Record<InputEvent["kind"], readonly Field[]>;

export const fieldBytes = (fields: readonly Field[]): number =>
  fields.reduce((bytes, { type }) => bytes + typeBytes[type], 0);

export const inputHeaderBytes = 5;
const kinds = Object.keys(inputLayout) as (keyof typeof inputLayout)[];
const bodyBytes = Object.values(inputLayout).map(fieldBytes);
export const inputBytesMax = inputHeaderBytes + Math.max(...bodyBytes);

const codeNumbers = new Map<string, number>(keyCodes.map((code, number) => [code, number]));

/** Whether a browser's `KeyboardEvent.code` can be sent. */
export const isKeyCode = (code: string): code is KeyCode => codeNumbers.has(code);

const i16 = (value: number) => Math.max(-32_767, Math.min(32_767, Math.round(value)));
const unit16 = (value: number) => Math.round(Math.max(0, Math.min(1, value)) * 65_535);
const signed16 = (value: number) => Math.round(Math.max(-1, Math.min(1, value)) * 32_767);

export function encodeInput({ seq, event }: InputMessage): Uint8Array {
  const kind = kinds.indexOf(event.kind);
  const bytes = new Uint8Array(inputHeaderBytes + bodyBytes[kind]!);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, kind);
  view.setUint32(1, seq, true);
  switch (event.kind) {
    case "key":
      view.setUint8(5, codeNumbers.get(event.code)!);
      view.setUint8(6, event.down ? 1 : 0);
      break;
    case "mouse-move":
    case "wheel":
      view.setInt16(5, i16(event.dx), true);
      view.setInt16(7, i16(event.dy), true);
      break;
    case "mouse-position":
      view.setUint16(5, unit16(event.x), true);
      view.setUint16(7, unit16(event.y), true);
      break;
    case "mouse-motion":
      view.setInt32(5, event.x, true);
      view.setInt32(9, event.y, true);
      break;
    case "mouse-button":
      setButton(view, event);
      break;
    case "motion-button":
      setButton(view, event);
      view.setInt32(7, event.x, true);
      view.setInt32(11, event.y, true);
      break;
    case "position-button":
      setButton(view, event);
      view.setUint16(7, unit16(event.x), true);
      view.setUint16(9, unit16(event.y), true);
      break;
    case "gamepad":
      view.setUint8(5, event.index);
      view.setUint8(6, Math.round(Math.max(0, Math.min(1, event.leftTrigger)) * 255));
      view.setUint8(7, Math.round(Math.max(0, Math.min(1, event.rightTrigger)) * 255));
      view.setUint32(9, event.buttons, true);
      for (const [i, axis] of event.axes.entries()) view.setInt16(13 + i * 2, signed16(axis), true);
      break;
    case "reset":
      break;
  }
  return bytes;
}

function setButton(view: DataView, { button, down }: { readonly button: number; readonly down: boolean }): void {
  view.setUint8(5, button);
  view.setUint8(6, down ? 1 : 0);
}

/** @throws InputFormatError on an unknown kind, a wrong length, or a field out of its range. */
export function decodeInput(bytes: Uint8Array): InputMessage {
  const kind = kinds[bytes[0] ?? 255];
  if (kind === undefined) throw new InputFormatError(`unknown kind ${bytes[0]}`);
  const expected = inputHeaderBytes + bodyBytes[kinds.indexOf(kind)]!;
  if (bytes.length !== expected) throw new InputFormatError(`${kind} is ${expected} bytes, not ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { seq: view.getUint32(1, true), event: decodeBody(kind, view) };
}

function decodeBody(kind: InputEvent["kind"], view: DataView): InputEvent {
  switch (kind) {
    case "key": {
      const code = keyCodes[view.getUint8(5)];
      if (code === undefined) throw new InputFormatError(`unknown key ${view.getUint8(5)}`);
      return { kind, code, down: flag(view.getUint8(6)) };
    }
    case "mouse-move":
    case "wheel":
      return { kind, dx: view.getInt16(5, true), dy: view.getInt16(7, true) };
    case "mouse-position":
      return { kind, x: view.getUint16(5, true) / 65_535, y: view.getUint16(7, true) / 65_535 };
    case "mouse-motion":
      return { kind, x: view.getInt32(5, true), y: view.getInt32(9, true) };
    case "mouse-button":
      return { kind, ...buttonIn(view) };
    case "motion-button":
      return { kind, ...buttonIn(view), x: view.getInt32(7, true), y: view.getInt32(11, true) };
    case "position-button":
      return { kind, ...buttonIn(view), x: view.getUint16(7, true) / 65_535, y: view.getUint16(9, true) / 65_535 };
    case "gamepad": {
      const index = view.getUint8(5);
      if (index > 3) throw new InputFormatError(`gamepad ${index} of 4`);
      const axis = (i: number) => Math.max(-1, view.getInt16(13 + i * 2, true) / 32_767);
      return {
        kind,
        index,
        leftTrigger: view.getUint8(6) / 255,
        rightTrigger: view.getUint8(7) / 255,
        buttons: view.getUint32(9, true),
        axes: [axis(0), axis(1), axis(2), axis(3)],
      };
    }
    case "reset":
      return { kind };
  }
}

function buttonIn(view: DataView): { button: number; down: boolean } {
  const button = view.getUint8(5);
  if (button > 4) throw new InputFormatError(`unknown mouse button ${button}`);
  return { button, down: flag(view.getUint8(6)) };
}

function flag(value: number): boolean {
  if (value > 1) throw new InputFormatError(`a flag is 0 or 1, not ${value}`);
  return value === 1;
}

/** The sequence number of an input message that has been decoded before. */
export const seqOf = (message: Uint8Array): number =>
  new DataView(message.buffer, message.byteOffset, message.byteLength).getUint32(1, true);

/** Whether sequence number `a` was sent after `b` (serial number arithmetic, RFC 1982). */
export const isNewer = (a: number, b: number): boolean => a !== b && (a - b) >>> 0 < 0x8000_0000;
