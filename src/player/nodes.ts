// The streaming nodes a player may go by, one at a time: the one it was given first, and others for when that is gone.
import type { StreamUrls } from "../contracts/session.js";

export class Nodes {
  readonly #all: readonly Pick<StreamUrls, "signalling" | "control">[];
  #at = 0;

  constructor({ signalling, control, others = [] }: StreamUrls) {
    this.#all = [{ signalling, control }, ...others];
  }

  get signalling(): string {
    return this.#all[this.#at]!.signalling;
  }

  get control(): string {
    return this.#all[this.#at]!.control;
  }

  /** The one at hand could not be reached, or left us: the next, in turn. */
  next(): void {
    this.#at = (this.#at + 1) % this.#all.length;
  }
}
