import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type GameInput, type KeyCode, keyCodes } from "../../../contracts/input.js";
import type { FakeInput } from "./x-client.js";
import { XInput, xKeycodes } from "./x-input.js";

const size = { width: 1280, height: 720 };
const gamepad = { left: "ArrowLeft", right: "ArrowRight", a: "Space", rt: "Space" } as const;
const key = (code: KeyCode, down: boolean): GameInput => ({ kind: "key", code, down });
const pad = (index: number, buttons: number, x = 0, rightTrigger = 0): GameInput => ({
  kind: "gamepad",
  index,
  buttons,
  leftTrigger: 0,
  rightTrigger,
  axes: [x, 0, 0, 0],
});
const fakeKey = (code: KeyCode, down: boolean): FakeInput => ({ kind: "key", code: xKeycodes.get(code)!, down });

const anyEvent: fc.Arbitrary<GameInput> = fc.oneof(
  fc.record({ kind: fc.constant("key" as const), code: fc.constantFrom(...keyCodes), down: fc.boolean() }),
  fc.record({ kind: fc.constant("mouse-button" as const), button: fc.nat(4), down: fc.boolean() }),
  fc.record({
    kind: fc.constant("wheel" as const),
    dx: fc.integer({ min: -32_767, max: 32_767 }),
    dy: fc.integer({ min: -32_767, max: 32_767 }),
  }),
  fc.tuple(fc.nat(3), fc.nat(0x1ffff), fc.double({ min: -1, max: 1, noNaN: true })).map((of) => pad(...of)),
  fc.constant({ kind: "reset" } as const),
);

describe("keys", () => {
  it("have evdev's numbers plus 8, each its own", () => {
    // linux/input-event-codes.h: KEY_ESC 1, KEY_ENTER 28, KEY_SPACE 57, KEY_102ND 86, KEY_F12 88, KEY_LEFT 105, KEY_COMPOSE 127
    const known = { Escape: 1, Enter: 28, Space: 57, IntlBackslash: 86, F12: 88, ArrowLeft: 105, ContextMenu: 127 };
    for (const [code, evdev] of Object.entries(known)) expect(xKeycodes.get(code as KeyCode)).toBe(evdev + 8);
    expect(new Set(xKeycodes.values()).size).toBe(keyCodes.length);
  });

  it("are pressed once and released once, however often the browser repeats them", () => {
    const input = new XInput(size, gamepad);
    expect(input.apply(key("KeyW", true))).toEqual([fakeKey("KeyW", true)]);
    expect(input.apply(key("KeyW", true))).toEqual([]);
    expect(input.apply(key("KeyW", false))).toEqual([fakeKey("KeyW", false)]);
    expect(input.apply(key("KeyW", false))).toEqual([]);
  });
});

describe("a gamepad", () => {
  it("presses the keys the catalogue's entry names, by stick, buttons and triggers, and no others", () => {
    const input = new XInput(size, gamepad);
    expect(input.apply(pad(0, 1, -1))).toEqual([fakeKey("Space", true), fakeKey("ArrowLeft", true)]);
    expect(input.apply(pad(0, 0b10, 1))).toEqual([
      fakeKey("Space", false),
      fakeKey("ArrowLeft", false),
      fakeKey("ArrowRight", true),
    ]);
    expect(input.apply(pad(0, 0, 0, 1))).toEqual([fakeKey("ArrowRight", false), fakeKey("Space", true)]);
  });

  it("and the keyboard hold a key together: it is released by the last of them", () => {
    const input = new XInput(size, gamepad);
    input.apply(key("Space", true));
    expect(input.apply(pad(0, 1))).toEqual([]);
    expect(input.apply(key("Space", false))).toEqual([]);
    expect(input.apply(pad(0, 0))).toEqual([fakeKey("Space", false)]);
  });
});

describe("the mouse", () => {
  it("moves by what it moved and to where it points, the last pixel included", () => {
    const input = new XInput(size, gamepad);
    expect(input.apply({ kind: "mouse-move", dx: -3, dy: 7 })).toEqual([{ kind: "move-by", x: -3, y: 7 }]);
    expect(input.apply({ kind: "mouse-position", x: 1, y: 0 })).toEqual([{ kind: "move-to", x: 1279, y: 0 }]);
  });

  it("clicks with the buttons X knows them by", () => {
    const input = new XInput(size, gamepad);
    const codes = [0, 1, 2, 3, 4].flatMap((button) => input.apply({ kind: "mouse-button", button, down: true }));
    expect(codes.map((fake) => "code" in fake && fake.code)).toEqual([1, 2, 3, 8, 9]);
  });

  it("turns the wheel by whole notches, and remembers what is left of one", () => {
    const input = new XInput(size, gamepad);
    const turn = (dy: number) => input.apply({ kind: "wheel", dx: 0, dy });
    expect(turn(60)).toEqual([]);
    expect(turn(60)).toEqual([
      { kind: "button", code: 5, down: true },
      { kind: "button", code: 5, down: false },
    ]);
    expect(turn(-100).map((fake) => "code" in fake && fake.code)).toEqual([]);
    expect(turn(-30).map((fake) => "code" in fake && fake.code)).toEqual([4, 4]);
  });
});

describe("whatever is sent", () => {
  it("nothing is pressed twice, released unpressed, or held after a reset", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
        const input = new XInput(size, gamepad);
        const held = new Set<string>();
        for (const event of [...events, { kind: "reset" } as const])
          for (const fake of input.apply(event)) {
            if (!("code" in fake)) continue;
            const name = `${fake.kind} ${fake.code}`;
            expect(held.has(name)).toBe(!fake.down);
            if (fake.down) held.add(name);
            else held.delete(name);
          }
        expect(held.size).toBe(0);
      }),
    );
  });
});
