// The rules of Comet Run: `step` advances the world by one fixed step and says what happened.
//
// Guarantees: the same seed and the same controls at the same steps give the same world; no clock, no ambient random, no
// drawing, no sound. Everything that flies comes from a fixed pool, and a full pool drops the newcomer. The score never
// falls: what a mistake costs is the chain, a shield, or, without shields, five seconds of the clock, so nobody is thrown
// out before the two minutes are over.
import { type Controls, hold, press } from "./controls.js";
import { field, shipRange } from "./layout.js";
import { spawn } from "./spawn.js";
import {
  chainMax,
  createSpawner,
  heat,
  type Meteor,
  meteorSizes,
  multiplier,
  type Phase,
  rules,
  type Shot,
  type Spark,
  type World,
} from "./world.js";

export const stepsPerSecond = 240;
const dt = 1 / stepsPerSecond;

const ship = {
  radius: 34,
  speed: { x: 860, y: 560 },
  boost: 1.55,
  /** Full speed within 70 ms: the ship answers on the very frame after the key. */
  acceleration: 12_000,
  glideSpeed: 3200,
  steerGain: 16,
  invulnerableS: 1.6,
  fireEveryS: 0.13,
} as const;

const sparkReach = 62;
const sparkPull = 170;
const orbReach = 72;
const nearMissGap = 52;
const shotSpeed = 1350;

export type WorldEventKind =
  | "start"
  | "spark"
  | "comet"
  | "level"
  | "perfect"
  | "shot"
  | "chip"
  | "blast"
  | "near"
  | "hit"
  | "breach"
  | "shield"
  | "overdrive"
  | "countdown"
  | "pause"
  | "resume"
  | "end";

/** What happened, where, and how much of it: points, a level, a size or the seconds left. */
export type Emit = (kind: WorldEventKind, x: number, y: number, amount: number) => void;

/** What a press leads to in each phase; a press the phase does not name changes nothing. */
const presses: Record<Phase, readonly (readonly [bit: number, act: (world: World, emit: Emit) => void])[]> = {
  title: [[press.any, start]],
  playing: [
    [press.restart, start],
    [press.pause, pause],
  ],
  paused: [
    [press.restart, start],
    [press.pause | press.fire, resume],
  ],
  result: [[press.fire | press.restart, restart]],
};

/** One fixed step of 1/240 s. Of the controls it reads; what happened once is the caller's to consume. */
export function step(world: World, controls: Controls, emit: Emit): void {
  const steered = controls.x !== 0 || controls.y !== 0;
  const pressed = controls.pressed | (steered && world.phase === "title" ? press.any : 0);
  const act = presses[world.phase].find(([bits]) => pressed & bits);
  act?.[1](world, emit);
  if (world.phase === "paused") return;
  moveShip(world, controls);
  const playing = world.phase === "playing";
  world.scroll = playing ? 270 + 330 * heat(world) : world.scroll + (200 - world.scroll) * dt;
  if (playing) runClock(world, emit);
  else world.resultS += dt;
  spawn(world, dt);
  moveSparks(world, emit);
  moveMeteors(world, emit);
  moveOrbs(world, emit);
  moveShots(world, emit);
  if (playing && controls.held & hold.fire) fire(world, emit);
}

function start(world: World, emit: Emit): void {
  world.phase = "playing";
  world.runS = 0;
  world.leftS = rules.runS;
  world.score = 0;
  world.isBest = false;
  world.chain = 0;
  world.chainLeftS = 0;
  world.streak = 0;
  Object.assign(world.ship, { shields: rules.shields, invulnerableS: 0, overdriveS: 0, fireWaitS: 0 });
  Object.assign(world.tally, { sparks: 0, meteors: 0, nearMisses: 0, perfects: 0, longestStreak: 0 });
  Object.assign(world.spawner, createSpawner());
  for (const pool of [world.sparks, world.meteors, world.shots, world.orbs]) for (const one of pool) one.alive = false;
  emit("start", world.ship.x, world.ship.y, 0);
}

function restart(world: World, emit: Emit): void {
  if (world.resultS >= rules.resultPauseS) start(world, emit);
}

function pause(world: World, emit: Emit): void {
  world.phase = "paused";
  emit("pause", 0, 0, 0);
}

function resume(world: World, emit: Emit): void {
  world.phase = "playing";
  emit("resume", 0, 0, 0);
}

