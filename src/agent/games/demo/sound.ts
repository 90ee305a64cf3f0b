// The game's sound: music that builds with the run, and an effect for each of the world's events. 48 kHz stereo.
//
// Guarantees: never silent (the title has music of its own), never clipped (a soft limiter ends below full scale), and
// the same however the samples are asked for: what changes between calls takes effect at the next sample, or for the
// music at the next sixteenth. Voices are a fixed pool; when all are in use, a new one is not heard.
import { type Level, levels, playStep, type Strike, sixteenthSamples } from "./music.js";
import { type Random, seededRandom } from "./random.js";
import type { WorldEventKind } from "./step.js";
import { type Mix, sampleRate, type Timbre, Voice } from "./voice.js";
import type { Phase } from "./world.js";

const voiceCount = 64;
const blockSamples = 256;
/** Three sixteenths: the dotted eighth of synth music. */
const echoSamples = sixteenthSamples * 3;
const echoFeedback = 0.4;
const duckDepth = 0.55;
const duckRecovery = Math.exp(-1 / (0.09 * sampleRate));
const limiterKnee = 0.55;
const peak = 32_000;

const base = { attackS: 0.002, cutoffHz: 16_000, cutoffDecayS: 0, slide: 0, echo: 0.2, ducked: false } as const;
const timbres = {
  pluck: { ...base, wave: "triangle", lifeS: 0.35, decayS: 0.09, echo: 0.35 },
  chime: { ...base, wave: "sine", lifeS: 0.5, decayS: 0.12, echo: 0.4 },
  zap: { ...base, wave: "square", lifeS: 0.11, decayS: 0.045, cutoffHz: 5200, slide: -17, echo: 0.05 },
  click: { ...base, wave: "noise", lifeS: 0.06, decayS: 0.014, cutoffHz: 7000, echo: 0.05 },
  boom: { ...base, wave: "noise", lifeS: 0.8, decayS: 0.2, cutoffHz: 3600, cutoffDecayS: 0.16 },
  thump: { ...base, wave: "sine", lifeS: 0.5, decayS: 0.16, slide: -4 },
  whoosh: { ...base, wave: "noise", lifeS: 0.34, attackS: 0.12, decayS: 0.1, cutoffHz: 5200, cutoffDecayS: 0.3 },
  alarm: { ...base, wave: "square", lifeS: 0.55, decayS: 0.22, cutoffHz: 2600, slide: -2.6 },
  riser: { ...base, wave: "saw", lifeS: 0.7, attackS: 0.05, decayS: 0.4, cutoffHz: 5000, slide: 2.4 },
  brass: { ...base, wave: "saw", lifeS: 1.1, attackS: 0.01, decayS: 0.4, cutoffHz: 5200, cutoffDecayS: 0.5, echo: 0.4 },
  beep: { ...base, wave: "square", lifeS: 0.16, decayS: 0.09, cutoffHz: 4200 },
} as const satisfies Record<string, Timbre>;

const pentatonic = [0, 3, 5, 7, 10];
/** A pickup's note climbs with the chain, over three octaves, then stays. */
const chainNote = (chain: number): number => {
  const degree = Math.min(chain, 16) - 1;
  return 69 + 12 * Math.floor(degree / pentatonic.length) + pentatonic[degree % pentatonic.length]!;
};

export class Synthesiser {
  readonly #voices = Array.from({ length: voiceCount }, () => new Voice());
  readonly #random: Random;
  readonly #mix: Mix;
  readonly #echoLeft = new Float32Array(echoSamples);
  readonly #echoRight = new Float32Array(echoSamples);
  readonly #strikeNote: Strike = (timbre, midi, level, pan) => this.#strike(timbre, midi, level, pan);
  #echoAt = 0;
  #echoLowLeft = 0;
  #echoLowRight = 0;
  #duck = 0;
  #sixteenth = 0;
  #untilStep = 0;
  #level: Level = levels.ambient;

  constructor(seed: number) {
    this.#random = seededRandom(seed ^ 0x50_4e_44);
    const block = () => new Float32Array(blockSamples);
    this.#mix = { left: block(), right: block(), echoLeft: block(), echoRight: block(), duck: block() };
  }

  /** What the music answers to: the phase, and how far the run has heated up, 0–1. */
  setMood(phase: Phase, heat: number): void {
    if (phase === "paused") this.#level = levels.still;
    else if (phase !== "playing") this.#level = levels.ambient;
    else if (heat < 0.12) this.#level = levels.steady;
    else if (heat < 0.36) this.#level = levels.drive;
    else this.#level = heat < 0.72 ? levels.soar : levels.storm;
  }

