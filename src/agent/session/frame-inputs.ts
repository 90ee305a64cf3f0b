// Which inputs a frame is the first to show, and how long each waited for it. An input is in the first frame that is
// begun after its arrival.
import { isNewer } from "../../contracts/input.js";
import { type AppliedInput, receiptInputsMax } from "../../contracts/receipts.js";

export class FrameInputs {
  #waiting: { readonly seq: number; readonly atMs: number }[] = [];
  #newest = 0;

  /** Of the inputs of one frame, those that came first are kept: as many as a receipt has room for. */
  arrived(seq: number, atMs: number): void {
    if (this.#newest === 0 || isNewer(seq, this.#newest)) this.#newest = seq;
    if (this.#waiting.length < receiptInputsMax) this.#waiting.push({ seq, atMs });
  }

  /** A frame is begun. */
  take(nowMs: number): { newestInput: number; inputs: AppliedInput[] } {
    const inputs = this.#waiting.map(({ seq, atMs }) => ({ seq, waitUs: (nowMs - atMs) * 1000 }));
    this.#waiting = [];
    return { newestInput: this.#newest, inputs };
  }

  /** Another player, who counts from the beginning. */
  restart(): void {
    this.#waiting = [];
    this.#newest = 0;
  }
}