function runClock(world: World, emit: Emit): void {
  const before = Math.ceil(world.leftS);
  world.runS += dt;
  world.leftS = Math.max(0, world.leftS - dt);
  const now = Math.ceil(world.leftS);
  if (now !== before && now <= 5 && now > 0) emit("countdown", field.width / 2, 200, now);
  world.ship.invulnerableS = Math.max(0, world.ship.invulnerableS - dt);
  world.ship.overdriveS = Math.max(0, world.ship.overdriveS - dt);
  if (world.chain > 0) {
    world.chainLeftS -= dt;
    if (world.chainLeftS <= 0) {
      world.streak = 0;
      world.chain = Math.max(0, world.chain - rules.sparksPerLevel);
      world.chainLeftS = rules.chainHoldS / 2;
    }
  }
  if (world.leftS === 0) end(world, emit);
}

function end(world: World, emit: Emit): void {
  world.phase = "result";
  world.resultS = 0;
  world.chain = 0;
  world.isBest = world.score > world.bestScore;
  world.bestScore = Math.max(world.bestScore, world.score);
  emit("end", world.ship.x, world.ship.y, world.score);
}

function moveShip(world: World, controls: Controls): void {
  const { ship: own } = world;
  const boost = controls.held & hold.boost ? ship.boost : 1;
  const steer = Number.isNaN(controls.steerX) ? 0 : (controls.steerX - own.x) * ship.steerGain;
  const wantX = controls.x * ship.speed.x * boost + limited(steer, ship.speed.x * 2);
  const wantY = controls.y * ship.speed.y * boost;
  own.vx += limited(wantX - own.vx, ship.acceleration * dt);
  own.vy += limited(wantY - own.vy, ship.acceleration * dt);
  own.glideX += controls.glideX;
  own.glideY += controls.glideY;
  const glideX = limited(own.glideX, ship.glideSpeed * dt);
  const glideY = limited(own.glideY, ship.glideSpeed * dt);
  own.glideX -= glideX;
  own.glideY -= glideY;
  own.x = between(shipRange.left, shipRange.right, own.x + own.vx * dt + glideX);
  own.y = between(shipRange.top, shipRange.bottom, own.y + own.vy * dt + glideY);
  const lean = limited((0.55 * own.vx + 0.45 * wantX + (0.6 * glideX) / dt) / ship.speed.x, 1);
  own.bank += (lean - own.bank) * 0.12;
  if (Math.abs(own.bank) < 0.01 && lean === 0) own.bank = 0;
}

function fire(world: World, emit: Emit): void {
  const { ship: own } = world;
  own.fireWaitS -= dt;
  if (own.fireWaitS > 0) return;
  own.fireWaitS = ship.fireEveryS;
  const spread = own.overdriveS > 0 ? 3 : 2;
  for (let barrel = 0; barrel < spread; barrel++) {
    const side = barrel - (spread - 1) / 2;
    const shot = world.shots.find(({ alive }) => !alive);
    if (!shot) return;
    shot.alive = true;
    shot.x = own.x + side * 40;
    shot.y = own.y - 44;
    shot.vx = spread === 3 ? side * 190 : 0;
  }
  emit("shot", own.x, own.y, spread);
}

function moveSparks(world: World, emit: Emit): void {
  const { ship: own } = world;
  const playing = world.phase === "playing";
  for (const spark of world.sparks) {
    if (!spark.alive) continue;
    const dx = own.x - spark.x;
    const dy = own.y - spark.y;
    const distance = Math.sqrt(dx * dx + dy * dy);
    if (playing && distance < sparkPull && distance > 1) {
      spark.vx += (dx / distance) * 5200 * dt;
      spark.vy += (dy / distance) * 5200 * dt;
    }
    spark.x += spark.vx * dt;
    spark.y += spark.vy * dt;
    if (playing && distance < sparkReach) collect(world, spark, emit);
    else if (spark.y > field.height + 40) spark.alive = false;
  }
}

function collect(world: World, spark: Spark, emit: Emit): void {
  spark.alive = false;
  const levelBefore = multiplier(world);
  world.chain = Math.min(chainMax, world.chain + (spark.comet ? 3 : 1));
  world.chainLeftS = rules.chainHoldS;
  world.streak++;
  world.tally.sparks++;
  world.tally.longestStreak = Math.max(world.tally.longestStreak, world.streak);
  const level = multiplier(world);
  const points = award(world, spark.comet ? 100 : 15);
  emit(spark.comet ? "comet" : "spark", spark.x, spark.y, spark.comet ? points : world.chain);
  if (level > levelBefore) emit("level", world.ship.x, world.ship.y - 190, level);
  const { missing } = world.spawner;
  if (--missing[spark.chain % missing.length]! === 0) {
    world.tally.perfects++;
    emit("perfect", world.ship.x, world.ship.y - 130, award(world, 250));
  }
}

