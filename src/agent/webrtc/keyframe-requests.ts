// When a frame has to be a keyframe. The first request is answered by the very next frame; further ones within
// `gapMsMin` of a keyframe wait for the rest of that gap, because they were sent before the keyframe could arrive: a
// storm of PLIs costs a few keyframes a second, and still none is forgotten.

export const keyframeGapMsMin = 250;

export class KeyframeRequests {
  #wanted = false;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly gapMsMin: number) {}

  request(): void {
    this.#wanted = true;
  }

  /** Somebody new is watching: whatever was sent before is of no use to them. */
  requestNow(): void {
    this.#wanted = true;
    this.#lastMs = Number.NEGATIVE_INFINITY;
  }

  /** Whether the frame encoded now shall be a keyframe; asking takes the request. */
  take(nowMs: number): boolean {
    if (!this.#wanted || nowMs - this.#lastMs < this.gapMsMin) return false;
    this.#wanted = false;
    this.#lastMs = nowMs;
    return true;
  }
}
