// Numbers input messages and chooses their way: data channels when they are open, else the control WebSocket.
//
// Discrete events go in order and reliably, or nowhere: with no way open they are dropped, and the `reset` that opens
// the next way releases what was held. Full-state events may be lost, so they give way when the network is behind:
// sending one that will be outdated on arrival only delays the next key.
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

/** Some 50 pointer positions, or 40 ms of a busy gamepad: past it, a newer state is better than a queued one. */
const stateBufferedBytesMax = 1_024;
/** Bounds what a stalled reliable way may hold (~3,000 key events): past it nothing typed could matter any more. */
const reliableBufferedBytesMax = 64 * 1024;

/** The way an event takes now; null: it is dropped. */
export function chooseWay(event: InputEvent, ways: Ways): Way | null {
  const reliable = ways.control ?? ways.input;
  if (!isState(event)) return usable(reliable, reliableBufferedBytesMax);
  return usable(ways.control ?? (ways.state.isOpen ? ways.state : ways.input), stateBufferedBytesMax);
}

const usable = (way: Way, bufferedBytesMax: number) =>
  way.isOpen && way.bufferedBytes <= bufferedBytesMax ? way : null;

export class InputSender {
  #seq = 0;

  /** `ways` answers null while there is no connection. */
  constructor(private readonly ways: () => Ways | null) {}

  /** False when it was dropped. */
  send(event: InputEvent): boolean {
    const ways = this.ways();
    const way = ways === null ? null : chooseWay(event, ways);
    if (way === null) return false;
    this.#seq = (this.#seq + 1) >>> 0;
    way.send(encodeInput({ seq: this.#seq, event }) as Uint8Array<ArrayBuffer>);
    return true;
  }
}
