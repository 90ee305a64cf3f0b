// What the player holds, and how to let go of it: when a connection is lost nobody sends the key-up any more, and a game
// that never hears it runs into the wall for ever. Pure: the state is a value.
import type { GameInput, KeyCode } from "../../contracts/input.js";

export interface Held {
  readonly keys: ReadonlySet<KeyCode>;
  readonly buttons: ReadonlySet<number>;
  /** Gamepads that are not at rest. */
  readonly pads: ReadonlySet<number>;
}

export const nothingHeld: Held = { keys: new Set(), buttons: new Set(), pads: new Set() };

/** What is held after the event. */
export function hold(held: Held, event: GameInput): Held {
  switch (event.kind) {
    case "key":
      return { ...held, keys: toggled(held.keys, event.code, event.down) };
    case "mouse-button":
      return { ...held, buttons: toggled(held.buttons, event.button, event.down) };
    case "gamepad":
      return { ...held, pads: toggled(held.pads, event.index, !atRest(event)) };
    case "reset":
      return nothingHeld;
    default:
      return held;
  }
}

/** The events that let go of everything held. */
export function releases(held: Held): GameInput[] {
  return [
    ...[...held.keys].map((code) => ({ kind: "key", code, down: false }) as const),
    ...[...held.buttons].map((button) => ({ kind: "mouse-button", button, down: false }) as const),
    ...[...held.pads].map((index) => ({ kind: "gamepad", index, ...rest }) as const),
  ];
}

/** A gamepad nobody touches. */
export const rest = { buttons: 0, leftTrigger: 0, rightTrigger: 0, axes: [0, 0, 0, 0] } as const;

const atRest = (pad: GameInput & { kind: "gamepad" }) =>
  pad.buttons === 0 && pad.leftTrigger === 0 && pad.rightTrigger === 0 && pad.axes.every((axis) => axis === 0);

function toggled<T>(set: ReadonlySet<T>, value: T, on: boolean): ReadonlySet<T> {
  if (set.has(value) === on) return set;
  const next = new Set(set);
  if (on) next.add(value);
  else next.delete(value);
  return next;
}
