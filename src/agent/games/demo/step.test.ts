import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Controls, hold, press } from "./controls.js";
import { shipRange } from "./layout.js";
import { step } from "./step.js";
import { createWorld, rankOf, rules, type World } from "./world.js";

const idle: Controls = { held: 0, pressed: 0, x: 0, y: 0, glideX: 0, glideY: 0, steerX: Number.NaN };
const silent = () => {};

/** What a player does for some steps; presses and glides happen on the first of them. */
const act = fc.record({
  steps: fc.integer({ min: 1, max: 240 }),
  held: fc.integer({ min: 0, max: 63 }),
  pressed: fc.integer({ min: 0, max: 15 }),
  x: fc.double({ min: -1, max: 1, noNaN: true }),
  y: fc.double({ min: -1, max: 1, noNaN: true }),
  glideX: fc.integer({ min: -2000, max: 2000 }),
  glideY: fc.integer({ min: -2000, max: 2000 }),
  steerX: fc.oneof(fc.constant(Number.NaN), fc.integer({ min: 0, max: 1280 })),
});
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never;

function play(world: World, acts: readonly Act[], watch: (world: World) => void = silent): void {
  for (const { steps, ...controls } of acts) {
    for (let i = 0; i < steps; i++) {
      step(world, i === 0 ? controls : { ...controls, pressed: 0, glideX: 0, glideY: 0 }, silent);
      watch(world);
    }
  }
}

const startedWorld = (seed = 1): World => {
  const world = createWorld(seed);
  step(world, { ...idle, pressed: press.any }, silent);
  return world;
};

const snapshot = (world: World) => JSON.stringify(world, (key, value) => (key === "random" ? undefined : value));

const stepFor = (world: World, seconds: number, controls: Controls = idle) => {
  for (let i = 0; i < seconds * 240; i++) step(world, controls, silent);
};

describe("the world, whatever the player does,", () => {
  it("holds no number that is not finite, and keeps the ship inside its range", () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(act, { maxLength: 12 }), (seed, acts) => {
        const world = createWorld(seed);
        play(world, acts, ({ ship }) => {
          expect(ship.x).toBeGreaterThanOrEqual(shipRange.left);
          expect(ship.x).toBeLessThanOrEqual(shipRange.right);
          expect(ship.y).toBeGreaterThanOrEqual(shipRange.top);
          expect(ship.y).toBeLessThanOrEqual(shipRange.bottom);
        });
        expect(snapshot(world)).not.toContain("null");
      }),
      { numRuns: 15 },
    );
  });

  it("never takes points away within a run", () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(act, { maxLength: 12 }), (seed, acts) => {
        const world = startedWorld(seed);
        let best = 0;
        play(
          world,
          acts.map((one) => ({ ...one, pressed: one.pressed & ~press.restart })),
          ({ score, phase }) => {
            if (phase === "playing") expect(score).toBeGreaterThanOrEqual(best);
            best = score;
          },
        );
      }),
      { numRuns: 15 },
    );
  });

  it("is the same for the same seed and the same controls", () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(act, { maxLength: 8 }), (seed, acts) => {
        const [one, other] = [createWorld(seed), createWorld(seed)];
        play(one, acts);
        play(other, acts);
        expect(snapshot(one)).toBe(snapshot(other));
      }),
      { numRuns: 10 },
    );
  });
});

