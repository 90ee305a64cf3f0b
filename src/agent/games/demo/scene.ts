// One frame of the world: from the background up, the ship last of what flies, so nothing ever hides it.
//
// Everything is drawn where it will be `lead` seconds after its last step: the frame clock and the 240 Hz steps never
// divide evenly, and without this a steady motion would judder by one step.
import { type Effects, ringLifeS, wordLifeS } from "./effects.js";
import type { Font } from "./font.js";
import { field, stripTop } from "./layout.js";
import { type Sprites, shipSprite } from "./sprites.js";
import type { Surface } from "./surface.js";
import type { World } from "./world.js";

export interface Stage {
  readonly surface: Surface;
  readonly background: Uint8Array;
  readonly sprites: Sprites;
  readonly words: { readonly loud: Font; readonly plain: Font };
}

export function drawScene(stage: Stage, world: World, effects: Effects, lead: number, nowMs: number): void {
  const { surface, background, sprites } = stage;
  const sx = surface.width / field.width;
  const sy = surface.height / field.height;
  const strip = Math.round((stripTop * sy) / 2) * 2;
  surface.restore(background, 0, strip);
  drawStars(stage, world, effects, sx, sy);
  for (const { alive, x, y, burst, ageS } of effects.rings) {
    if (!alive) continue;
    const age = ageS / ringLifeS;
    if (burst && age < 0.5) surface.blit(sprites.burst, x * sx, y * sy, Math.round(256 * (1 - 2 * age)));
    surface.blit(sprites.rings[Math.floor(age * sprites.rings.length)]!, x * sx, y * sy);
  }
  for (const meteor of world.meteors) {
    if (!meteor.alive) continue;
    const sprite = sprites.meteors[meteor.size]![meteor.variant]!;
    surface.blit(sprite, (meteor.x + meteor.vx * lead) * sx, (meteor.y + meteor.vy * lead) * sy);
  }
  const turn = Math.floor(nowMs / 70);
  for (let i = 0; i < world.sparks.length; i++) {
    const spark = world.sparks[i]!;
    if (!spark.alive) continue;
    const sprite = spark.comet ? sprites.comet : sprites.sparks[(turn + i) % sprites.sparks.length]!;
    surface.blit(sprite, (spark.x + spark.vx * lead) * sx, (spark.y + spark.vy * lead) * sy);
  }
  for (const orb of world.orbs) {
    if (orb.alive) surface.blit(sprites.orbs[orb.kind], orb.x * sx, (orb.y + orb.vy * lead) * sy);
  }
  for (const shot of world.shots) {
    if (shot.alive) surface.blit(sprites.shot, shot.x * sx, shot.y * sy);
  }
  for (const { alive, x, y, ageS, lifeS, glint } of effects.particles) {
    if (alive) surface.blit(sprites.glints[glint], x * sx, y * sy, Math.round(256 * (1 - ageS / lifeS)));
  }
  drawWords(stage, effects, sx, sy);
  drawShip(stage, world, lead, nowMs, sx, sy);
  surface.restore(background, strip, surface.height);
}

function drawStars({ surface, sprites }: Stage, world: World, effects: Effects, sx: number, sy: number): void {
  const fast = world.scroll > 300;
  for (const { x, y, layer } of effects.stars) {
    const speed =
      layer === 2 && fast ? Math.min(sprites.streaks.length - 1, Math.floor((world.scroll - 300) / 80)) : -1;
    const sprite = speed < 0 ? sprites.stars[layer]! : sprites.streaks[speed]!;
    surface.blit(sprite, x * sx, y * sy, 110 + layer * 60);
  }
}

function drawShip(
  { surface, sprites }: Stage,
  world: World,
  lead: number,
  nowMs: number,
  sx: number,
  sy: number,
): void {
  const { ship } = world;
  const x = (ship.x + ship.vx * lead) * sx;
  const y = (ship.y + ship.vy * lead) * sy;
  const flicker = Math.floor(nowMs / 45) % 2;
  const thrust = ship.vy < -100 ? 2 : ship.vy > 100 ? 0 : 1;
  surface.blit(sprites.flames[thrust + flicker]!, x, y + 56 * sy);
  surface.blit(shipSprite(sprites, ship.bank), x, y);
  if (ship.invulnerableS > 0) surface.blit(sprites.shield, x, y, Math.floor(nowMs / 90) % 2 ? 256 : 150);
}

function drawWords({ surface, words }: Stage, effects: Effects, sx: number, sy: number): void {
  for (const { alive, x, y, ageS, text, loud } of effects.words) {
    if (!alive) continue;
    const opacity = Math.round(256 * Math.min(1, 2 * (1 - ageS / wordLifeS)));
    (loud ? words.loud : words.plain).draw(surface, text, x * sx, y * sy, 0.5, opacity);
  }
}
