// What is only seen: debris, rings, words that rise and fade, the stars' drift. None of it touches the rules; it answers
// the world's events, in fixed pools like the world's, with chance from its own generator.
import { field } from "./layout.js";
import { type Random, seededRandom } from "./random.js";
import type { Glint } from "./sprites.js";
import type { WorldEventKind } from "./step.js";

export interface Particle {
  alive: boolean;
  x: number;
  y: number;
  vx: number;
  vy: number;
  ageS: number;
  lifeS: number;
  glint: Glint;
}
export interface Word {
  alive: boolean;
  x: number;
  y: number;
  ageS: number;
  text: string;
  loud: boolean;
}
export interface Ring {
  alive: boolean;
  x: number;
  y: number;
  ageS: number;
  burst: boolean;
}
export interface Star {
  x: number;
  y: number;
  layer: number;
}

export interface Effects {
  readonly random: Random;
  readonly particles: readonly Particle[];
  readonly words: readonly Word[];
  readonly rings: readonly Ring[];
  readonly stars: readonly Star[];
}

export const wordLifeS = 0.9;
export const ringLifeS = 0.45;
const starCount = 84;
export const starLayers = 3;

export function createEffects(seed: number): Effects {
  const random = seededRandom(seed ^ 0x5eed);
  const pool = <T>(count: number, make: (i: number) => T): readonly T[] =>
    Array.from({ length: count }, (_, i) => make(i));
  return {
    random,
    particles: pool(220, () => ({ alive: false, x: 0, y: 0, vx: 0, vy: 0, ageS: 0, lifeS: 1, glint: "ember" })),
    words: pool(12, () => ({ alive: false, x: 0, y: 0, ageS: 0, text: "", loud: false })),
    rings: pool(10, () => ({ alive: false, x: 0, y: 0, ageS: 0, burst: false })),
    stars: pool(starCount, (i) => ({
      x: random() * field.width,
      y: random() * field.height,
      layer: i % starLayers,
    })),
  };
}

export function advanceEffects(effects: Effects, dt: number, scroll: number): void {
  for (const particle of effects.particles) {
    if (!particle.alive) continue;
    particle.ageS += dt;
    particle.x += particle.vx * dt;
    particle.y += particle.vy * dt;
    particle.vx -= particle.vx * Math.min(1, 2.4 * dt);
    particle.alive = particle.ageS < particle.lifeS;
  }
  for (const word of effects.words) {
    word.ageS += dt;
    word.y -= 60 * dt;
    word.alive &&= word.ageS < wordLifeS;
  }
  for (const ring of effects.rings) {
    ring.ageS += dt;
    ring.y += scroll * 0.5 * dt;
    ring.alive &&= ring.ageS < ringLifeS;
  }
  for (const star of effects.stars) {
    star.y += scroll * (0.12 + 0.34 * star.layer) * dt;
    if (star.y <= field.height + 70) continue;
    star.y -= field.height + 140;
    star.x = effects.random() * field.width;
  }
}

/** What each event looks like. Events not named here are only heard. */
export function showEvent(effects: Effects, kind: WorldEventKind, x: number, y: number, amount: number): void {
  switch (kind) {
    case "spark":
      scatter(effects, "gold", x, y, 4, 150);
      break;
    case "comet":
      scatter(effects, "cyan", x, y, 14, 260);
      say(effects, `+${amount}`, x, y, false);
      break;
    case "chip":
      scatter(effects, "ember", x, y, 3, 200);
      break;
    case "blast":
      scatter(effects, "ember", x, y, 9 + amount * 7, 230 + amount * 60);
      ring(effects, x, y, amount > 0);
      break;
    case "near":
      say(effects, `CLOSE! +${amount}`, x, y, false);
      scatter(effects, "white", x, y + 50, 5, 160);
      break;
    case "level":
      say(effects, `×${amount}`, x, y, true);
      break;
    case "perfect":
      say(effects, `PERFECT CHAIN +${amount}`, x, y, false);
      scatter(effects, "green", x, y + 100, 12, 300);
      break;
    case "hit":
      say(effects, amount > 0 ? "SHIELD HIT!" : "LAST SHIELD GONE!", x, y - 110, false);
      scatter(effects, "cyan", x, y, 24, 420);
      ring(effects, x, y, true);
      break;
    case "breach":
      say(effects, `-${amount} SECONDS`, x, y - 110, true);
      scatter(effects, "white", x, y, 30, 480);
      ring(effects, x, y, true);
      break;
    case "shield":
      say(effects, "SHIELD +1", x, y, false);
      scatter(effects, "cyan", x, y, 16, 280);
      break;
    case "overdrive":
      say(effects, "OVERDRIVE!", x, y, true);
      scatter(effects, "green", x, y, 20, 320);
      break;
    case "countdown":
      say(effects, `${amount}`, x, y, true);
      break;
    case "start":
      say(effects, "GO!", field.width / 2, 260, true);
      break;
    case "shot":
    case "pause":
    case "resume":
    case "end":
      break;
  }
}

function scatter(effects: Effects, glint: Glint, x: number, y: number, count: number, speed: number): void {
  const { random } = effects;
  let left = count;
  for (const particle of effects.particles) {
    if (left === 0) return;
    if (particle.alive) continue;
    left--;
    const turn = random() * Math.PI * 2;
    const fast = speed * (0.25 + 0.75 * random());
    particle.alive = true;
    particle.x = x;
    particle.y = y;
    particle.vx = Math.cos(turn) * fast;
    particle.vy = Math.sin(turn) * fast + 60;
    particle.ageS = 0;
    particle.lifeS = 0.3 + 0.45 * random();
    particle.glint = glint;
  }
}

function say(effects: Effects, text: string, x: number, y: number, loud: boolean): void {
  const word = effects.words.find(({ alive }) => !alive);
  if (!word) return;
  word.alive = true;
  word.x = Math.max(150, Math.min(field.width - 150, x));
  word.y = y;
  word.ageS = 0;
  word.text = text;
  word.loud = loud;
}

function ring(effects: Effects, x: number, y: number, burst: boolean): void {
  const one = effects.rings.find(({ alive }) => !alive);
  if (!one) return;
  one.alive = true;
  one.x = x;
  one.y = y;
  one.ageS = 0;
  one.burst = burst;
}
