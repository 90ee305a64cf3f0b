import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeRumble, encodeRumble, RumbleFormatError, rumbleBytes, rumbleMsMax } from "./rumble.js";

const strength = fc.integer({ min: 0, max: 255 }).map((n) => n / 255);
const rumble = fc.record({ index: fc.nat(3), strong: strength, weak: strength, durationMs: fc.nat(rumbleMsMax) });

test("rumble arrives as it was sent, in the stated bytes", () => {
  fc.assert(
    fc.property(rumble, (sent) => {
      const bytes = encodeRumble(sent);
      expect(bytes.length).toBe(rumbleBytes);
      expect(decodeRumble(bytes)).toEqual(sent);
    }),
  );
});

test("what a game asks for beyond the motors' range, or for longer than browsers play, is bounded", () => {
  expect(decodeRumble(encodeRumble({ index: 1, strong: 9, weak: -1, durationMs: 60_000 }))).toEqual({
    index: 1,
    strong: 1,
    weak: 0,
    durationMs: rumbleMsMax,
  });
});

test("any other bytes are a typed error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 10 }), (bytes) => {
      try {
        expect(encodeRumble(decodeRumble(bytes))).toEqual(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(RumbleFormatError);
      }
    }),
  );
});
