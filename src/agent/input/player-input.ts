// One connection's input, from bytes to events for the game.
//
// Two data channels and the control WebSocket carry one sequence of messages, so they arrive out of order and twice.
// What counts is the newest message about each thing: a key, a button, the pointer, a gamepad. An older or repeated one
// about the same thing is dropped, as is everything sent before a `reset`. That keeps a late key-down from undoing its
// key-up, and a late gamepad packet from moving a stick that was let go.
//
// Malformed messages are counted, never fatal: they come from outside.
import { decodeInput, type InputEvent, InputFormatError, isNewer, keepalive } from "../../contracts/input.js";
import { type Held, hold, nothingHeld, releases } from "./held.js";

export const isKeepalive = (bytes: Uint8Array): boolean => bytes.length === 1 && bytes[0] === keepalive;

export class PlayerInput {
  readonly #newest = new Map<string, number>();
  #lastReset: number | null = null;
  #held: Held = nothingHeld;

  /** The events the game gets for one message: none when it is stale or malformed. */
  receive(bytes: Uint8Array): InputEvent[] {
    let message: ReturnType<typeof decodeInput>;
    try {
      message = decodeInput(bytes);
    } catch (error) {
      if (!(error instanceof InputFormatError)) throw error;
      return [];
    }
    const { seq, event } = message;
    if (!this.#isFresh(seq, event)) return [];
    const events = event.kind === "reset" ? [...releases(this.#held), event] : [event];
    this.#held = hold(this.#held, event);
    return events;
  }

  /** The events that let go of everything this connection holds; afterwards it holds nothing. */
  release(): InputEvent[] {
    const events = releases(this.#held);
    this.#held = nothingHeld;
    return events;
  }

  #isFresh(seq: number, event: InputEvent): boolean {
    if (this.#lastReset !== null && !isNewer(seq, this.#lastReset)) return false;
    if (event.kind === "reset") {
      this.#lastReset = seq;
      return true;
    }
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
      return `button ${event.button}`;
    case "gamepad":
      return `gamepad ${event.index}`;
    default:
      return event.kind;
  }
}
