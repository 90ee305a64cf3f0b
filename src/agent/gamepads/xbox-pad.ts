// An Xbox 360 gamepad as the kernel's uinput driver wants it told: how it is made, and what its states are. Pure: bytes and
// numbers, nothing is written from here.
//
// It has the bus, vendor, product, buttons and axes of the kernel's own driver of that pad (drivers/input/joystick/xpad.c),
// so that SDL and everything built on it knows its layout without being told. Structures and numbers are those of
// linux/uinput.h and linux/input.h on 64-bit machines, little-endian; the test has what a C compiler makes of them.
import type { GamepadState } from "../../contracts/input.js";

/** asm-generic/ioctl.h: direction, size, type "U", number. */
const ioctl = (direction: 0 | 1 | 2, number: number, bytes: number) =>
  ((direction << 30) | (bytes << 16) | (0x55 << 8) | number) >>> 0;
const setupBytes = 92;
const absSetupBytes = 28;
const nameBytesMax = 80;
export const sysNameBytes = 64;
export const requests = {
  create: ioctl(0, 1, 0),
  setup: ioctl(1, 3, setupBytes),
  absSetup: ioctl(1, 4, absSetupBytes),
  setEventBit: ioctl(1, 100, 4),
  setKeyBit: ioctl(1, 101, 4),
  setAbsBit: ioctl(1, 103, 4),
  /** Under which name it stands in /sys/devices/virtual/input. */
  sysName: ioctl(2, 44, sysNameBytes),
} as const;

const event = { sync: 0, key: 1, abs: 3 } as const;
const eventBytes = 24;

/** linux/input-event-codes.h, by the bit of the W3C standard mapping; 6 and 7 are axes here, 12–15 the hat. */
const buttonCodes: readonly (readonly [bit: number, code: number])[] = [
  [0, 0x130], // BTN_A
  [1, 0x131], // BTN_B
  [2, 0x133], // BTN_X
  [3, 0x134], // BTN_Y
  [4, 0x136], // BTN_TL
  [5, 0x137], // BTN_TR
  [8, 0x13a], // BTN_SELECT
  [9, 0x13b], // BTN_START
  [16, 0x13c], // BTN_MODE
  [10, 0x13d], // BTN_THUMBL
  [11, 0x13e], // BTN_THUMBR
];

interface Axis {
  readonly code: number;
  readonly min: number;
  readonly max: number;
  readonly fuzz: number;
  readonly flat: number;
  readonly value: (state: GamepadState) => number;
}
const stick = (code: number, i: 0 | 1 | 2 | 3): Axis => ({
  code,
  min: -32_768,
  max: 32_767,
  fuzz: 16,
  flat: 128,
  value: ({ axes }) => Math.round(axes[i] * 32_767),
});
/** A pad may say that a trigger is pressed, and not how far. */
const trigger = (code: number, bit: number, of: (state: GamepadState) => number): Axis => ({
  code,
  min: 0,
  max: 255,
  fuzz: 0,
  flat: 0,
  value: (state) => Math.round((of(state) || (state.buttons >> bit) & 1) * 255),
});
const hat = (code: number, less: number, more: number): Axis => ({
  code,
  min: -1,
  max: 1,
  fuzz: 0,
  flat: 0,
  value: ({ buttons }) => ((buttons >> more) & 1) - ((buttons >> less) & 1),
});
const axes: readonly Axis[] = [
  stick(0x00, 0), // ABS_X
  stick(0x01, 1), // ABS_Y, down is positive as in the browser
  trigger(0x02, 6, ({ leftTrigger }) => leftTrigger), // ABS_Z
  stick(0x03, 2), // ABS_RX
  stick(0x04, 3), // ABS_RY
  trigger(0x05, 7, ({ rightTrigger }) => rightTrigger), // ABS_RZ
  hat(0x10, 14, 15), // ABS_HAT0X
  hat(0x11, 12, 13), // ABS_HAT0Y
];

const identity = { bus: 0x03, vendor: 0x045e, product: 0x028e, version: 0x0110 } as const;
const name = "Microsoft X-Box 360 pad";

export interface Request {
  readonly request: number;
  readonly argument: number | Uint8Array;
}

/** The requests that make the pad, in their order. */
export function creation(): Request[] {
  return [
    { request: requests.setEventBit, argument: event.key },
    ...buttonCodes.map(([, code]) => ({ request: requests.setKeyBit, argument: code })),
    { request: requests.setEventBit, argument: event.abs },
    ...axes.flatMap((axis) => [
      { request: requests.setAbsBit, argument: axis.code },
      { request: requests.absSetup, argument: absSetup(axis) },
    ]),
    { request: requests.setup, argument: setup() },
    { request: requests.create, argument: 0 },
  ];
}

/** What is written to tell the driver what has changed; nothing when nothing has. `before` null: a pad just made, at rest. */
export function changes(before: GamepadState | null, state: GamepadState): Uint8Array {
  const pressed = (of: GamepadState | null, bit: number) => ((of?.buttons ?? 0) >> bit) & 1;
  const changed = [
    ...buttonCodes
      .filter(([bit]) => pressed(before, bit) !== pressed(state, bit))
      .map(([bit, code]) => ({ type: event.key, code, value: pressed(state, bit) })),
    ...axes
      .filter(({ value }) => (before === null ? 0 : value(before)) !== value(state))
      .map(({ code, value }) => ({ type: event.abs, code, value: value(state) })),
  ];
  const events = changed.length === 0 ? [] : [...changed, { type: event.sync, code: 0, value: 0 }];
  const bytes = new Uint8Array(events.length * eventBytes);
  const view = new DataView(bytes.buffer);
  // struct input_event: 16 bytes of time, which the kernel fills in, then type, code and value.
  for (const [i, { type, code, value }] of events.entries()) {
    view.setUint16(i * eventBytes + 16, type, true);
    view.setUint16(i * eventBytes + 18, code, true);
    view.setInt32(i * eventBytes + 20, value, true);
  }
  return bytes;
}

/** struct uinput_setup. */
function setup(): Uint8Array {
  const bytes = new Uint8Array(setupBytes);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, identity.bus, true);
  view.setUint16(2, identity.vendor, true);
  view.setUint16(4, identity.product, true);
  view.setUint16(6, identity.version, true);
  bytes.set(new TextEncoder().encode(name).subarray(0, nameBytesMax - 1), 8);
  return bytes;
}

/** struct uinput_abs_setup: the axis, then struct input_absinfo. */
function absSetup({ code, min, max, fuzz, flat }: Axis): Uint8Array {
  const bytes = new Uint8Array(absSetupBytes);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, code, true);
  view.setInt32(8, min, true);
  view.setInt32(12, max, true);
  view.setInt32(16, fuzz, true);
  view.setInt32(20, flat, true);
  return bytes;
}
