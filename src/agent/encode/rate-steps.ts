// What gives way when the path carries less than the picture needs, or the machine cannot keep up with it: the frame rate
// first, down to 30, then the size.
//
// One ladder, and on it two bounds: as far down as the path needs, as far down as the machine needs; the lower of them is
// what is shown, so the two never fight. The path's bound goes down after half a second of too little, at once as far as
// needed; up one step at a time, when there has been a third more than that step needs for 5 s. The machine's goes down
// one step each time it was overloaded (machine-load.ts); up one step, when that step would have left two fifths of its
// frames' time for 10 s, and twice as long after each time that did not hold. Each change costs a keyframe, and a picture
// that keeps changing is worse than one that is small.
import { bitrateKbpsFloor, pixelRate, type VideoMode } from "../../contracts/catalog.js";
import type { Load } from "./machine-load.js";

export interface RateStep {
  readonly mode: VideoMode;
  /** With less it looks worse than the next step does. */
  readonly kbpsMin: number;
}

const fpsMin = 30;
const sizes = [0.75, 0.5, 0.375];
const widthMin = 320;
/** Fewer pixels need more bits each: what changes from picture to picture is as large. */
const bitsExponent = 0.75;

/** From `mode` down; `kbpsMin` is the least that `mode` itself is worth. */
export function rateSteps(mode: VideoMode, kbpsMin: number): RateStep[] {
  const modes = [mode];
  for (let { fps } = mode; fps / 2 >= fpsMin; ) modes.push({ ...mode, fps: (fps = Math.ceil(fps / 2)) });
  const { fps } = modes.at(-1)!;
  const even = (size: number) => 2 * Math.floor(size / 2);
  for (const share of sizes)
    if (mode.width * share >= widthMin)
      modes.push({ width: even(mode.width * share), height: even(mode.height * share), fps });
  const worth = (of: VideoMode) => kbpsMin * (pixelRate(of) / pixelRate(mode)) ** bitsExponent;
  return modes.map((of) => ({ mode: of, kbpsMin: Math.max(bitrateKbpsFloor, Math.round(worth(of))) }));
}

const downAfterMs = 500;
const upAfterMs = 5_000;
const upFactor = 1.33;

const machine = {
  /** Of a frame's time, at the step above. */
  upBelowShare: 0.6,
  upAfterMs: 10_000,
  upAfterMsMax: 160_000,
  /** Who comes down again so soon should not have gone up. */
  heldMs: 60_000,
} as const;

export class RateStepping {
  readonly #steps: readonly RateStep[];
  /** The first that is worth no more than the floor: no path asks for less. */
  readonly #pathLast: number;
  #path = 0;
  #shortSinceMs: number | null = null;
  #plentySinceMs: number | null = null;
  #machine = 0;
  #easySinceMs: number | null = null;
  #upAfterMs: number = machine.upAfterMs;
  #wentUpAtMs = Number.NEGATIVE_INFINITY;

  constructor(steps: readonly RateStep[]) {
    this.#steps = steps;
    const atFloor = steps.findIndex(({ kbpsMin }) => kbpsMin === bitrateKbpsFloor);
    this.#pathLast = atFloor < 0 ? steps.length - 1 : atFloor;
  }

  get mode(): VideoMode {
    return this.#steps[Math.max(this.#path, this.#machine)]!.mode;
  }

  /** Which of the two holds the picture below its first step. */
  get heldBy(): "path" | "machine" | null {
    if (this.#path === 0 && this.#machine === 0) return null;
    return this.#machine >= this.#path ? "machine" : "path";
  }

  /** The path carries so much now. Answers whether its bound has moved. */
  update(kbps: number, nowMs: number): boolean {
    const before = this.#path;
    const short = kbps < this.#steps[this.#path]!.kbpsMin && this.#path < this.#pathLast;
    const plenty = this.#path > 0 && kbps >= upFactor * this.#steps[this.#path - 1]!.kbpsMin;
    this.#shortSinceMs = short ? (this.#shortSinceMs ?? nowMs) : null;
    this.#plentySinceMs = plenty ? (this.#plentySinceMs ?? nowMs) : null;
    if (this.#shortSinceMs !== null && nowMs - this.#shortSinceMs >= downAfterMs) {
      const fitting = this.#steps.findIndex(({ kbpsMin }) => kbpsMin <= kbps);
      this.#movePath(fitting < 0 ? this.#pathLast : Math.max(fitting, this.#path + 1));
    } else if (this.#plentySinceMs !== null && nowMs - this.#plentySinceMs >= upAfterMs) this.#movePath(this.#path - 1);
    return this.#path !== before;
  }

  /** How the machine did with the pictures of `mode`, over one window. */
  load({ workMs, overloaded }: Load, nowMs: number): void {
    const shareAt = ({ mode }: RateStep) => (workMs * pixelRate(mode)) / pixels(this.mode) / 1_000;
    if (overloaded) {
      this.#easySinceMs = null;
      // One step: what slows a game's start, or a busy moment, is over before the next window.
      this.#moveMachine(Math.min(this.#steps.length - 1, Math.max(this.#path, this.#machine) + 1), nowMs);
      return;
    }
    const easy = this.#machine > 0 && shareAt(this.#steps[this.#machine - 1]!) <= machine.upBelowShare;
    this.#easySinceMs = easy ? (this.#easySinceMs ?? nowMs) : null;
    if (this.#easySinceMs !== null && nowMs - this.#easySinceMs >= this.#upAfterMs)
      this.#moveMachine(this.#machine - 1, nowMs);
  }

  /** The encoder is another one, which sustains so much. */
  sustains(most: VideoMode, nowMs: number): void {
    const fitting = this.#steps.findIndex(({ mode }) => pixelRate(mode) <= pixelRate(most));
    this.#moveMachine(fitting < 0 ? this.#steps.length - 1 : fitting, nowMs);
    this.#upAfterMs = machine.upAfterMs;
  }

  #movePath(index: number): void {
    this.#path = index;
    this.#shortSinceMs = this.#plentySinceMs = null;
  }

  #moveMachine(index: number, nowMs: number): void {
    if (index < this.#machine) this.#wentUpAtMs = nowMs;
    else if (index > this.#machine)
      this.#upAfterMs =
        nowMs - this.#wentUpAtMs < machine.heldMs
          ? Math.min(machine.upAfterMsMax, this.#upAfterMs * 2)
          : machine.upAfterMs;
    this.#machine = index;
    this.#easySinceMs = null;
  }
}

const pixels = ({ width, height }: VideoMode) => width * height;
