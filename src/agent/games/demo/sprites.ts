// Everything that flies, painted at load for the picture's size. Colours keep clear of the ship's magenta: cyan, white,
// gold, ember and green only.
import { shipColor } from "./layout.js";
import {
  around,
  clamp01,
  coverage,
  falloff,
  hash,
  magnitude,
  makeSprite,
  noise,
  type Paint,
  polygonDistance,
  type Rgb,
  segmentDistance,
} from "./paint.js";
import type { Sprite } from "./surface.js";
import { meteorSizes } from "./world.js";

export const glints = ["ember", "gold", "cyan", "white", "green"] as const;
export type Glint = (typeof glints)[number];

const colors = {
  white: [1, 1, 1],
  cyan: [0.2, 0.9, 1],
  gold: [1, 0.82, 0.25],
  ember: [1, 0.5, 0.1],
  green: [0.3, 1, 0.5],
} as const satisfies Record<Glint, Rgb>;

export interface Sprites {
  /** From banked left to banked right; the middle one is level. */
  readonly ship: readonly Sprite[];
  readonly flames: readonly Sprite[];
  readonly shield: Sprite;
  readonly shieldIcon: Sprite;
  readonly shieldIconSpent: Sprite;
  readonly sparks: readonly Sprite[];
  readonly comet: Sprite;
  /** By size, then variant. */
  readonly meteors: readonly (readonly Sprite[])[];
  readonly shot: Sprite;
  readonly orbs: Readonly<Record<"shield" | "overdrive", Sprite>>;
  readonly glints: Readonly<Record<Glint, Sprite>>;
  readonly burst: Sprite;
  readonly rings: readonly Sprite[];
  /** Stars by layer, the last fastest; streaks by how fast the scenery goes. */
  readonly stars: readonly Sprite[];
  readonly streaks: readonly Sprite[];
}

const bankSteps = 3;
const ringSteps = 4;

export function paintSprites(scale: number): Sprites {
  const steps = (count: number, make: (i: number) => Sprite) => Array.from({ length: count }, (_, i) => make(i));
  return {
    ship: steps(2 * bankSteps + 1, (i) => paintShip((i - bankSteps) / bankSteps, scale)),
    flames: steps(4, (i) => paintFlame(0.72 + 0.16 * i, scale)),
    shield: paintShield(scale),
    shieldIcon: paintShieldIcon(1, scale),
    shieldIconSpent: paintShieldIcon(0, scale),
    sparks: steps(6, (i) => paintSpark(Math.cos((i * Math.PI) / 6), scale)),
    comet: paintComet(scale),
    meteors: meteorSizes.map(({ radius }, size) =>
      steps(2, (variant) => paintMeteor(radius, size * 2 + variant, scale)),
    ),
    shot: paintShot(scale),
    orbs: { shield: paintOrb(colors.cyan, scale), overdrive: paintOrb(colors.green, scale) },
    glints: {
      ember: paintGlint(colors.ember, 15, scale),
      gold: paintGlint(colors.gold, 12, scale),
      cyan: paintGlint(colors.cyan, 12, scale),
      white: paintGlint(colors.white, 10, scale),
      green: paintGlint(colors.green, 12, scale),
    },
    burst: paintGlint(colors.ember, 84, scale),
    rings: steps(ringSteps, (i) => paintRing(26 + (110 * i) / ringSteps, 1 - i / ringSteps, scale)),
    stars: steps(3, (i) => paintGlint([0.75, 0.92, 1], 2.2 + i * 1.1, scale)),
    streaks: steps(4, (i) => paintStreak(8 + i * 16, scale)),
  };
}

/** The bank's sprite for −1–1. */
export const shipSprite = (sprites: Sprites, bank: number): Sprite =>
  sprites.ship[bankSteps + Math.round(bank * bankSteps)]!;

const half = [0, -82, 16, -64, 27, -26, 42, -8, 94, 30, 98, 60, 50, 53, 38, 67, 0, 60];
const hull = [...half, ...mirrored(half)];
const canopy = [0, -44, 9, -26, 8, -4, 0, 6, -8, -4, -9, -26];

/** The other half of a shape given from its top down, back up again. */
function mirrored(points: readonly number[]): number[] {
  const back: number[] = [];
  for (let i = points.length - 4; i >= 2; i -= 2) back.push(-points[i]!, points[i + 1]!);
  return back;
}

