import { expect, test } from "vitest";
import { decodeInput, encodeInput } from "../../contracts/input.js";
import { atRest, gamepadState, type Pad, sameState } from "./gamepad-state.js";

const pad = (pressed: number[], axes = [0, 0, 0, 0], values: Record<number, number> = {}): Pad => ({
  index: 1,
  buttons: Array.from({ length: 17 }, (_, i) => ({ pressed: pressed.includes(i), value: values[i] ?? 0 })),
  axes,
});

test("buttons become bits, triggers and axes keep their values", () => {
  expect(gamepadState(pad([0, 9, 16], [-1, 0.5, 0, 1], { 6: 0.25, 7: 1 }))).toEqual({
    index: 1,
    buttons: (1 << 0) | (1 << 9) | (1 << 16),
    leftTrigger: 0.25,
    rightTrigger: 1,
    axes: [-1, 0.5, 0, 1],
  });
});

test("a pad with fewer buttons and axes is one with the rest at rest", () => {
  expect(gamepadState({ index: 0, buttons: [{ pressed: true, value: 1 }], axes: [0.5] })).toEqual({
    ...atRest(0),
    buttons: 1,
    axes: [0.5, 0, 0, 0],
  });
});

test("a pad with more buttons than the standard has still fits the wire", () => {
  const many = { ...pad([]), buttons: Array.from({ length: 40 }, () => ({ pressed: true, value: 1 })) };
  const state = gamepadState(many);
  expect(decodeInput(encodeInput({ seq: 1, event: { kind: "gamepad", ...state } })).event).toEqual({
    kind: "gamepad",
    ...state,
  });
});

test("a change smaller than the wire's resolution is no change", () => {
  expect(sameState(gamepadState(pad([], [0.1, 0, 0, 0])), gamepadState(pad([], [0.100_001, 0, 0, 0])))).toBe(true);
  expect(sameState(gamepadState(pad([], [0.1, 0, 0, 0])), gamepadState(pad([], [0.101, 0, 0, 0])))).toBe(false);
  expect(sameState(gamepadState(pad([3])), gamepadState(pad([])))).toBe(false);
});