function award(world: World, points: number): number {
  const total = points * multiplier(world) * (world.ship.overdriveS > 0 ? 2 : 1);
  world.score += total;
  return total;
}

function moveMeteors(world: World, emit: Emit): void {
  const { ship: own } = world;
  const playing = world.phase === "playing";
  for (const meteor of world.meteors) {
    if (!meteor.alive) continue;
    meteor.x += meteor.vx * dt;
    meteor.y += meteor.vy * dt;
    const { radius } = meteorSizes[meteor.size]!;
    if (meteor.y > field.height + radius * 2) meteor.alive = false;
    if (!playing || own.invulnerableS > 0) continue;
    const gap = Math.hypot(own.x - meteor.x, own.y - meteor.y) - radius - ship.radius;
    if (gap < 0) {
      meteor.alive = false;
      emit("blast", meteor.x, meteor.y, meteor.size);
      takeHit(world, emit);
    } else if (!meteor.passed && meteor.y > own.y) {
      meteor.passed = true;
      if (gap < nearMissGap) {
        world.tally.nearMisses++;
        emit("near", (own.x + meteor.x) / 2, own.y - 60, award(world, 50));
      }
    }
  }
}

function takeHit(world: World, emit: Emit): void {
  const { ship: own } = world;
  world.chain = Math.floor(world.chain / 2);
  world.streak = 0;
  own.invulnerableS = ship.invulnerableS;
  if (own.shields > 0) {
    own.shields--;
    emit("hit", own.x, own.y, own.shields);
    return;
  }
  own.shields = rules.shields;
  world.leftS = Math.max(0.01, world.leftS - rules.hitCostS);
  emit("breach", own.x, own.y, rules.hitCostS);
}

function moveOrbs(world: World, emit: Emit): void {
  const { ship: own } = world;
  for (const orb of world.orbs) {
    if (!orb.alive) continue;
    orb.y += orb.vy * dt;
    if (orb.y > field.height + 60) orb.alive = false;
    if (world.phase !== "playing" || Math.hypot(own.x - orb.x, own.y - orb.y) > orbReach) continue;
    orb.alive = false;
    if (orb.kind === "shield") own.shields = Math.min(rules.shields, own.shields + 1);
    else own.overdriveS = rules.overdriveS;
    emit(orb.kind, orb.x, orb.y, award(world, 100));
  }
}

function moveShots(world: World, emit: Emit): void {
  for (const shot of world.shots) {
    if (!shot.alive) continue;
    shot.x += shot.vx * dt;
    shot.y -= shotSpeed * dt;
    if (shot.y < -40) shot.alive = false;
    else strike(world, shot, emit);
  }
}

function strike(world: World, shot: Shot, emit: Emit): void {
  for (const meteor of world.meteors) {
    if (!meteor.alive) continue;
    const { radius, points } = meteorSizes[meteor.size]!;
    if (Math.abs(shot.x - meteor.x) > radius + 6 || Math.abs(shot.y - meteor.y) > radius + 6) continue;
    shot.alive = false;
    if (--meteor.hits > 0) {
      emit("chip", shot.x, shot.y, meteor.size);
      return;
    }
    meteor.alive = false;
    world.tally.meteors++;
    award(world, points);
    emit("blast", meteor.x, meteor.y, meteor.size);
    if (meteor.size === 2) split(world, meteor);
    return;
  }
}

/** A large meteor breaks into two small ones that fly apart. */
function split(world: World, broken: Meteor): void {
  for (const side of [-1, 1]) {
    const meteor = world.meteors.find(({ alive }) => !alive);
    if (!meteor) return;
    Object.assign(meteor, { alive: true, x: broken.x + side * 34, y: broken.y, vx: side * 120, vy: broken.vy * 0.9 });
    Object.assign(meteor, { size: 0, variant: side > 0 ? 1 : 0, hits: 1, passed: false });
  }
}

const between = (low: number, high: number, value: number) => Math.max(low, Math.min(high, value));
const limited = (value: number, limit: number) => between(-limit, limit, value);
