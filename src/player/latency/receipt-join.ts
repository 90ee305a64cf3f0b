// Joins what three parties know of one frame: the page when it sent an input, the machine what went into the frame and
// how long that took (its receipt), the browser when the frame arrived and was shown. Pure.
//
// Receipt and frame come in either order, or one of them never. An input is shown by the first frame presented that is
// not before its own: where the browser left its own out, the next one shows it, and only then it counts. All is by the
// browser's clock; of the machine come durations only. What the two cannot say of the time between sending and
// arriving, there and back, is the network's.
import { isNewer } from "../../contracts/input.js";
import type { FrameReceipt } from "../../contracts/receipts.js";

/** As requestVideoFrameCallback tells (WICG video-rvfc), in ms of the page's clock. */
export interface PresentedFrame {
  readonly rtpTimestamp: number;
  readonly receivedAtMs: number;
  readonly decodeMs: number;
  readonly presentedAtMs: number;
}

/** How long an input took; the network's part is unknown where the input's own frame was never shown. */
export interface ShownInput {
  readonly totalMs: number;
  readonly waitMs: number;
  readonly networkMs: number | null;
}

export interface JoinedFrame {
  readonly receipt: FrameReceipt;
  /** Null: never shown. */
  readonly frame: PresentedFrame | null;
  readonly inputs: readonly ShownInput[];
}

/** A second at 240 frames a second: what has waited so long for its other half waits in vain. */
const pendingMax = 256;
/** Two seconds of the fastest mouse. */
const sentMax = 1_024;
/** An input that shows later than this was not what made the picture change. */
const totalMsMax = 10_000;

export class ReceiptJoin {
  readonly #sentSeqs = new Float64Array(sentMax).fill(-1);
  readonly #sentAtMs = new Float64Array(sentMax);
  /** By age, oldest first. */
  readonly #receipts: FrameReceipt[] = [];
  readonly #frames: PresentedFrame[] = [];

  sent(seq: number, atMs: number): void {
    this.#sentSeqs[seq % sentMax] = seq;
    this.#sentAtMs[seq % sentMax] = atMs;
  }

  /** What the frame's receipt completes: itself, if a frame was shown that is not before its own. */
  receipt(receipt: FrameReceipt): JoinedFrame[] {
    const shownBy = this.#frames.find(({ rtpTimestamp }) => !isNewer(receipt.rtpTimestamp, rtpTimestamp));
    if (shownBy !== undefined) return [this.#join(receipt, shownBy)];
    keep(this.#receipts, receipt);
    return [];
  }

  /** What a shown frame completes: the receipts up to its own that came before it. */
  frame(frame: PresentedFrame): JoinedFrame[] {
    keep(this.#frames, frame);
    const waiting = this.#receipts.splice(0);
    const isShown = ({ rtpTimestamp }: FrameReceipt) => !isNewer(rtpTimestamp, frame.rtpTimestamp);
    this.#receipts.push(...waiting.filter((receipt) => !isShown(receipt)));
    return waiting.filter(isShown).map((receipt) => this.#join(receipt, frame));
  }

  /** Another connection: its timestamps have nothing to do with those before. */
  restart(): void {
    this.#receipts.length = this.#frames.length = 0;
  }

  #join(receipt: FrameReceipt, shownBy: PresentedFrame): JoinedFrame {
    const frame = shownBy.rtpTimestamp === receipt.rtpTimestamp ? shownBy : null;
    const madeMs = (receipt.drawUs + receipt.encodeUs + receipt.sendUs) / 1000;
    const inputs = receipt.inputs.flatMap(({ seq, waitUs }): ShownInput[] => {
      if (this.#sentSeqs[seq % sentMax] !== seq) return [];
      this.#sentSeqs[seq % sentMax] = -1;
      const sentAtMs = this.#sentAtMs[seq % sentMax]!;
      const totalMs = shownBy.presentedAtMs - sentAtMs;
      if (!(totalMs >= 0 && totalMs <= totalMsMax)) return [];
      const waitMs = waitUs / 1000;
      const networkMs = frame === null ? null : Math.max(0, frame.receivedAtMs - sentAtMs - waitMs - madeMs);
      return [{ totalMs, waitMs, networkMs }];
    });
    return { receipt, frame, inputs };
  }
}

function keep<T>(list: T[], item: T): void {
  if (list.length >= pendingMax) list.shift();
  list.push(item);
}
