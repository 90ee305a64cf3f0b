// The sound between the game's sink, which delivers when it likes, and the pipeline, which asks every 20 ms. Pure.
//
// Guarantees: samples leave in the order they came, each once at most; what is missing is silence. After a gap nothing
// leaves before `targetMs` of sound are there, so that the next late piece is no gap again; past `queuedMsMax` the oldest
// are dropped, down to the target: the listener never hears more than that of the past, also after nobody has asked.
import { soundFormat } from "../game-source.js";

export const soundQueueLimits = { targetMs: 30, queuedMsMax: 60 } as const;

const samplesOf = (ms: number) => (ms * soundFormat.sampleRate * soundFormat.channels) / 1000;
const target = samplesOf(soundQueueLimits.targetMs);

export class SoundQueue {
  readonly #samples = new Int16Array(samplesOf(soundQueueLimits.queuedMsMax));
  #length = 0;
  #filling = true;

  /** Interleaved samples, both channels of each. */
  write(samples: Int16Array): void {
    const fits = this.#length + samples.length <= this.#samples.length;
    const fresh = fits ? samples : samples.subarray(Math.max(0, samples.length - target));
    if (!fits) this.#drop(this.#length - Math.min(this.#length, target - fresh.length));
    this.#samples.set(fresh, this.#length);
    this.#length += fresh.length;
  }

  /** Fills `into` with what comes next, or with silence while there is not enough. */
  read(into: Int16Array): void {
    this.#filling = this.#length < (this.#filling ? Math.max(target, into.length) : into.length);
    if (this.#filling) {
      into.fill(0);
      return;
    }
    into.set(this.#samples.subarray(0, into.length));
    this.#drop(into.length);
  }

  #drop(count: number): void {
    this.#samples.copyWithin(0, count, this.#length);
    this.#length -= count;
  }
}
