// From the Gamepad API's objects to the wire's full state. Pure. Standard mapping: W3C Gamepad §"Remapping".
//
// A pad whose layout the browser does not know comes raw: buttons and axes in the order its driver has. By the number of
// its axes we take it for one of the usual drivers' (`rawAxes`); a stranger one still has its sticks and first buttons.
import type { GamepadState } from "../../contracts/input.js";

/** What is read of a browser's `Gamepad`. */
export interface Pad {
  readonly index: number;
  /** "standard", or "" for a raw one. */
  readonly mapping: string;
  readonly buttons: readonly { readonly pressed: boolean; readonly value: number }[];
  readonly axes: readonly number[];
}

const padsMax = 4;
const buttonsMax = 17;
const leftTrigger = 6;
const rightTrigger = 7;
const dpad = { up: 12, down: 13, left: 14, right: 15 } as const;
const guide = 16;

/** As pad number `index` of the session. */
export function gamepadState(pad: Pad, index = pad.index): GamepadState {
  return pad.mapping === "standard" ? standardState(pad, index) : rawState(pad, index);
}

function standardState({ buttons, axes }: Pad, index: number): GamepadState {
  const axis = (i: number) => axes[i] ?? 0;
  return {
    index,
    buttons: bitsOf(buttons.slice(0, buttonsMax)),
    leftTrigger: buttons[leftTrigger]?.value ?? 0,
    rightTrigger: buttons[rightTrigger]?.value ?? 0,
    axes: [axis(0), axis(1), axis(2), axis(3)],
  };
}

interface RawAxes {
  readonly right: readonly [number, number];
  readonly triggers?: readonly [number, number];
  /** Two axes of −1, 0, 1. */
  readonly hat?: readonly [number, number];
  /** One axis: the eight directions clockwise from up are −1 to 1, at rest it is beyond 1. */
  readonly dial?: number;
}

/** By how many axes there are, at least; the left stick is always the first two. */
const rawAxes: readonly (readonly [axesMin: number, where: RawAxes])[] = [
  [10, { right: [2, 5], dial: 9 }], // DirectInput, by Chromium
  [8, { right: [3, 4], triggers: [2, 5], hat: [6, 7] }], // Linux: X Y Z RX RY RZ HAT0X HAT0Y
  [6, { right: [2, 3], hat: [4, 5] }], // Linux, triggers that are buttons
  [0, { right: [2, 3] }],
];

function rawState({ buttons, axes }: Pad, index: number): GamepadState {
  const [, where] = rawAxes.find(([axesMin]) => axes.length >= axesMin)!;
  const axis = (i: number) => axes[i] ?? 0;
  // Twelve buttons stand where the standard has them on most pads; the thirteenth is the one in the middle.
  const pressed = bitsOf(buttons.slice(0, 12)) | (buttons[12]?.pressed ? 1 << guide : 0);
  // A trigger rests at −1, and says 0 until it is touched for the first time.
  const trigger = (i: number) => (axis(i) === 0 ? 0 : (axis(i) + 1) / 2);
  const [left, right] = where.triggers?.map(trigger) ?? [
    buttons[leftTrigger]?.value ?? 0,
    buttons[rightTrigger]?.value ?? 0,
  ];
  return {
    index,
    buttons: pressed | hatBits(where, axis),
    leftTrigger: left!,
    rightTrigger: right!,
    axes: [axis(0), axis(1), axis(where.right[0]), axis(where.right[1])],
  };
}

function hatBits({ hat, dial }: RawAxes, axis: (i: number) => number): number {
  if (hat !== undefined) return directionBits(axis(hat[0]), axis(hat[1]));
  if (dial === undefined || Math.abs(axis(dial)) > 1) return 0;
  const turn = (Math.round((axis(dial) + 1) * 3.5) * Math.PI) / 4;
  return directionBits(Math.sin(turn), -Math.cos(turn));
}

const directionBits = (x: number, y: number) =>
  (y < -0.5 ? 1 << dpad.up : y > 0.5 ? 1 << dpad.down : 0) |
  (x < -0.5 ? 1 << dpad.left : x > 0.5 ? 1 << dpad.right : 0);

const bitsOf = (buttons: Pad["buttons"]) =>
  buttons.reduce((bits, { pressed }, i) => (pressed ? bits | (1 << i) : bits), 0);

/** A pad at rest: what an unplugged one is left in. */
export const atRest = (index: number): GamepadState =>
  gamepadState({ index, mapping: "standard", buttons: [], axes: [] });

/** Equal as far as the wire can tell: 8 bits of trigger, 16 of axis. */
export const sameState = (a: GamepadState, b: GamepadState): boolean =>
  a.buttons === b.buttons &&
  Math.round(a.leftTrigger * 255) === Math.round(b.leftTrigger * 255) &&
  Math.round(a.rightTrigger * 255) === Math.round(b.rightTrigger * 255) &&
  a.axes.every((value, i) => Math.round(value * 32_767) === Math.round(b.axes[i]! * 32_767));

/** Which of the session's pads a browser's is. Browsers count theirs as they come, and may count past four. */
export class PadSlots {
  readonly #slots = new Map<number, number>();

  /** By the browser's index, for the pads that are there now: one that stays keeps its slot, the fifth gets none. */
  seat(present: readonly number[]): ReadonlyMap<number, number> {
    for (const index of this.#slots.keys()) if (!present.includes(index)) this.#slots.delete(index);
    for (const index of present) {
      if (this.#slots.has(index)) continue;
      const taken = new Set(this.#slots.values());
      const free = Array.from({ length: padsMax }, (_, slot) => slot).find((slot) => !taken.has(slot));
      if (free !== undefined) this.#slots.set(index, free);
    }
    return this.#slots;
  }
}
