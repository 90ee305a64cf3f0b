// The score: what is struck at each sixteenth of an eight-bar loop in A minor, more of it the higher the level.
import type { Timbre } from "./voice.js";

/** 122 beats a minute, in whole samples. */
export const sixteenthSamples = 5880;
export const stepsPerBar = 16;

const plain = { attackS: 0.002, cutoffDecayS: 0, slide: 0, echo: 0, ducked: true } as const;

const timbres = {
  pad: { ...plain, wave: "saw", lifeS: 2.3, attackS: 0.5, decayS: 4, cutoffHz: 900, cutoffDecayS: 3, echo: 0.25 },
  arp: { ...plain, wave: "square", lifeS: 0.4, decayS: 0.1, cutoffHz: 3200, cutoffDecayS: 0.14, echo: 0.42 },
  bell: { ...plain, wave: "triangle", lifeS: 0.9, decayS: 0.28, cutoffHz: 5000, echo: 0.55 },
  bass: { ...plain, wave: "saw", lifeS: 0.3, decayS: 0.16, cutoffHz: 1100, cutoffDecayS: 0.11 },
  sub: { ...plain, wave: "sine", lifeS: 0.3, decayS: 0.2, cutoffHz: 2000 },
  lead: {
    ...plain,
    wave: "saw",
    lifeS: 0.5,
    attackS: 0.01,
    decayS: 0.28,
    cutoffHz: 4200,
    cutoffDecayS: 0.5,
    echo: 0.4,
  },
  kick: { ...plain, wave: "sine", lifeS: 0.3, decayS: 0.11, cutoffHz: 6000, slide: -9, ducked: false },
  clap: { ...plain, wave: "noise", lifeS: 0.25, decayS: 0.065, cutoffHz: 6500, echo: 0.16, ducked: false },
  hat: { ...plain, wave: "noise", lifeS: 0.08, decayS: 0.016, cutoffHz: 20_000, ducked: false },
  openHat: { ...plain, wave: "noise", lifeS: 0.22, decayS: 0.06, cutoffHz: 20_000, ducked: false },
} as const satisfies Record<string, Timbre>;

/** MIDI notes of each bar: the bass, and four chord tones from low to high. */
const bars = [
  { bass: 33, chord: [57, 60, 64, 69] },
  { bass: 29, chord: [57, 60, 65, 69] },
  { bass: 36, chord: [55, 60, 64, 67] },
  { bass: 31, chord: [55, 59, 62, 67] },
  { bass: 33, chord: [57, 60, 64, 72] },
  { bass: 28, chord: [55, 59, 64, 71] },
  { bass: 29, chord: [57, 60, 65, 72] },
  { bass: 31, chord: [59, 62, 67, 74] },
] as const;

const arpTones = [0, 2, 1, 3, 2, 1, 3, 2, 0, 2, 1, 3, 2, 3, 1, 2];
const bellTones = [0, -1, -1, 2, -1, -1, 3, -1, 1, -1, -1, 2, -1, -1, 3, -1];

/** One melody note or rest for each eighth of the loop. */
const rest = 0;
const melody = [
  [76, rest, 76, 74, 72, rest, 69, rest],
  [72, rest, 72, 74, 76, rest, 77, 76],
  [79, rest, 76, rest, 72, rest, 74, 76],
  [74, rest, 71, rest, 67, 69, 71, 74],
  [76, rest, 81, 79, 76, rest, 72, 74],
  [71, rest, 76, 79, 83, rest, 79, 76],
  [84, rest, 81, rest, 77, 76, 77, 81],
  [83, rest, 79, 74, 79, 81, 83, 86],
] as const;

/** How much of the band plays; `ambient` is the title, `steady` onwards the run. */
export const levels = { still: 0, ambient: 1, steady: 2, drive: 3, soar: 4, storm: 5 } as const;
export type Level = (typeof levels)[keyof typeof levels];

export type Strike = (timbre: Timbre, midi: number, level: number, pan: number) => void;

/** Strike what belongs to sixteenth `at` since the start; returns whether the kick drum did. */
export function playStep(at: number, level: Level, strike: Strike): boolean {
  const step = at % stepsPerBar;
  const barNumber = Math.floor(at / stepsPerBar) % bars.length;
  const bar = bars[barNumber]!;
  if (step === 0) strikePad(bar.chord, strike);
  if (level === levels.still) return false;
  if (level === levels.ambient) {
    const tone = bellTones[step]!;
    if (tone >= 0) strike(timbres.bell, bar.chord[tone]! + 12, 0.13, step % 4 < 2 ? 0.25 : 0.75);
    if (step === 0) strike(timbres.sub, bar.bass + 12, 0.2, 0.5);
    return false;
  }
  strike(timbres.arp, bar.chord[arpTones[step]!]! + 12, 0.085, step % 2 ? 0.28 : 0.72);
  const bassStep = level >= levels.soar ? step % 4 !== 0 : step % 4 === 2;
  if (bassStep) strike(timbres.bass, bar.bass + (step % 8 === 6 ? 12 : 0), 0.3, 0.5);
  if (bassStep) strike(timbres.sub, bar.bass + 12, 0.16, 0.5);
  if (level >= levels.drive) {
    if (step % 8 === 4) strike(timbres.clap, 60, 0.26, 0.5);
    if (step % 4 === 2) strike(timbres.openHat, 60, 0.075, 0.6);
  }
  if (level >= levels.soar) strikeMelody(barNumber, step, level, strike);
  if (level >= levels.soar && step % 4 !== 2) strike(timbres.hat, 60, step % 2 ? 0.035 : 0.06, 0.4);
  const kick = step % 4 === 0 || (level === levels.storm && step === 14);
  if (kick) strike(timbres.kick, 45, 0.62, 0.5);
  return kick;
}

function strikePad(chord: readonly number[], strike: Strike): void {
  for (const [i, midi] of chord.entries()) {
    strike(timbres.pad, midi - 0.06, 0.042, 0.15 + i * 0.12);
    strike(timbres.pad, midi + 0.07, 0.042, 0.85 - i * 0.12);
  }
}

function strikeMelody(barNumber: number, step: number, level: Level, strike: Strike): void {
  if (step % 2 !== 0) return;
  const note = melody[barNumber]![step / 2]!;
  if (note === rest) return;
  strike(timbres.lead, note, 0.11, 0.45);
  if (level === levels.storm) strike(timbres.lead, note + 12.06, 0.06, 0.6);
}
