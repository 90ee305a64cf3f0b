// What comes down next: chains of sparks led by a comet, meteors, and orbs. All chance is the world's own generator.
import { field } from "./layout.js";
import { heat, type Meteor, meteorSizes, type World } from "./world.js";

/** Where along a chain's swing (−1–1) its spark stands, by how far down the chain it is (0–1). */
const shapes: readonly ((along: number) => number)[] = [
  (along) => 2 * along - 1,
  (along) => 1 - 2 * along,
  (along) => Math.sin(along * Math.PI * 2),
  (along) => Math.sin(along * Math.PI * 3) * (1 - along / 2),
  (along) => Math.abs(2 * along - 1) * 2 - 1,
  () => 0,
];

const margin = 130;

export function spawn(world: World, dt: number): void {
  const { spawner } = world;
  const falling = world.phase === "playing";
  spawner.nextSparkS -= dt;
  if (spawner.nextSparkS <= 0) {
    if (spawner.sent >= spawner.length) beginChain(world);
    sendSpark(world);
  }
  if (!falling) return;
  spawner.nextMeteorS -= dt;
  if (spawner.nextMeteorS <= 0) {
    sendMeteor(world);
    spawner.nextMeteorS = (1.05 - 0.72 * heat(world)) * (0.7 + 0.6 * world.random());
  }
  spawner.nextOrbS -= dt;
  if (spawner.nextOrbS <= 0) {
    sendOrb(world);
    spawner.nextOrbS = 13 + 3 * world.random();
  }
}

function beginChain(world: World): void {
  const { spawner, random } = world;
  spawner.chain++;
  spawner.sent = 0;
  spawner.length = 9 + Math.floor(random() * 6);
  spawner.missing[spawner.chain % spawner.missing.length] = spawner.length;
  spawner.shape = Math.floor(random() * shapes.length);
  spawner.swing = 90 + random() * (150 + 130 * heat(world));
  const room = field.width / 2 - margin - spawner.swing;
  spawner.centre = field.width / 2 + (2 * random() - 1) * room;
}

function sendSpark(world: World): void {
  const { spawner } = world;
  const spark = world.sparks.find(({ alive }) => !alive);
  const along = spawner.sent / (spawner.length - 1);
  if (spark) {
    spark.alive = true;
    spark.x = spawner.centre + spawner.swing * shapes[spawner.shape]!(along);
    spark.y = -40;
    spark.vx = 0;
    spark.vy = world.scroll;
    spark.chain = spawner.chain;
    spark.comet = spawner.sent === 0;
  }
  spawner.sent++;
  const spacing = 46 / world.scroll;
  const gapS = world.leftS < 15 ? 0.35 : 1.15 - 0.55 * heat(world);
  spawner.nextSparkS = spawner.sent < spawner.length ? spacing : gapS;
}

function sendMeteor(world: World): void {
  const { random } = world;
  const meteor = world.meteors.find(({ alive }) => !alive);
  if (!meteor) return;
  const danger = heat(world);
  const roll = random();
  const size = roll < 0.12 + 0.12 * danger ? 2 : roll < 0.5 + 0.1 * danger ? 1 : 0;
  // Three in ten come for the ship: standing still is never safe.
  const aimed = random() < 0.3;
  const wide = margin / 2 + random() * (field.width - margin);
  const fall: Partial<Meteor> = {
    x: aimed ? world.ship.x + (random() - 0.5) * 120 : wide,
    y: -150,
    vx: (random() - 0.5) * (60 + 100 * danger),
    vy: world.scroll * (1.05 + 0.5 * random()) - size * 20,
  };
  const rock: Partial<Meteor> = { size, variant: Math.floor(random() * 2), hits: meteorSizes[size]!.hits };
  Object.assign(meteor, { alive: true, passed: false }, fall, rock);
}

function sendOrb(world: World): void {
  const orb = world.orbs.find(({ alive }) => !alive);
  if (!orb) return;
  orb.alive = true;
  orb.x = margin + world.random() * (field.width - 2 * margin);
  orb.y = -50;
  orb.vy = world.scroll * 0.8;
  orb.kind = world.spawner.orbs++ % 2 === 0 ? "overdrive" : "shield";
}
