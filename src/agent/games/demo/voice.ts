// One voice of the synthesiser: an oscillator with a sliding pitch, an envelope and a one-pole low-pass. Every voice
// lives a number of samples known when it is struck, so what it plays does not depend on how the sound is cut in chunks.
import { soundFormat } from "../game-source.js";

export const { sampleRate } = soundFormat;

export interface Timbre {
  readonly wave: "sine" | "triangle" | "saw" | "square" | "noise";
  readonly lifeS: number;
  readonly attackS: number;
  /** Time in which the voice falls to a third. */
  readonly decayS: number;
  readonly cutoffHz: number;
  /** Time in which the cutoff falls to a third; 0 keeps it. */
  readonly cutoffDecayS: number;
  /** Octaves a second. */
  readonly slide: number;
  /** How much goes to the echo, 0–1, and whether the kick drum ducks it. */
  readonly echo: number;
  readonly ducked: boolean;
}

export interface Mix {
  readonly left: Float32Array;
  readonly right: Float32Array;
  readonly echoLeft: Float32Array;
  readonly echoRight: Float32Array;
  /** The duck's gain for each sample. */
  readonly duck: Float32Array;
}

const sineSteps = 4096;
const sine = Float32Array.from({ length: sineSteps + 1 }, (_, i) => Math.sin((2 * Math.PI * i) / sineSteps));
const releaseSamples = 480;

export class Voice {
  #timbre: Timbre | undefined;
  #phase = 0;
  #turn = 0;
  #slide = 1;
  #age = 0;
  #life = 0;
  #level = 0;
  #decay = 1;
  #attack = 1;
  #cutoff = 1;
  #cutoffDecay = 1;
  #low = 0;
  #left = 0;
  #right = 0;
  #noise = 1;

  get idle(): boolean {
    return this.#timbre === undefined;
  }

  /** Begin after `delay` samples; `pan` is 0 left, 1 right. */
  strike(timbre: Timbre, hz: number, level: number, pan: number, delay: number, seed: number): void {
    this.#timbre = timbre;
    this.#phase = 0;
    this.#turn = hz / sampleRate;
    this.#slide = 2 ** (timbre.slide / sampleRate);
    this.#age = -delay;
    this.#life = Math.round(timbre.lifeS * sampleRate);
    this.#level = level;
    this.#decay = Math.exp(-1 / (timbre.decayS * sampleRate));
    this.#attack = Math.max(1, timbre.attackS * sampleRate);
    this.#cutoff = 1 - Math.exp((-2 * Math.PI * timbre.cutoffHz) / sampleRate);
    this.#cutoffDecay = timbre.cutoffDecayS > 0 ? Math.exp(-1 / (timbre.cutoffDecayS * sampleRate)) : 1;
    this.#low = 0;
    this.#left = Math.cos((pan * Math.PI) / 2);
    this.#right = Math.sin((pan * Math.PI) / 2);
    this.#noise = seed | 1;
  }

  /** Add the next `count` samples to the mix. */
  render(mix: Mix, count: number): void {
    const timbre = this.#timbre;
    if (!timbre) return;
    const { echo, ducked, wave } = timbre;
    const from = Math.max(0, -this.#age);
    this.#age += Math.min(from, count);
    // Locals: a private field written in this loop costs a store to memory for every sample.
    let age = this.#age;
    let low = this.#low;
    let level = this.#level;
    let cutoff = this.#cutoff;
    let turn = this.#turn;
    let phase = this.#phase;
    const life = this.#life;
    const end = Math.min(count, from + life - age);
    for (let i = from; i < end; i++) {
      const fading = Math.min(1, age / this.#attack) * Math.min(1, (life - age) / releaseSamples);
      low += ((wave === "noise" ? this.#hiss() : oscillate(wave, phase, turn)) - low) * cutoff;
      const value = low * level * fading * (ducked ? mix.duck[i]! : 1);
      const left = value * this.#left;
      const right = value * this.#right;
      mix.left[i]! += left;
      mix.right[i]! += right;
      mix.echoLeft[i]! += left * echo;
      mix.echoRight[i]! += right * echo;
      level *= this.#decay;
      cutoff *= this.#cutoffDecay;
      phase = phase + turn >= 1 ? phase + turn - 1 : phase + turn;
      turn *= this.#slide;
      age++;
    }
    this.#age = age;
    this.#low = low;
    this.#level = level;
    this.#cutoff = cutoff;
    this.#turn = turn;
    this.#phase = phase;
    if (this.#age >= this.#life) this.#timbre = undefined;
  }

  #hiss(): number {
    this.#noise = (Math.imul(this.#noise, 1_664_525) + 1_013_904_223) | 0;
    return this.#noise / 2_147_483_648;
  }
}

/** One sample of a pitched wave at `phase`, 0–1, which goes on by `turn` a sample. */
function oscillate(wave: Exclude<Timbre["wave"], "noise">, phase: number, turn: number): number {
  switch (wave) {
    case "sine":
      return sine[(phase * sineSteps) | 0]!;
    case "triangle":
      return 4 * Math.abs(phase - 0.5) - 1;
    case "saw":
      return 2 * phase - 1 - smoothStep(phase, turn);
    case "square":
      return (phase < 0.5 ? 1 : -1) + smoothStep(phase, turn) - smoothStep((phase + 0.5) % 1, turn);
  }
}

/** PolyBLEP: rounds a waveform's jump over two samples, so that high notes do not alias. */
function smoothStep(phase: number, turn: number): number {
  if (phase < turn) {
    const t = phase / turn;
    return 2 * t - t * t - 1;
  }
  if (phase > 1 - turn) {
    const t = (phase - 1) / turn;
    return t * t + 2 * t + 1;
  }
  return 0;
}
