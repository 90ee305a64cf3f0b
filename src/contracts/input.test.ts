import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeInput,
  encodeInput,
  type InputEvent,
  InputFormatError,
  inputBytesMax,
  isNewer,
  keyCodes,
} from "./input.js";

const i16 = fc.integer({ min: -32_767, max: 32_767 });
const wireUnit = fc.integer({ min: 0, max: 65_535 }).map((n) => n / 65_535);
const wireTrigger = fc.integer({ min: 0, max: 255 }).map((n) => n / 255);
const wireAxis = i16.map((n) => n / 32_767);
const i32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const button = { button: fc.integer({ min: 0, max: 4 }), down: fc.boolean() };
const event: fc.Arbitrary<InputEvent> = fc.oneof(
  fc.record({ kind: fc.constant("key" as const), code: fc.constantFrom(...keyCodes), down: fc.boolean() }),
  fc.record({ kind: fc.constant("mouse-move" as const), dx: i16, dy: i16 }),
  fc.record({ kind: fc.constant("wheel" as const), dx: i16, dy: i16 }),
  fc.record({ kind: fc.constant("mouse-position" as const), x: wireUnit, y: wireUnit }),
  fc.record({ kind: fc.constant("mouse-button" as const), ...button }),
  fc.record({ kind: fc.constant("mouse-motion" as const), x: i32, y: i32 }),
  fc.record({ kind: fc.constant("motion-button" as const), ...button, x: i32, y: i32 }),
  fc.record({ kind: fc.constant("position-button" as const), ...button, x: wireUnit, y: wireUnit }),
  fc.record({
    kind: fc.constant("gamepad" as const),
    index: fc.integer({ min: 0, max: 3 }),
    buttons: fc.nat(0xffff_ffff),
    leftTrigger: wireTrigger,
    rightTrigger: wireTrigger,
    axes: fc.tuple(wireAxis, wireAxis, wireAxis, wireAxis),
  }),
  fc.record({ kind: fc.constant("reset" as const) }),
);

describe("the input layout", () => {
  it("carries every event unchanged, in at most the stated bytes", () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff), event, (seq, sent) => {
        const bytes = encodeInput({ seq, event: sent });
        expect(bytes.length).toBeLessThanOrEqual(inputBytesMax);
        expect(decodeInput(bytes)).toEqual({ seq, event: sent });
      }),
    );
  });

  it("answers any other bytes with a typed error, and reads nothing else into them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          const message = decodeInput(bytes);
          expect(decodeInput(encodeInput(message))).toStrictEqual(message);
        } catch (error) {
          expect(error).toBeInstanceOf(InputFormatError);
        }
      }),
    );
  });

  it("limits motion, positions and axes that a page sends out of range", () => {
    const moved = decodeInput(encodeInput({ seq: 1, event: { kind: "mouse-move", dx: 1e9, dy: -1e9 } })).event;
    expect(moved).toStrictEqual({ kind: "mouse-move", dx: 32_767, dy: -32_767 });
    const placed = decodeInput(encodeInput({ seq: 1, event: { kind: "mouse-position", x: 7, y: -7 } })).event;
    expect(placed).toStrictEqual({ kind: "mouse-position", x: 1, y: 0 });
  });

  it("orders sequence numbers across their wrap-around", () => {
    expect(isNewer(0, 0xffff_ffff)).toBe(true);
    expect(isNewer(0xffff_ffff, 0)).toBe(false);
    expect(isNewer(5, 5)).toBe(false);
  });
});