function paintShip(bank: number, scale: number): Sprite {
  const hue: Rgb = [shipColor.r / 255, shipColor.g / 255, shipColor.b / 255];
  const squeeze = 1 - 0.1 * Math.abs(bank);
  return makeSprite(around(118, 104), scale, (paint, atX, atY, unit) => {
    const x = atX / squeeze;
    const y = atY - x * bank * 0.2;
    const edge = polygonDistance(x, y, hull);
    if (edge > 19) return;
    paint.glow(hue, 0.85 * falloff(edge, 19));
    const covered = coverage(edge, unit);
    if (covered === 0) return;
    const side = clamp01(0.88 - 0.16 * bank * Math.sign(x) * clamp01(Math.abs(x) / 30) + 0.14 * clamp01(-y / 60));
    const panel = Math.abs(x) > 30 && Math.abs(y - 18 - Math.abs(x) * 0.42) < 1.6 ? 0.78 : 1;
    const spine = 1 - 0.16 * clamp01(1 - Math.abs(Math.abs(x) - 17) / 2.2) * clamp01((y + 30) / 20);
    const body = side * panel * spine;
    const shine = clamp01(1 + (edge + 3.5) / 2.5) * 0.3;
    paint.over([hue[0] * body, hue[1] * body + shine * 0.5, hue[2] * body + shine * 0.22], covered);
    shadeShipDetails(paint, x, y, unit, bank);
  });
}

function shadeShipDetails(paint: Paint, x: number, y: number, unit: number, bank: number): void {
  const glass = polygonDistance(x, y, canopy);
  paint.over([0.02, 0.08, 0.16], coverage(glass - 3, unit));
  const gleam = clamp01((-y - 4) / 40) + 0.4 * clamp01(1 - Math.abs(x + 3 + bank * 4) / 4);
  paint.over([0.25 + 0.5 * gleam, 0.8 + 0.2 * gleam, 1], coverage(glass, unit));
  const wing = segmentDistance(Math.abs(x), y, 92, 35, 95, 57);
  paint.over(colors.white, coverage(wing - 2.6, unit));
  const gun = segmentDistance(Math.abs(x), y, 44, -14, 44, 14);
  paint.over([0.75, 0.95, 1], coverage(gun - 3, unit));
  const nozzle = segmentDistance(Math.abs(x), y, 16, 56, 27, 57);
  paint.over([0.02, 0.07, 0.14], coverage(nozzle - 6, unit));
  paint.over([0.5, 0.95, 1], coverage(nozzle - 3, unit));
}

function paintFlame(length: number, scale: number): Sprite {
  const reach = 62 * length;
  return makeSprite({ left: 44, right: 44, top: 14, bottom: 72 }, scale, (paint, x, y) => {
    const along = clamp01(y / reach);
    const across = Math.abs(Math.abs(x) - 21);
    const wide = 11 * (1 - along) ** 0.7;
    const fade = y < 0 ? clamp01(1 + y / 12) : (1 - along) ** 1.3;
    paint.glow([0.15, 0.6, 1], 0.9 * fade * falloff(across, wide + 9));
    paint.glow([0.8, 1, 1], 1.2 * fade * falloff(across, wide * 0.7 + 1));
  });
}

function paintShield(scale: number): Sprite {
  return makeSprite(around(124), scale, (paint, x, y) => {
    const distance = magnitude(x, y);
    const edge = Math.abs(distance - 108);
    const cells = 0.7 + 0.3 * Math.sin(x * 0.22) * Math.sin(y * 0.22);
    paint.glow([0.2, 0.85, 1], 0.85 * falloff(edge, 14) + (distance < 108 ? 0.1 * cells * (distance / 108) ** 3 : 0));
  });
}

const crest = [0, -15, 12, -10, 11, 3, 0, 15, -11, 3, -12, -10];

function paintShieldIcon(full: number, scale: number): Sprite {
  return makeSprite(around(24), scale, (paint, x, y, unit) => {
    const edge = polygonDistance(x, y, crest);
    paint.glow(colors.cyan, 0.4 * full * falloff(edge, 9));
    paint.over([0.1 + 0.2 * full, 0.3 + 0.6 * full, 0.4 + 0.6 * full], coverage(edge, unit));
    paint.over([0.02 + 0.1 * full, 0.06 + 0.4 * full, 0.1 + 0.5 * full], coverage(edge + 3.2, unit));
  });
}

function paintSpark(turn: number, scale: number): Sprite {
  const squeeze = 0.35 + 0.65 * Math.abs(turn);
  return makeSprite(around(30), scale, (paint, atX, y, unit) => {
    const x = atX / squeeze;
    const star = Math.abs(x) ** 0.72 + Math.abs(y) ** 0.72 - 15 ** 0.72;
    paint.glow(colors.gold, 0.6 * falloff(magnitude(atX, y) - 2, 27));
    paint.over(colors.gold, coverage(star * 1.9, unit));
    paint.over([1, 0.98, 0.8], coverage(magnitude(x, y) - 4.6, unit));
  });
}

function paintComet(scale: number): Sprite {
  return makeSprite({ left: 44, right: 44, top: 150, bottom: 44 }, scale, (paint, x, y, unit) => {
    const up = clamp01(-y / 146);
    const wisp = 0.75 + 0.5 * noise(x * 0.11 + 9, y * 0.03 + 2);
    paint.glow([0.45, 0.95, 1], 0.75 * wisp * (1 - up) ** 1.6 * falloff(Math.abs(x), 20 - 9 * up) * (y < 0 ? 1 : 0));
    const distance = magnitude(x, y);
    paint.glow([0.35, 0.9, 1], 0.9 * falloff(distance - 6, 36));
    paint.over([0.9, 1, 1], coverage(distance - 12, unit * 3));
  });
}