  /** Interleaved stereo that follows what was rendered last. */
  render(samples: Int16Array): void {
    const frames = samples.length >> 1;
    for (let done = 0; done < frames; ) {
      if (this.#untilStep === 0) this.#playStep();
      const count = Math.min(blockSamples, frames - done, this.#untilStep);
      this.#renderBlock(samples, done, count);
      this.#untilStep -= count;
      done += count;
    }
  }

  /** An event's sound; `across` is where in the picture, 0–1. */
  play(kind: WorldEventKind, amount: number, across: number): void {
    const pan = 0.2 + 0.6 * Math.max(0, Math.min(1, across));
    switch (kind) {
      case "spark":
        this.#strike(timbres.pluck, chainNote(amount), 0.2, pan);
        this.#strike(timbres.chime, chainNote(amount) + 12, 0.07, pan);
        break;
      case "comet":
        this.#run(timbres.chime, [81, 84, 88, 93], 0.16, 0.05, pan);
        break;
      case "level":
        this.#run(timbres.pluck, [69 + amount, 76 + amount, 81 + amount], 0.22, 0.07, 0.5);
        break;
      case "perfect":
        this.#run(timbres.chime, [76, 79, 83, 88, 91], 0.2, 0.06, 0.5);
        break;
      case "shot":
        this.#strike(timbres.zap, 88, 0.07, pan);
        break;
      case "chip":
        this.#strike(timbres.click, 60, 0.2, pan);
        break;
      case "blast":
        this.#strike(timbres.boom, 60, 0.34 + 0.12 * amount, pan);
        this.#strike(timbres.thump, 50 - 5 * amount, 0.3 + 0.08 * amount, pan);
        break;
      case "near":
        this.#strike(timbres.whoosh, 60, 0.4, pan);
        this.#strike(timbres.pluck, 88, 0.12, pan);
        break;
      case "hit":
        this.#strike(timbres.boom, 60, 0.5, pan);
        this.#strike(timbres.alarm, 64, 0.22, pan);
        break;
      case "breach":
        this.#strike(timbres.boom, 60, 0.7, pan);
        this.#run(timbres.alarm, [67, 63, 58], 0.24, 0.14, pan);
        break;
      case "shield":
        this.#run(timbres.pluck, [64, 71, 76], 0.24, 0.08, pan);
        break;
      case "overdrive":
        this.#strike(timbres.riser, 57, 0.2, pan);
        this.#run(timbres.pluck, [69, 76, 81, 88], 0.2, 0.06, pan);
        break;
      case "countdown":
        this.#strike(timbres.beep, amount === 1 ? 88 : 76, 0.24, 0.5);
        break;
      case "start":
        this.#strike(timbres.riser, 45, 0.22, 0.5);
        this.#run(timbres.brass, [57, 64, 69], 0.16, 0, 0.5);
        break;
      case "pause":
        this.#run(timbres.chime, [76, 69], 0.18, 0.09, 0.5);
        break;
      case "resume":
        this.#run(timbres.chime, [69, 76], 0.18, 0.09, 0.5);
        break;
      case "end":
        this.#run(timbres.brass, [57, 64, 69, 73, 76, 81], 0.16, 0.11, 0.5);
        break;
    }
  }

  #run(timbre: Timbre, notes: readonly number[], level: number, everyS: number, pan: number): void {
    for (const [i, midi] of notes.entries()) {
      this.#strike(timbre, midi, level, pan, Math.round(i * everyS * sampleRate));
    }
  }

  #strike(timbre: Timbre, midi: number, level: number, pan: number, delay = 0): void {
    const voice = this.#voices.find(({ idle }) => idle);
    const hz = 440 * 2 ** ((midi - 69) / 12);
    voice?.strike(timbre, hz, level, pan, delay, Math.floor(this.#random() * 0x7fff_ffff));
  }

  #playStep(): void {
    if (playStep(this.#sixteenth, this.#level, this.#strikeNote)) this.#duck = duckDepth;
    this.#sixteenth++;
    this.#untilStep = sixteenthSamples;
  }

  #renderBlock(samples: Int16Array, done: number, count: number): void {
    const { left, right, echoLeft, echoRight, duck } = this.#mix;
    for (const part of [left, right, echoLeft, echoRight]) part.fill(0, 0, count);
    for (let i = 0; i < count; i++) {
      duck[i] = 1 - this.#duck;
      this.#duck *= duckRecovery;
    }
    for (const voice of this.#voices) voice.render(this.#mix, count);
    for (let i = 0; i < count; i++) {
      const at = this.#echoAt;
      this.#echoAt = at + 1 === echoSamples ? 0 : at + 1;
      this.#echoLowLeft += (this.#echoLeft[at]! - this.#echoLowLeft) * 0.42;
      this.#echoLowRight += (this.#echoRight[at]! - this.#echoLowRight) * 0.42;
      // Each side echoes on the other.
      this.#echoLeft[at] = echoLeft[i]! + this.#echoLowRight * echoFeedback;
      this.#echoRight[at] = echoRight[i]! + this.#echoLowLeft * echoFeedback;
      samples[(done + i) * 2] = limit(left[i]! + this.#echoLowLeft);
      samples[(done + i) * 2 + 1] = limit(right[i]! + this.#echoLowRight);
    }
  }
}

/** Straight up to the knee, then ever flatter, never above the peak. */
function limit(value: number): number {
  const size = Math.abs(value);
  if (size <= limiterKnee) return Math.round(value * peak);
  const beyond = (size - limiterKnee) / (1 - limiterKnee);
  return Math.round(Math.sign(value) * peak * (limiterKnee + ((1 - limiterKnee) * beyond) / (1 + beyond)));
}
