import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeInput, encodeInput } from "../../contracts/input.js";
import { atRest, gamepadState, type Pad, PadSlots, sameState } from "./gamepad-state.js";

const pad = (pressed: number[], axes = [0, 0, 0, 0], values: Record<number, number> = {}): Pad => ({
  index: 1,
  mapping: "standard",
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
  expect(gamepadState({ index: 0, mapping: "standard", buttons: [{ pressed: true, value: 1 }], axes: [0.5] })).toEqual({
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

const raw = (axes: number[], pressed: number[] = [], buttons = 13): Pad => ({
  index: 0,
  mapping: "",
  buttons: Array.from({ length: buttons }, (_, i) => ({
    pressed: pressed.includes(i),
    value: Number(pressed.includes(i)),
  })),
  axes,
});
const up = 1 << 12;
const right = 1 << 15;

test("a raw pad of Linux has its triggers and its cross on axes", () => {
  const state = gamepadState(raw([0.1, 0.2, -1, 0.3, 0.4, 1, 1, -1], [0, 12]));
  expect(state).toEqual({
    index: 0,
    buttons: 1 | (1 << 16) | up | right,
    leftTrigger: 0,
    rightTrigger: 1,
    axes: [0.1, 0.2, 0.3, 0.4],
  });
});

test("a raw trigger that nobody has touched yet is not half pressed", () => {
  expect(gamepadState(raw([0, 0, 0, 0, 0, 0, 0, 0]))).toEqual(atRest(0));
});

test("a raw pad of DirectInput has its cross on a dial", () => {
  const dialled = (dial: number) => gamepadState(raw([0.1, 0.2, 0.3, 0, 0, 0.4, 0, 0, 0, dial]));
  expect(dialled(9 / 7)).toEqual({ ...atRest(0), axes: [0.1, 0.2, 0.3, 0.4] });
  expect(dialled(-1).buttons).toBe(up);
  expect(dialled(-5 / 7).buttons).toBe(up | right);
  expect(dialled(-3 / 7).buttons).toBe(right);
  expect(dialled(1).buttons).toBe(up | (1 << 14));
});

test("a raw pad with triggers that are buttons keeps them", () => {
  expect(gamepadState(raw([0, 0, 0.5, -0.5, -1, 0], [6]))).toEqual({
    ...atRest(0),
    buttons: (1 << 6) | (1 << 14),
    leftTrigger: 1,
    axes: [0, 0, 0.5, -0.5],
  });
});

test("whatever a pad says of itself, the wire takes it", () => {
  const part = fc.double({ min: -2, max: 2, noNaN: true });
  const anyPad = fc.record({
    index: fc.nat(9),
    mapping: fc.constantFrom("standard", ""),
    buttons: fc.array(fc.record({ pressed: fc.boolean(), value: part }), { maxLength: 40 }),
    axes: fc.array(part, { maxLength: 16 }),
  });
  fc.assert(
    fc.property(anyPad, fc.nat(3), (pad, slot) => {
      const { event } = decodeInput(encodeInput({ seq: 1, event: { kind: "gamepad", ...gamepadState(pad, slot) } }));
      expect(event).toMatchObject({ kind: "gamepad", index: slot });
    }),
  );
});

test("pads keep their places while others come and go, and the fifth has none", () => {
  const slots = new PadSlots();
  const seated = (...present: number[]) => Object.fromEntries(slots.seat(present));
  expect(seated(0, 1, 2, 3, 4)).toEqual({ 0: 0, 1: 1, 2: 2, 3: 3 });
  expect(seated(0, 2, 4)).toEqual({ 0: 0, 2: 2, 4: 1 });
  expect(seated(2, 4, 7)).toEqual({ 2: 2, 4: 1, 7: 0 });
});
