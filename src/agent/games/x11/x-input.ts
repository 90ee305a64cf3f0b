// From the player's input to what XTEST is told. Keys are physical: a W3C code names the place on the keyboard, and so
// does an X keycode, so the game sees the layout of its display, whatever the player's is.
//
// Guarantees: what is already held is not pressed again, what is not held is not released, whichever of keyboard and
// gamepads hold it; `reset` releases everything. Pure: nothing is sent from here.
import type { PadControl, VideoMode, X11Program } from "../../../contracts/catalog.js";
import { type GameInput, type GamepadState, type KeyCode, keyCodes } from "../../../contracts/input.js";
import type { FakeInput } from "./x-client.js";

/** X keycodes are evdev's plus 8. `keyCodes` follow evdev's order, in three runs and a few single keys. */
const firstOfRun: Readonly<Partial<Record<KeyCode, number>>> = {
  Escape: 1,
  IntlBackslash: 86,
  NumpadEnter: 96,
  Home: 102,
  Pause: 119,
  MetaLeft: 125,
};

export const xKeycodes: ReadonlyMap<KeyCode, number> = (() => {
  let evdev = 0;
  return new Map(
    keyCodes.map((code) => {
      evdev = firstOfRun[code] ?? evdev + 1;
      return [code, evdev + 8];
    }),
  );
})();

/** `MouseEvent.button` → X button; 4–7 are the wheel's notches. */
const xButtons = [1, 2, 3, 8, 9] as const;
const notch = { up: 4, down: 5, left: 6, right: 7 } as const;
/** What a browser reports for one notch of a usual wheel, in CSS pixels. */
const notchPx = 100;
/** However far a wheel event says it turned, it is no more than this at once. */
const notchesMax = 10;
const stickThreshold = 0.4;
const triggerThreshold = 0.3;

const padButtons: readonly (readonly [control: PadControl, bit: number])[] = [
  ["a", 0],
  ["b", 1],
  ["x", 2],
  ["y", 3],
  ["lb", 4],
  ["rb", 5],
  ["back", 8],
  ["start", 9],
  ["up", 12],
  ["down", 13],
  ["left", 14],
  ["right", 15],
];

export class XInput {
  readonly #size: Pick<VideoMode, "width" | "height">;
  readonly #gamepad: X11Program["gamepad"];
  readonly #keys = new Set<KeyCode>();
  readonly #pads = new Map<number, ReadonlySet<KeyCode>>();
  readonly #buttons = new Set<number>();
  #wheel = { x: 0, y: 0 };
  /** What the display holds down. */
  #down: ReadonlySet<KeyCode> = new Set();

  constructor(size: Pick<VideoMode, "width" | "height">, gamepad: X11Program["gamepad"]) {
    this.#size = size;
    this.#gamepad = gamepad;
  }

  apply(event: GameInput): FakeInput[] {
    switch (event.kind) {
      case "key":
        if (event.down) this.#keys.add(event.code);
        else this.#keys.delete(event.code);
        return this.#changedKeys();
      case "gamepad":
        this.#pads.set(event.index, this.#keysOf(event));
        return this.#changedKeys();
      case "mouse-button":
        return this.#button(event.button, event.down);
      case "mouse-move":
        return [{ kind: "move-by", x: event.dx, y: event.dy }];
      case "mouse-position": {
        const { width, height } = this.#size;
        return [{ kind: "move-to", x: Math.round(event.x * (width - 1)), y: Math.round(event.y * (height - 1)) }];
      }
      case "wheel":
        return this.#turn(event.dx, event.dy);
      case "reset": {
        this.#keys.clear();
        this.#pads.clear();
        this.#wheel = { x: 0, y: 0 };
        const buttons = [...this.#buttons].flatMap((button) => this.#button(button, false));
        return [...this.#changedKeys(), ...buttons];
      }
    }
  }

  #changedKeys(): FakeInput[] {
    const before = this.#down;
    const now = new Set([...this.#keys, ...[...this.#pads.values()].flatMap((keys) => [...keys])]);
    this.#down = now;
    const fake = (code: KeyCode, down: boolean) => ({ kind: "key", code: xKeycodes.get(code)!, down }) as const;
    return [
      ...[...before].filter((code) => !now.has(code)).map((code) => fake(code, false)),
      ...[...now].filter((code) => !before.has(code)).map((code) => fake(code, true)),
    ];
  }

  #button(button: number, down: boolean): FakeInput[] {
    if (this.#buttons.has(button) === down) return [];
    if (down) this.#buttons.add(button);
    else this.#buttons.delete(button);
    return [{ kind: "button", code: xButtons[button]!, down }];
  }

  /** Whole notches; what is left of one counts towards the next. */
  #turn(dx: number, dy: number): FakeInput[] {
    const x = this.#wheel.x + dx / notchPx;
    const y = this.#wheel.y + dy / notchPx;
    this.#wheel = { x: x % 1, y: y % 1 };
    const clicks = (code: number, turned: number): FakeInput[] =>
      Array.from({ length: Math.min(notchesMax, Math.floor(Math.abs(turned))) }).flatMap(() => [
        { kind: "button", code, down: true },
        { kind: "button", code, down: false },
      ]);
    return [...clicks(y < 0 ? notch.up : notch.down, y), ...clicks(x < 0 ? notch.left : notch.right, x)];
  }

  #keysOf({ buttons, axes: [x, y], leftTrigger, rightTrigger }: GamepadState): ReadonlySet<KeyCode> {
    const held = new Set<PadControl>(padButtons.filter(([, bit]) => buttons & (1 << bit)).map(([control]) => control));
    if (x < -stickThreshold) held.add("left");
    if (x > stickThreshold) held.add("right");
    if (y < -stickThreshold) held.add("up");
    if (y > stickThreshold) held.add("down");
    if (leftTrigger > triggerThreshold || buttons & (1 << 6)) held.add("lt");
    if (rightTrigger > triggerThreshold || buttons & (1 << 7)) held.add("rt");
    return new Set([...held].flatMap((control) => this.#gamepad[control] ?? []));
  }
}
