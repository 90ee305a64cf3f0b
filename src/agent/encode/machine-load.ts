// Whether the machine keeps up with the pictures it makes, over two seconds at a time. It does not when most frames are
// begun late, twice running: their tick had come before the frame before was done. One long pause is one late frame,
// however long, and a busy moment (the next session's process starts) is over by the second time. The first two seconds
// of play say nothing: the game, the page and its decoder are starting.

export interface Load {
  /** Of the mean frame, from its tick until it was encoded. */
  readonly workMs: number;
  /** Of that, the encoder's. */
  readonly encodeMs: number;
  readonly overloaded: boolean;
}

const windowMs = 2_000;
const lateShareMax = 0.6;
/** Fewer say nothing. */
const framesMin = 10;

export class MachineLoad {
  #starting = true;
  #lateBefore = false;
  #sinceMs: number | null = null;
  #frames = 0;
  #late = 0;
  #workMs = 0;
  #encodeMs = 0;

  /** One frame was made. Answers the load at the end of each window but the first, else null. */
  frame(frame: { late: boolean; workMs: number; encodeMs: number }, nowMs: number): Load | null {
    this.#sinceMs ??= nowMs;
    this.#frames++;
    if (frame.late) this.#late++;
    this.#workMs += frame.workMs;
    this.#encodeMs += frame.encodeMs;
    if (nowMs - this.#sinceMs < windowMs || this.#frames < framesMin) return null;
    const late = this.#late / this.#frames >= lateShareMax;
    const load = {
      workMs: this.#workMs / this.#frames,
      encodeMs: this.#encodeMs / this.#frames,
      overloaded: late && this.#lateBefore,
    };
    this.reset();
    this.#lateBefore = late && !this.#starting;
    if (!this.#starting) return load;
    this.#starting = false;
    return null;
  }

  /** Somebody begins to watch. */
  start(): void {
    this.#starting = true;
    this.reset();
  }

  /** The frames before are of another kind. */
  reset(): void {
    this.#lateBefore = false;
    this.#sinceMs = null;
    this.#frames = this.#late = 0;
    this.#workMs = this.#encodeMs = 0;
  }
}