function paintMeteor(radius: number, variant: number, scale: number): Sprite {
  const seed = variant * 17.3;
  const lump = (x: number, y: number) => {
    const turn = Math.atan2(y, x);
    return radius * (0.86 + 0.26 * (noise(2 + Math.cos(turn) * 1.6 + seed, 2 + Math.sin(turn) * 1.6) - 0.3));
  };
  const extent = { left: radius + 16, right: radius + 16, top: radius * 3.1, bottom: radius + 18 };
  return makeSprite(extent, scale, (paint, x, y, unit) => {
    const distance = magnitude(x, y);
    const edge = distance - lump(x, y);
    const up = clamp01((-y - radius * 0.1) / (radius * 2.9));
    const wisp = 0.5 + noise((x / radius) * 4 + seed, (y / radius) * 1.4);
    const tail = (1 - up) ** 1.8 * falloff(Math.abs(x), radius * (1.7 - 1.1 * up)) * (y < radius * 0.2 ? 1 : 0);
    paint.glow([1, 0.45, 0.08], 1.25 * tail * wisp);
    paint.glow([1, 0.55, 0.12], 0.62 * falloff(edge, 17));
    const covered = coverage(edge, unit);
    if (covered === 0) return;
    const u = (x / radius) * 2.1 + seed;
    const v = (y / radius) * 2.1 + seed;
    const bend = 2.2 * noise(u * 0.9 + 5, v * 0.9);
    const crack = clamp01(1 - Math.abs(noise(u * 1.1 + bend, v * 1.1 - bend) - 0.5) * 8);
    const rough = noise(u * 3.2, v * 3.2);
    const lit = clamp01(0.55 + (0.45 * (y - x * 0.4)) / radius) * (0.55 + 0.6 * rough);
    paint.over([0.1 + 0.2 * lit, 0.075 + 0.13 * lit, 0.07 + 0.09 * lit], covered);
    const hot = clamp01(1 + edge / (radius * 0.34)) * clamp01(0.25 + (0.9 * y) / radius);
    paint.glow([1, 0.5, 0.1], covered * (0.95 * crack * (0.35 + 0.65 * rough) + 0.9 * hot * hot));
    paint.glow([1, 0.9, 0.5], covered * 0.5 * hot ** 4);
  });
}

function paintShot(scale: number): Sprite {
  return makeSprite(around(14, 34), scale, (paint, x, y, unit) => {
    const distance = segmentDistance(x, y, 0, -20, 0, 20);
    paint.glow([0.1, 0.9, 0.9], 0.8 * falloff(distance - 2, 12));
    paint.over([0.85, 1, 1], coverage(distance - 3, unit));
  });
}

function paintOrb(color: Rgb, scale: number): Sprite {
  return makeSprite(around(52), scale, (paint, x, y, unit) => {
    const distance = magnitude(x, y);
    paint.glow(color, 0.5 * falloff(distance - 24, 28));
    paint.over([0.02, 0.07, 0.1], 0.75 * coverage(distance - 28, unit));
    paint.over(color, coverage(Math.abs(distance - 28) - 2.6, unit));
    if (color === colors.cyan) paint.over(color, coverage(polygonDistance(x, y, crest), unit));
    else {
      const chevron = Math.min(
        segmentDistance(Math.abs(x), y, 0, -12, 11, 0),
        segmentDistance(Math.abs(x), y, 0, 2, 11, 14),
      );
      paint.over(color, coverage(chevron - 2.8, unit));
    }
    paint.glow(colors.white, 0.35 * falloff(magnitude(x + 10, y + 12), 12));
  });
}

export function paintGlint(color: Rgb, radius: number, scale: number): Sprite {
  const reach = Math.max(radius, 1.3 / scale);
  return makeSprite(around(reach), scale, (paint, x, y) => {
    const distance = magnitude(x, y);
    paint.glow(color, falloff(distance, reach));
    paint.glow(colors.white, 0.7 * falloff(distance, reach * 0.5));
  });
}

function paintRing(radius: number, strength: number, scale: number): Sprite {
  return makeSprite(around(radius + 12), scale, (paint, x, y) => {
    paint.glow([1, 0.72, 0.3], 0.75 * strength * falloff(Math.abs(magnitude(x, y) - radius), 10));
  });
}

function paintStreak(length: number, scale: number): Sprite {
  const wide = Math.max(2, 1.3 / scale);
  return makeSprite({ left: wide, right: wide, top: length, bottom: 3 }, scale, (paint, x, y) => {
    const along = clamp01(-y / length);
    paint.glow([0.6, 0.9, 1], 0.8 * (1 - along) * falloff(Math.abs(x), wide) * (0.8 + 0.2 * hash(length, 1)));
  });
}
