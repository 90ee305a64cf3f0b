import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bitrateKbpsFloor, pixelRate } from "../../contracts/catalog.js";
import { RateStepping, rateSteps } from "./rate-steps.js";
import { modeLadder } from "./video-mode.js";

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
  const leastForPath = steps.find((step) => step.kbpsMin === bitrateKbpsFloor)!;
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
    expect(stepping.mode).toEqual(leastForPath.mode);
  });

  it("goes up one step at a time, after five seconds of plenty each", () => {
    const stepping = new RateStepping(steps);
    run(stepping, 1_000, 0, 600);
    run(stepping, 20_000, 1_000, 4_900);
    expect(stepping.mode).toEqual(leastForPath.mode);
    run(stepping, 20_000, 6_000, 100);
    expect(stepping.mode).toEqual(steps[steps.indexOf(leastForPath) - 1]!.mode);
    run(stepping, 20_000, 7_000, 60_000);
    expect(stepping.mode).toEqual(mode);
  });

  describe("for the machine", () => {
    const slow = (workMs: number) => ({ workMs, encodeMs: workMs, overloaded: true });
    const easy = (workMs: number) => ({ workMs, encodeMs: workMs, overloaded: false });
    const windows = (stepping: RateStepping, workMs: number, count: number, fromMs: number) => {
      for (let i = 1; i <= count; i++) stepping.load(easy(workMs), fromMs + i * 2_000);
    };

    it("goes down one step for each window of too much", () => {
      const stepping = new RateStepping(steps);
      expect(stepping.heldBy).toBeNull();
      stepping.load(slow(22), 2_000);
      expect(stepping.mode).toEqual({ ...mode, fps: 30 });
      expect(stepping.heldBy).toBe("machine");
      stepping.load(slow(60), 4_000);
      expect(stepping.mode).toEqual({ width: 960, height: 540, fps: 30 });
      for (let atMs = 6_000; atMs < 20_000; atMs += 2_000) stepping.load(slow(60), atMs);
      expect(stepping.mode).toEqual(steps.at(-1)!.mode);
    });

    it("goes up after ten seconds in which the step above would have left room, and not where it would not", () => {
      const stepping = new RateStepping(steps);
      stepping.load(slow(22), 2_000);
      windows(stepping, 14, 30, 2_000);
      expect(stepping.mode).toEqual({ ...mode, fps: 30 });
      windows(stepping, 6, 5, 62_000);
      expect(stepping.mode).toEqual({ ...mode, fps: 30 });
      windows(stepping, 6, 1, 72_000);
      expect(stepping.mode).toEqual(mode);
    });

    it("waits twice as long each time it had to come down again", () => {
      const stepping = new RateStepping(steps);
      const upAfter = (fromMs: number) => {
        for (let count = 1; ; count++) {
          windows(stepping, 6, 1, fromMs + count * 2_000);
          if (stepping.heldBy === null) return { windows: count, atMs: fromMs + count * 2_000 };
        }
      };
      let atMs = 0;
      const waits: number[] = [];
      for (let i = 0; i < 7; i++) {
        stepping.load(slow(22), (atMs += 4_000));
        const up = upAfter(atMs);
        waits.push(up.windows - 1);
        ({ atMs } = up);
      }
      expect(waits).toEqual([5, 10, 20, 40, 80, 80, 80]);
    });

    it("never shows more than either the path or the machine allows, and obeys the one that lasts", () => {
      const stepping = new RateStepping(steps);
      stepping.load(slow(22), 2_000);
      run(stepping, 1_000, 2_000, 600);
      expect(stepping.mode).toEqual(leastForPath.mode);
      expect(stepping.heldBy).toBe("path");
      run(stepping, 20_000, 3_000, 60_000);
      expect(stepping.mode).toEqual({ ...mode, fps: 30 });
      expect(stepping.heldBy).toBe("machine");
    });

    it("begins with what another encoder sustains", () => {
      const stepping = new RateStepping(rateSteps({ width: 2560, height: 1440, fps: 120 }, 15_000));
      stepping.sustains({ width: 1280, height: 720, fps: 60 }, 0);
      expect(pixelRate(stepping.mode)).toBeLessThanOrEqual(1280 * 720 * 60);
      expect(stepping.heldBy).toBe("machine");
      stepping.sustains({ width: 2560, height: 1440, fps: 120 }, 1_000);
      expect(stepping.heldBy).toBeNull();
    });
  });

  it("is where the lower of the two wants it, whatever path and machine do, and goes up one step at a time", () => {
    const event = fc.oneof(
      fc.record({ kbps: fc.integer({ min: 500, max: 8_000 }) }),
      fc.record({ workMs: fc.double({ min: 1, max: 80, noNaN: true }), overloaded: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 300 }), (events) => {
        const [both, pathOnly] = [new RateStepping(steps), new RateStepping(steps)];
        const indexOf = (stepping: RateStepping) => steps.findIndex((step) => step.mode === stepping.mode);
        for (const [i, event] of events.entries()) {
          const before = indexOf(both);
          if ("kbps" in event) for (const stepping of [both, pathOnly]) stepping.update(event.kbps, i * 500);
          else both.load({ ...event, encodeMs: event.workMs }, i * 500);
          expect(indexOf(both)).toBeGreaterThanOrEqual(indexOf(pathOnly));
          expect(indexOf(both)).toBeGreaterThanOrEqual(before - 1);
          expect(both.heldBy === null).toBe(indexOf(both) === 0);
        }
      }),
    );
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
