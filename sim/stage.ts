// What everything in one simulation shares: its time, its chance, its faults, its record.
import { Faults } from "./faults.js";
import { Kernel } from "./kernel/kernel.js";
import { Random } from "./kernel/random.js";
import { Trace } from "./kernel/trace.js";

/** 2026-01-01, when every simulation begins. */
export const startMs = Date.UTC(2026, 0, 1);

const traceLinesMax = 60;

export interface StageOptions {
  readonly seed: number;
  readonly faults: boolean;
  readonly print: ((line: string) => void) | null;
}

/** A rule of the product that does not hold. */
export class Broken extends Error {
  override name = "Broken";
  constructor(
    readonly invariant: string,
    detail: string,
  ) {
    super(`${invariant}: ${detail}`);
  }
}

export class Stage {
  readonly seed: number;
  readonly kernel = new Kernel(startMs);
  readonly trace: Trace;
  readonly faults: Faults;
  #broken: Broken | null = null;

  constructor({ seed, faults, print }: StageOptions) {
    this.seed = seed;
    this.trace = new Trace(this.kernel, startMs, traceLinesMax, print);
    this.faults = new Faults(seed, this.trace, { on: faults });
  }

  random(stream: string): Random {
    return new Random(this.seed, stream);
  }

  /** The first one ends the simulation, once the event under way is over. */
  break(invariant: string, detail: string): void {
    if (this.#broken !== null) return;
    this.#broken = new Broken(invariant, detail);
    this.trace.add(`BROKEN ${this.#broken.message}`);
  }

  get broken(): Broken | null {
    return this.#broken;
  }
}
