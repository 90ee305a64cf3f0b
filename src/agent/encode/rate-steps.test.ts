import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RateStepping, rateSteps } from "./rate-steps.js";
import { bitrateKbpsFloor, modeLadder, pixelRate } from "./video-mode.js";

const mode = { width: 1280, height: 720, fps: 60 };

describe("the steps a picture goes down", () => {
  it("are the frame rate first, then the size", () => {
    expect(rateSteps({ width: 1920, height: 1080, fps: 240 }, 20_000).map((step) => Object.values(step.mode))).toEqual([
      [1920, 1080, 240],
      [1920, 1080, 120],
      [1920, 1080, 60],
      [1920, 1080, 30],
      [1440, 810, 30],
      [960, 540, 30],
      [720, 404, 30],
    ]);
  });

  it("each have fewer pixels and need no more than the one before, never less than the floor, with even sides", () => {
    fc.assert(
      fc.property(fc.constantFrom(...modeLadder), fc.integer({ min: 1_000, max: 20_000 }), (full, kbpsMin) => {
        const steps = rateSteps(full, kbpsMin);
        expect(steps[0]).toEqual({ mode: full, kbpsMin });
        for (const [i, step] of steps.entries()) {
          expect(step.kbpsMin).toBeGreaterThanOrEqual(bitrateKbpsFloor);
          expect([step.mode.width % 2, step.mode.height % 2]).toEqual([0, 0]);
          if (i === 0) continue;
          expect(pixelRate(step.mode)).toBeLessThan(pixelRate(steps[i - 1]!.mode));
          expect(step.kbpsMin).toBeLessThanOrEqual(steps[i - 1]!.kbpsMin);
        }
      }),
    );
  });
});

describe("stepping", () => {
  const steps = rateSteps(mode, 3_500);
  const run = (stepping: RateStepping, kbps: number, fromMs: number, ms: number) => {
    for (let at = fromMs; at <= fromMs + ms; at += 100) stepping.update(kbps, at);
  };

  it("goes down as far as needed after half a second of too little, and not for a moment of it", () => {
    const stepping = new RateStepping(steps);
    run(stepping, 1_000, 0, 400);
    stepping.update(3_600, 500);
    expect(stepping.mode).toEqual(mode);
    run(stepping, 2_500, 600, 500);
    expect(stepping.mode).toEqual({ ...mode, fps: 30 });
    run(stepping, 1_000, 2_000, 500);
    expect(stepping.mode).toEqual(steps.at(-1)!.mode);
  });

  it("goes up one step at a time, after five seconds of plenty each", () => {
    const stepping = new RateStepping(steps);
    run(stepping, 1_000, 0, 600);
    run(stepping, 20_000, 1_000, 4_900);
    expect(stepping.mode).toEqual(steps.at(-1)!.mode);
    run(stepping, 20_000, 6_000, 100);
    expect(stepping.mode).toEqual(steps.at(-2)!.mode);
    run(stepping, 20_000, 7_000, 60_000);
    expect(stepping.mode).toEqual(mode);
  });

  it("never changes more than once in five seconds upwards, whatever the path does", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 500, max: 8_000 }), { maxLength: 300 }), (rates) => {
        const stepping = new RateStepping(steps);
        let before = stepping.mode;
        let changedAtMs = Number.NEGATIVE_INFINITY;
        for (const [i, kbps] of rates.entries()) {
          stepping.update(kbps, i * 100);
          if (stepping.mode === before) continue;
          if (pixelRate(stepping.mode) > pixelRate(before)) expect(i * 100 - changedAtMs).toBeGreaterThanOrEqual(5_000);
          changedAtMs = i * 100;
          before = stepping.mode;
        }
      }),
    );
  });
});