describe("a run", () => {
  it("starts at the first press, which already moves the ship", () => {
    const world = createWorld(1);
    const from = world.ship.x;
    step(world, { ...idle, held: hold.left, pressed: press.any, x: -1 }, silent);
    expect(world.phase).toBe("playing");
    expect(world.ship.x).toBeLessThan(from);
  });

  it("leaves the ship where it is when nobody touches anything", () => {
    for (const world of [createWorld(1), startedWorld()]) {
      const { x, y } = world.ship;
      stepFor(world, 5);
      expect([world.ship.x, world.ship.y, world.ship.bank]).toEqual([x, y, 0]);
    }
  });

  it("reaches full speed within a tenth of a second, and stops within as much", () => {
    const world = startedWorld();
    stepFor(world, 0.1, { ...idle, held: hold.right, x: 1 });
    expect(world.ship.vx).toBeGreaterThan(800);
    stepFor(world, 0.1);
    expect(world.ship.vx).toBe(0);
  });

  it("comes to the pointer and stays there", () => {
    const world = startedWorld();
    stepFor(world, 1.5, { ...idle, steerX: 300 });
    expect(world.ship.x).toBeCloseTo(300, 0);
  });

  it("ends when its two minutes are over, and begins again at fire after a pause", () => {
    const world = startedWorld();
    stepFor(world, rules.runS + 1);
    expect(world.phase).toBe("result");
    stepFor(world, rules.resultPauseS);
    step(world, { ...idle, pressed: press.fire }, silent);
    expect([world.phase, world.score, world.leftS > rules.runS - 1]).toEqual(["playing", 0, true]);
  });

  it("does not begin again by the fire that was being pressed as it ended", () => {
    const world = startedWorld();
    world.leftS = 0.001;
    step(world, idle, silent);
    step(world, { ...idle, pressed: press.fire }, silent);
    expect(world.phase).toBe("result");
  });

  it("stands still while paused, and goes on at the same press", () => {
    const world = startedWorld();
    stepFor(world, 3);
    step(world, { ...idle, pressed: press.pause }, silent);
    const before = snapshot(world);
    stepFor(world, 2, { ...idle, held: hold.left, x: -1 });
    expect(snapshot(world)).toBe(before);
    step(world, { ...idle, pressed: press.pause }, silent);
    expect(world.phase).toBe("playing");
  });
});

describe("the rules", () => {
  const meteorAtShip = (world: World) =>
    Object.assign(world.meteors[0]!, { alive: true, x: world.ship.x, y: world.ship.y, vx: 0, vy: 0, size: 1, hits: 2 });

  it("raise the multiplier with sparks in a row, and score each by it", () => {
    const world = startedWorld();
    const scores: number[] = [];
    for (let i = 0; i <= rules.sparksPerLevel; i++) {
      const before = world.score;
      Object.assign(world.sparks[0]!, { alive: true, x: world.ship.x, y: world.ship.y, comet: false, chain: 5 });
      step(world, idle, silent);
      scores.push(world.score - before);
    }
    expect(scores.at(-1)).toBe(2 * scores[0]!);
  });

  it("take a shield for a hit, and seconds only when none is left", () => {
    const world = startedWorld();
    for (let left = rules.shields - 1; left >= 0; left--) {
      meteorAtShip(world);
      step(world, idle, silent);
      expect(world.ship.shields).toBe(left);
      world.ship.invulnerableS = 0;
    }
    const before = world.leftS;
    meteorAtShip(world);
    step(world, idle, silent);
    expect(before - world.leftS).toBeGreaterThanOrEqual(rules.hitCostS);
    expect(world.ship.shields).toBe(rules.shields);
  });

  it("spare a ship that was hit a moment ago", () => {
    const world = startedWorld();
    meteorAtShip(world);
    step(world, idle, silent);
    meteorAtShip(world);
    step(world, idle, silent);
    expect(world.ship.shields).toBe(rules.shields - 1);
  });

  it("break a large meteor into two small ones when it is shot down", () => {
    const world = startedWorld();
    Object.assign(world.meteors[0]!, { alive: true, x: 640, y: 300, vx: 0, vy: 0, size: 2, hits: 1 });
    Object.assign(world.shots[0]!, { alive: true, x: 640, y: 310, vx: 0 });
    step(world, idle, silent);
    expect(world.meteors.filter(({ alive, size }) => alive && size === 0)).toHaveLength(2);
    expect(world.tally.meteors).toBe(1);
  });

  it("praise a meteor that passes close by without a hit", () => {
    const world = startedWorld();
    Object.assign(world.meteors[0]!, {
      alive: true,
      x: world.ship.x + 90,
      y: world.ship.y - 1,
      vx: 0,
      vy: 600,
      size: 0,
    });
    Object.assign(world.meteors[0]!, { passed: false });
    step(world, idle, silent);
    expect(world.tally.nearMisses).toBe(1);
  });

  it("have a rank for every score", () => {
    for (const score of [0, 1, 15_000, 1e9]) expect(rankOf(score).from).toBeLessThanOrEqual(score);
  });
});
