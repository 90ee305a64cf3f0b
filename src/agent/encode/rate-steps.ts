// What gives way when the path carries less than the picture needs: the frame rate first, down to 30, then the size.
//
// Down after half a second of too little, at once as far as needed; up one step at a time, when there has been a third
// more than that step needs for 5 s: each change costs a keyframe, and a picture that keeps changing is worse than one
// that is small.
import type { VideoMode } from "../../contracts/catalog.js";
import { bitrateKbpsFloor, pixelRate } from "./video-mode.js";

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
  const steps = modes.map((of) => ({ mode: of, kbpsMin: Math.max(bitrateKbpsFloor, Math.round(worth(of))) }));
  const atFloor = steps.findIndex((step) => step.kbpsMin === bitrateKbpsFloor);
  return atFloor < 0 ? steps : steps.slice(0, atFloor + 1);
}

const downAfterMs = 500;
const upAfterMs = 5_000;
const upFactor = 1.33;

export class RateStepping {
  #index = 0;
  #shortSinceMs: number | null = null;
  #plentySinceMs: number | null = null;

  constructor(private readonly steps: readonly RateStep[]) {}

  get mode(): VideoMode {
    return this.steps[this.#index]!.mode;
  }

  /** The path carries so much now. */
  update(kbps: number, nowMs: number): void {
    const short = kbps < this.steps[this.#index]!.kbpsMin && this.#index < this.steps.length - 1;
    const plenty = this.#index > 0 && kbps >= upFactor * this.steps[this.#index - 1]!.kbpsMin;
    this.#shortSinceMs = short ? (this.#shortSinceMs ?? nowMs) : null;
    this.#plentySinceMs = plenty ? (this.#plentySinceMs ?? nowMs) : null;
    if (this.#shortSinceMs !== null && nowMs - this.#shortSinceMs >= downAfterMs) {
      const fitting = this.steps.findIndex(({ kbpsMin }) => kbpsMin <= kbps);
      this.#moveTo(fitting < 0 ? this.steps.length - 1 : Math.max(fitting, this.#index + 1));
    } else if (this.#plentySinceMs !== null && nowMs - this.#plentySinceMs >= upAfterMs) this.#moveTo(this.#index - 1);
  }

  #moveTo(index: number): void {
    this.#index = index;
    this.#shortSinceMs = this.#plentySinceMs = null;
  }
}
