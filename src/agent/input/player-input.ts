// One connection's input, from bytes to events for the game.
//
// Two data channels and the control WebSocket carry one sequence of messages, so they arrive out of order and twice.
// What counts is the newest message about each thing: a key, a button, the pointer, a gamepad. An older or repeated one
// about the same thing is dropped, as is everything sent before a `reset`. That keeps a late key-down from undoing its
// key-up, and a late gamepad packet from moving a stick that was let go. What a gamepad repeats is no event: a pad that
// lies on the table keeps no session from being idle.
//
// Malformed messages are counted, never fatal: they come from outside.
import {
  decodeInput,
  type GameInput,
  type GamepadState,
  type InputEvent,
  InputFormatError,
  isNewer,
  keepalive,
} from "../../contracts/input.js";
import { type Held, hold, nothingHeld, releases } from "./held.js";
import { moved, type Pointer, placed, pointerAnywhere, pressedAfterMotion, pressedAtPosition } from "./pointer.js";

export const isKeepalive = (bytes: Uint8Array): boolean => bytes.length === 1 && bytes[0] === keepalive;

export class PlayerInput {
  readonly #newest = new Map<string, number>();
  readonly #pads = new Map<number, GamepadState>();
  #lastReset: number | null = null;
  #held: Held = nothingHeld;
  #pointer: Pointer = pointerAnywhere;

  /** The events the game gets for one message: none when it is stale or malformed. */
  receive(bytes: Uint8Array): GameInput[] {
    let message: ReturnType<typeof decodeInput>;
    try {
      message = decodeInput(bytes);
    } catch (error) {
      if (!(error instanceof InputFormatError)) throw error;
      return [];
    }
    const { seq, event } = message;
    if (this.#lastReset !== null && !isNewer(seq, this.#lastReset)) return [];
    const events = this.#heard(seq, event);
    this.#held = events.reduce(hold, this.#held);
    return events;
  }

  /** The events that let go of everything this connection holds; afterwards it holds nothing. */
  release(): GameInput[] {
    const events = releases(this.#held);
    this.#held = nothingHeld;
    this.#pads.clear();
    return events;
  }

  #heard(seq: number, event: InputEvent): GameInput[] {
    switch (event.kind) {
      case "reset":
        this.#lastReset = seq;
        return [...this.release(), event];
      // The pointer looks at each message's place in the sequence itself: an old one may still say where counting starts.
      case "mouse-motion":
        return this.#point(moved(this.#pointer, { seq, x: event.x, y: event.y }));
      case "mouse-position":
        return this.#point(placed(this.#pointer, { seq, x: event.x, y: event.y }));
      case "motion-button": {
        const { button, down, x, y } = event;
        const counted = { seq, x, y };
        if (!this.#isFresh(seq, event)) return this.#point(moved(this.#pointer, counted));
        return this.#point(pressedAfterMotion(this.#pointer, counted, { kind: "mouse-button", button, down }));
      }
      case "position-button": {
        const { button, down, x, y } = event;
        if (!this.#isFresh(seq, event)) return [];
        return this.#point(pressedAtPosition(this.#pointer, { seq, x, y }, { kind: "mouse-button", button, down }));
      }
      case "gamepad": {
        if (!this.#isFresh(seq, event)) return [];
        const before = this.#pads.get(event.index);
        this.#pads.set(event.index, event);
        return before !== undefined && samePad(before, event) ? [] : [event];
      }
      default:
        return this.#isFresh(seq, event) ? [event] : [];
    }
  }

  #point({ pointer, events }: { pointer: Pointer; events: GameInput[] }): GameInput[] {
    this.#pointer = pointer;
    return events;
  }

  #isFresh(seq: number, event: InputEvent): boolean {
    const subject = subjectOf(event);
    const newest = this.#newest.get(subject);
    if (newest !== undefined && !isNewer(seq, newest)) return false;
    this.#newest.set(subject, seq);
    return true;
  }
}

/** What an event is about; there are at most 120 different ones. */
function subjectOf(event: InputEvent): string {
  switch (event.kind) {
    case "key":
      return event.code;
    case "mouse-button":
    case "motion-button":
    case "position-button":
      return `button ${event.button}`;
    case "gamepad":
      return `gamepad ${event.index}`;
    default:
      return event.kind;
  }
}

const samePad = (a: GamepadState, b: GamepadState) =>
  a.buttons === b.buttons &&
  a.leftTrigger === b.leftTrigger &&
  a.rightTrigger === b.rightTrigger &&
  a.axes.every((axis, i) => axis === b.axes[i]);
