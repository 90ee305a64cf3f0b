// Numbers input messages and chooses their way: data channels when they are open, else the control WebSocket.
//
// Discrete events go in order and reliably, or nowhere: with no way open they are dropped, and the `reset` that opens
// the next way releases what was held. Full-state events may be lost, so they give way when the network is behind:
// sending one that will be outdated on arrival only delays the next key. Once a state has come to rest it is sent
// again, reliably: what it ended at arrives for certain.
import { encodeInput, type InputEvent, isState } from "../../contracts/input.js";

/** What the sender needs of a data channel or socket. */
export interface Way {
  readonly isOpen: boolean;
  readonly bufferedBytes: number;
  send(bytes: Uint8Array<ArrayBuffer>): void;
}

export interface Ways {
  readonly input: Way;
  readonly state: Way;
  /** Null while input travels by data channels. */
  readonly control: Way | null;
}

/** Sends an event; `reliably`: though it is a state. False when it was dropped. */
export type SendInput = (event: InputEvent, reliably?: boolean) => boolean;

/** Some 50 pointer positions, or 40 ms of a busy gamepad: past it, a newer state is better than a queued one. */
const stateBufferedBytesMax = 1_024;
/** Bounds what a stalled reliable way may hold (~3,000 key events): past it nothing typed could matter any more. */
const reliableBufferedBytesMax = 64 * 1024;
/** Three frames of 60 Hz: a state that has not changed for so long is at rest. */
const restMs = 50;

/** The way an event takes now; null: it is dropped. */
export function chooseWay(event: InputEvent, ways: Ways, reliably = !isState(event)): Way | null {
  const reliable = ways.control ?? ways.input;
  if (reliably) return usable(reliable, reliableBufferedBytesMax);
  return usable(ways.control ?? (ways.state.isOpen ? ways.state : ways.input), stateBufferedBytesMax);
}

const usable = (way: Way, bufferedBytesMax: number) =>
  way.isOpen && way.bufferedBytes <= bufferedBytesMax ? way : null;

/** Calls `act` after `delayMs`; the answer calls it off. */
export type Later = (act: () => void, delayMs: number) => () => void;

const later: Later = (act, delayMs) => {
  const timer = setTimeout(act, delayMs);
  return () => clearTimeout(timer);
};

export class InputSender {
  #seq = 0;
  /** States that have changed within `restMs`, each with how to call its last word off. */
  readonly #moving = new Map<string, () => void>();

  /** `ways` answers null while there is no connection; `sent` hears of each message with its number. */
  constructor(
    private readonly ways: () => Ways | null,
    private readonly after: Later = later,
    private readonly sent: (seq: number) => void = () => {},
  ) {}

  readonly send: SendInput = (event, reliably = !isState(event)) => {
    if (event.kind === "reset") this.#forget();
    const ways = this.ways();
    if (ways === null) return false;
    if (isState(event)) this.#settle(event, reliably);
    const way = chooseWay(event, ways, reliably);
    if (way === null) return false;
    this.#seq = (this.#seq + 1) >>> 0;
    this.sent(this.#seq);
    way.send(encodeInput({ seq: this.#seq, event }) as Uint8Array<ArrayBuffer>);
    return true;
  };

  #settle(event: InputEvent, reliably: boolean): void {
    const subject = event.kind === "gamepad" ? `gamepad ${event.index}` : event.kind;
    this.#moving.get(subject)?.();
    this.#moving.delete(subject);
    if (!reliably)
      this.#moving.set(
        subject,
        this.after(() => this.send(event, true), restMs),
      );
  }

  /** What was is released, and must not come again. */
  #forget(): void {
    for (const callOff of this.#moving.values()) callOff();
    this.#moving.clear();
  }
}
