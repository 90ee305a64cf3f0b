import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type GameInput, keyCodes } from "../../../contracts/input.js";
import { ControlState, hold, press } from "./controls.js";

const key = (code: (typeof keyCodes)[number], down: boolean): GameInput => ({ kind: "key", code, down });
const pad = (changes: Partial<Extract<GameInput, { kind: "gamepad" }>>): GameInput => ({
  kind: "gamepad",
  index: 0,
  buttons: 0,
  leftTrigger: 0,
  rightTrigger: 0,
  axes: [0, 0, 0, 0],
  ...changes,
});

function given(...events: GameInput[]) {
  const state = new ControlState();
  for (const event of events) state.apply(event);
  return state;
}

describe("what is held", () => {
  it.each([
    ["ArrowLeft", hold.left],
    ["KeyA", hold.left],
    ["ArrowRight", hold.right],
    ["KeyD", hold.right],
    ["ArrowUp", hold.up],
    ["KeyW", hold.up],
    ["ArrowDown", hold.down],
    ["KeyS", hold.down],
    ["Space", hold.fire],
    ["Enter", hold.fire],
    ["ShiftLeft", hold.boost],
  ] as const)("%s", (code, bit) => {
    const state = given(key(code, true));
    expect(state.controls.held).toBe(bit);
    state.consume();
    expect(state.controls.held).toBe(bit);
    state.apply(key(code, false));
    expect(state.controls.held).toBe(0);
  });

  it.each([
    ["the left stick to the left", pad({ axes: [-1, 0, 0, 0] }), hold.left],
    ["the left stick down", pad({ axes: [0, 1, 0, 0] }), hold.down],
    ["the d-pad to the right", pad({ buttons: 1 << 15 }), hold.right],
    ["A", pad({ buttons: 1 }), hold.fire],
    ["the right trigger", pad({ rightTrigger: 1 }), hold.fire],
    ["a stick that does not quite rest", pad({ axes: [0.1, -0.1, 0, 0] }), 0],
  ])("%s", (_, event, bits) => {
    expect(given(event).controls.held).toBe(bits);
  });

  it("the mouse's left button fires; the wheel does nothing", () => {
    expect(given({ kind: "mouse-button", button: 0, down: true }).controls.held).toBe(hold.fire);
    expect(given({ kind: "wheel", dx: 9, dy: 9 }).controls).toMatchObject({ held: 0, pressed: 0, x: 0, y: 0 });
  });

  it("two keys for one control hold it until both are up", () => {
    const state = given(key("ArrowLeft", true), key("KeyA", true), key("ArrowLeft", false));
    state.consume();
    expect(state.controls).toMatchObject({ held: hold.left, x: -1 });
  });

  it("left and right together are neither way", () => {
    expect(given(key("ArrowLeft", true), key("ArrowRight", true)).controls.x).toBe(0);
  });

  it("a key down and up between two frames still counts once", () => {
    const state = given(key("ArrowLeft", true), key("ArrowLeft", false));
    expect(state.controls.held).toBe(hold.left);
    state.consume();
    expect(state.controls.held).toBe(0);
  });
});

describe("what is pressed", () => {
  it("a key that repeats is pressed once", () => {
    const state = given(key("Space", true));
    state.consume();
    state.apply(key("Space", true));
    expect(state.controls.pressed).toBe(0);
  });

  it.each([
    ["P", key("KeyP", true), press.pause],
    ["Escape", key("Escape", true), press.pause],
    ["R", key("KeyR", true), press.any | press.restart],
    ["Start", pad({ buttons: 1 << 9 }), press.pause],
    ["any other key", key("KeyQ", true), press.any],
    ["A", pad({ buttons: 1 }), press.any | press.fire],
    ["a click", { kind: "mouse-button", button: 0, down: true } as const, press.any | press.fire],
  ])("%s", (_, event, bits) => {
    expect(given(event).controls.pressed).toBe(bits);
  });
});

describe("the mouse", () => {
  it("adds relative motion up until it is consumed", () => {
    const state = given({ kind: "mouse-move", dx: -4, dy: 2 }, { kind: "mouse-move", dx: -2, dy: 0 });
    expect(state.controls.glideX).toBeLessThan(0);
    expect(state.controls.glideY).toBeGreaterThan(0);
    state.consume();
    expect([state.controls.glideX, state.controls.glideY]).toEqual([0, 0]);
  });

  it("steers to an absolute position until a key takes over", () => {
    const state = given({ kind: "mouse-position", x: 0.25, y: 0.5 });
    expect(state.controls.steerX).toBe(320);
    state.apply(key("ArrowLeft", true));
    expect(state.controls.steerX).toBeNaN();
  });
});

const anyEvent: fc.Arbitrary<GameInput> = fc.oneof(
  fc.record({ kind: fc.constant("key" as const), code: fc.constantFrom(...keyCodes), down: fc.boolean() }),
  fc.record({ kind: fc.constant("mouse-move" as const), dx: fc.integer(), dy: fc.integer() }),
  fc.record({
    kind: fc.constant("mouse-position" as const),
    x: fc.double({ min: 0, max: 1, noNaN: true }),
    y: fc.constant(0),
  }),
  fc.record({ kind: fc.constant("mouse-button" as const), button: fc.integer({ min: 0, max: 4 }), down: fc.boolean() }),
  fc
    .record({ buttons: fc.nat(131_071), index: fc.nat(3), rightTrigger: fc.constantFrom(0, 1) })
    .map((some) => pad(some)),
);

describe("whatever came before,", () => {
  it("a reset releases everything held and forgets everything pressed", () => {
    fc.assert(
      fc.property(fc.array(anyEvent), (events) => {
        const { controls } = given(...events, { kind: "reset" });
        expect(controls).toEqual(new ControlState().controls);
      }),
    );
  });

  it("the stick stays within −1 and 1", () => {
    fc.assert(
      fc.property(fc.array(anyEvent), (events) => {
        const { controls } = given(...events);
        expect(Math.max(Math.abs(controls.x), Math.abs(controls.y))).toBeLessThanOrEqual(1);
      }),
    );
  });
});
