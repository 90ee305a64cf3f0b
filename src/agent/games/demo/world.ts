// The state of Comet Run: everything a run consists of, in fixed pools, and what can be read off it. Nothing here moves;
// `step.ts` does that. Units: the world's 1280×720, seconds, and units a second.
import { field } from "./layout.js";
import { type Random, seededRandom } from "./random.js";

export const rules = {
  runS: 120,
  shields: 3,
  /** Sparks in a row for one more on the multiplier. */
  sparksPerLevel: 6,
  multiplierMax: 9,
  chainHoldS: 3.2,
  overdriveS: 8,
  hitCostS: 5,
  resultPauseS: 1,
} as const;

export const shipHome = { x: 640, y: 540 } as const;

export const meteorSizes = [
  { radius: 24, hits: 1, points: 40 },
  { radius: 40, hits: 2, points: 80 },
  { radius: 62, hits: 4, points: 200 },
] as const;

export type Phase = "title" | "playing" | "paused" | "result";

export interface Spark {
  alive: boolean;
  x: number;
  y: number;
  vx: number;
  vy: number;
  /** Which chain it belongs to, and whether it is the comet that leads it. */
  chain: number;
  comet: boolean;
}
export interface Meteor {
  alive: boolean;
  x: number;
  y: number;
  vx: number;
  vy: number;
  size: number;
  variant: number;
  hits: number;
  passed: boolean;
}
export interface Shot {
  alive: boolean;
  x: number;
  y: number;
  vx: number;
}
export interface Orb {
  alive: boolean;
  x: number;
  y: number;
  vy: number;
  kind: "shield" | "overdrive";
}

export interface Spawner {
  /** The chain coming down now: its number, how many sparks it has, how many are out, and its shape. */
  chain: number;
  length: number;
  sent: number;
  /** How many sparks of a chain are still to be collected, by its number modulo the array's length. */
  missing: Int32Array;
  shape: number;
  centre: number;
  swing: number;
  nextSparkS: number;
  nextMeteorS: number;
  nextOrbS: number;
  orbs: number;
}

export interface World {
  phase: Phase;
  readonly random: Random;
  readonly spawner: Spawner;
  /** Seconds the run has lasted, and seconds left on its clock. */
  runS: number;
  leftS: number;
  resultS: number;
  score: number;
  bestScore: number;
  isBest: boolean;
  /** What the multiplier rests on, and how long it still holds. */
  chain: number;
  chainLeftS: number;
  /** Sparks in a row, until a hit or too long a wait. */
  streak: number;
  /** World units a second that the scenery falls by. */
  scroll: number;
  readonly ship: {
    x: number;
    y: number;
    vx: number;
    vy: number;
    /** −1 banked left, 1 banked right. */
    bank: number;
    shields: number;
    invulnerableS: number;
    overdriveS: number;
    fireWaitS: number;
    glideX: number;
    glideY: number;
  };
  readonly tally: { sparks: number; meteors: number; nearMisses: number; perfects: number; longestStreak: number };
  readonly sparks: readonly Spark[];
  readonly meteors: readonly Meteor[];
  readonly shots: readonly Shot[];
  readonly orbs: readonly Orb[];
}

export const createSpawner = (): Spawner => ({
  chain: 0,
  length: 0,
  sent: 0,
  missing: new Int32Array(8),
  shape: 0,
  centre: field.width / 2,
  swing: 0,
  nextSparkS: 0.4,
  nextMeteorS: 2.5,
  nextOrbS: 16,
  orbs: 0,
});

export function createWorld(seed: number): World {
  const pool = <T>(count: number, make: () => T): readonly T[] => Array.from({ length: count }, make);
  return {
    phase: "title",
    random: seededRandom(seed),
    spawner: createSpawner(),
    runS: 0,
    leftS: rules.runS,
    resultS: 0,
    score: 0,
    bestScore: 0,
    isBest: false,
    chain: 0,
    chainLeftS: 0,
    streak: 0,
    scroll: 200,
    ship: {
      x: shipHome.x,
      y: shipHome.y,
      vx: 0,
      vy: 0,
      bank: 0,
      shields: rules.shields,
      invulnerableS: 0,
      overdriveS: 0,
      fireWaitS: 0,
      glideX: 0,
      glideY: 0,
    },
    tally: { sparks: 0, meteors: 0, nearMisses: 0, perfects: 0, longestStreak: 0 },
    sparks: pool(96, () => ({ alive: false, x: 0, y: 0, vx: 0, vy: 0, chain: 0, comet: false })),
    meteors: pool(40, () => ({
      alive: false,
      x: 0,
      y: 0,
      vx: 0,
      vy: 0,
      size: 0,
      variant: 0,
      hits: 0,
      passed: false,
    })),
    shots: pool(48, () => ({ alive: false, x: 0, y: 0, vx: 0 })),
    orbs: pool(4, () => ({ alive: false, x: 0, y: 0, vy: 0, kind: "shield" })),
  };
}

/** The chain that gives the highest multiplier, and a level to spare. */
export const chainMax = rules.sparksPerLevel * rules.multiplierMax;

export const multiplier = (world: World): number =>
  Math.min(rules.multiplierMax, 1 + Math.floor(world.chain / rules.sparksPerLevel));

/** How far into the run the world is, 0–1: what speed, danger and music rise with. */
export const heat = (world: World): number => (world.phase === "title" ? 0 : Math.min(1, world.runS / rules.runS));

const ranks = [
  { rank: "S", from: 180_000, title: "COMET RIDER" },
  { rank: "A", from: 110_000, title: "STAR PILOT" },
  { rank: "B", from: 50_000, title: "DUST CHASER" },
  { rank: "C", from: 15_000, title: "SKY CADET" },
  { rank: "D", from: 0, title: "SPACE TOURIST" },
] as const;
export const rankOf = (score: number) => ranks.find(({ from }) => score >= from)!;
