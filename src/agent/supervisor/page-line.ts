// The agent's end of a line (contracts/line.ts): it outlives the sockets, links and ingest nodes that carry it.
//
// The session's process knows a page by the connection that began its line (`peerId`), whichever carries it now: an
// offer that is being answered when a socket breaks is answered through the next one.
import {
  acknowledge,
  hear,
  type LineEnd,
  type LineState,
  type Numbered,
  openLineEnd,
  say,
  unackedOf,
} from "../../contracts/line.js";
import type { FromAgent } from "../../contracts/signalling.js";

export type Signal = Extract<FromAgent, { type: "signal" }>["message"];

export class PageLine {
  #end: LineEnd<Signal> = openLineEnd;
  #ackedAt = -1;
  /** The connection whose join was answered last; null once that has gone. */
  carrier: string | null = null;

  constructor(
    readonly id: string,
    readonly peerId: string,
  ) {}

  get state(): LineState {
    return { id: this.id, received: this.#end.received };
  }

  get unacked(): Numbered<Signal>[] {
    return unackedOf(this.#end);
  }

  /** Its number, to be sent to the carrier; null: too much is unacked, and the line is to be given up. */
  say(message: Signal): number | null {
    const end = say(this.#end, message);
    if (end === null) return null;
    this.#end = end;
    return end.lastSaid;
  }

  /** Whether a message of that number is to be acted on, and then acked. */
  hear(number: number): boolean {
    const { end, isNext } = hear(this.#end, number);
    this.#end = end;
    return isNext;
  }

  acknowledge(received: number): void {
    this.#end = acknowledge(this.#end, received);
  }

  /** The page's ack; what is to be said again: it acks again at each heartbeat, and then what is unacked may be lost. */
  hearAck(received: number): Numbered<Signal>[] {
    const repeats = received === this.#ackedAt;
    this.#ackedAt = received;
    this.acknowledge(received);
    return repeats ? this.unacked : [];
  }
}
