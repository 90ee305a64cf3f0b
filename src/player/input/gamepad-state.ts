// From the Gamepad API's objects to the wire's full state. Pure. Standard mapping: W3C Gamepad §"Remapping".
import type { GamepadState } from "../../contracts/input.js";

/** What is read of a browser's `Gamepad`. */
export interface Pad {
  readonly index: number;
  readonly buttons: readonly { readonly pressed: boolean; readonly value: number }[];
  readonly axes: readonly number[];
}

export const padsMax = 4;
const buttonsMax = 17;
const leftTrigger = 6;
const rightTrigger = 7;

export function gamepadState(pad: Pad): GamepadState {
  const buttons = pad.buttons
    .slice(0, buttonsMax)
    .reduce((bits, { pressed }, i) => (pressed ? bits | (1 << i) : bits), 0);
  const axis = (i: number) => pad.axes[i] ?? 0;
  return {
    index: pad.index,
    buttons,
    leftTrigger: pad.buttons[leftTrigger]?.value ?? 0,
    rightTrigger: pad.buttons[rightTrigger]?.value ?? 0,
    axes: [axis(0), axis(1), axis(2), axis(3)],
  };
}

/** A pad at rest: what an unplugged one is left in. */
export const atRest = (index: number): GamepadState => gamepadState({ index, buttons: [], axes: [] });

/** Equal as far as the wire can tell: 8 bits of trigger, 16 of axis. */
export const sameState = (a: GamepadState, b: GamepadState): boolean =>
  a.buttons === b.buttons &&
  Math.round(a.leftTrigger * 255) === Math.round(b.leftTrigger * 255) &&
  Math.round(a.rightTrigger * 255) === Math.round(b.rightTrigger * 255) &&
  a.axes.every((value, i) => Math.round(value * 32_767) === Math.round(b.axes[i]! * 32_767));
