// The literal bytes and numbers are what a C program prints that includes linux/uinput.h, compiled against Debian's
// linux-libc-dev 6.1.187 for x86-64: sizeof, offsetof, and the memory of the structures themselves.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { GamepadState } from "../../contracts/input.js";
import { changes, creation, requests } from "./xbox-pad.js";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const pad = (over: Partial<GamepadState> = {}): GamepadState => ({
  index: 0,
  buttons: 0,
  leftTrigger: 0,
  rightTrigger: 0,
  axes: [0, 0, 0, 0],
  ...over,
});

/** Reads input_events back: [type, code, value] each. */
function eventsIn(bytes: Uint8Array): [number, number, number][] {
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 24 }, (_, i) => [
    view.getUint16(i * 24 + 16, true),
    view.getUint16(i * 24 + 18, true),
    view.getInt32(i * 24 + 20, true),
  ]);
}

test("the ioctl numbers are the kernel's", () => {
  expect(requests).toEqual({
    create: 0x5501, // UI_DEV_CREATE
    setup: 0x405c5503, // UI_DEV_SETUP
    absSetup: 0x401c5504, // UI_ABS_SETUP
    setEventBit: 0x40045564, // UI_SET_EVBIT
    setKeyBit: 0x40045565, // UI_SET_KEYBIT
    setAbsBit: 0x40045567, // UI_SET_ABSBIT
    sysName: 0x8040552c, // UI_GET_SYSNAME(64)
  });
});

test("a pad is made with the structures that C would make", () => {
  const made = creation();
  const argumentOf = (request: number) => made.filter((one) => one.request === request).map(({ argument }) => argument);
  // struct uinput_setup { .id = { BUS_USB, 0x45e, 0x28e, 0x110 }, .name = "Microsoft X-Box 360 pad" }
  expect(argumentOf(requests.setup).map((bytes) => hex(bytes as Uint8Array))).toEqual([
    `03005e048e021001${"4d6963726f736f667420582d426f782033363020706164".padEnd(168, "0")}`,
  ]);
  // struct uinput_abs_setup { .code = ABS_X, .absinfo = { 0, -32768, 32767, 16, 128, 0 } }
  expect(hex(argumentOf(requests.absSetup)[0] as Uint8Array)).toBe(
    "00000000000000000080ffffff7f0000100000008000000000000000",
  );
  // BTN_A, B, X, Y, TL, TR, SELECT, START, MODE, THUMBL, THUMBR
  expect(argumentOf(requests.setKeyBit)).toEqual([
    0x130, 0x131, 0x133, 0x134, 0x136, 0x137, 0x13a, 0x13b, 0x13c, 0x13d, 0x13e,
  ]);
  // ABS_X, Y, Z, RX, RY, RZ, HAT0X, HAT0Y
  expect(argumentOf(requests.setAbsBit)).toEqual([0, 1, 2, 3, 4, 5, 0x10, 0x11]);
  expect(argumentOf(requests.setEventBit)).toEqual([1, 3]);
  expect(made.at(-1)).toEqual({ request: requests.create, argument: 0 });
});

test("a change is told as input_events, with a report at its end", () => {
  const bytes = changes(null, pad({ buttons: 1 << 12 }));
  // struct input_event { .type = EV_ABS, .code = ABS_HAT0Y, .value = -1 }, then SYN_REPORT
  expect(hex(bytes)).toBe(`0000000000000000000000000000000003001100ffffffff${"0".repeat(48)}`);
});

test("sticks, triggers, buttons and the cross arrive where an Xbox pad has them", () => {
  const state = pad({ buttons: (1 << 0) | (1 << 16) | (1 << 15), leftTrigger: 0.5, axes: [-1, 1, 0.5, 0] });
  expect(eventsIn(changes(null, state))).toEqual([
    [1, 0x130, 1],
    [1, 0x13c, 1],
    [3, 0x00, -32_767],
    [3, 0x01, 32_767],
    [3, 0x02, 128],
    [3, 0x03, 16_384],
    [3, 0x10, 1],
    [0, 0, 0],
  ]);
  expect(eventsIn(changes(null, pad({ buttons: 1 << 7 })))).toContainEqual([3, 0x05, 255]);
});

test("only what changes is told, and all of it: the driver ends in the newest state, whatever came before", () => {
  const part = fc.integer({ min: -32_767, max: 32_767 }).map((n) => n / 32_767);
  const state = fc.record({
    index: fc.constant(0),
    buttons: fc.nat(0x1ffff),
    leftTrigger: fc.nat(255).map((n) => n / 255),
    rightTrigger: fc.nat(255).map((n) => n / 255),
    axes: fc.tuple(part, part, part, part),
  });
  fc.assert(
    fc.property(fc.array(state, { minLength: 1, maxLength: 8 }), (states) => {
      const driver = new Map<string, number>();
      let before: GamepadState | null = null;
      for (const next of states) {
        for (const [type, code, value] of eventsIn(changes(before, next))) {
          if (type === 0) continue;
          expect(driver.get(`${type} ${code}`) ?? 0).not.toBe(value);
          driver.set(`${type} ${code}`, value);
        }
        before = next;
      }
      for (const [type, code, value] of eventsIn(changes(null, before!)))
        if (type !== 0) expect(driver.get(`${type} ${code}`)).toBe(value);
      expect(changes(before, before!)).toHaveLength(0);
    }),
  );
});
