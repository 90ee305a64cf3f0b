import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pixelRate, videoMode } from "../../contracts/catalog.js";
import { bitrateKbpsFor, headroom, modeFor, modeLadder, sustainedMode } from "./video-mode.js";

const aMode = fc.record({
  width: fc.integer({ min: 160, max: 1_920 }).map((half) => half * 2),
  height: fc.integer({ min: 120, max: 1_080 }).map((half) => half * 2),
  fps: fc.integer({ min: 15, max: 240 }),
});
const aLadderMode = fc.constantFrom(...modeLadder);
const smallest = modeLadder.at(-1)!;

describe("what a machine sustains", () => {
  it("is one session of 720p60 on two cores shared with a browser, as slow or fast as they were measured", () => {
    const sustains = { width: 1280, height: 720, fps: 60 };
    for (const pixelsPerSecond of [205e6, 240e6, 280e6])
      expect(sustainedMode(pixelsPerSecond, { encodersAtOnce: 1, runsOn: "cpu" })).toEqual({
        sustains,
        sessionsMax: 1,
      });
  });

  it("is the largest mode that leaves the headroom, and all sessions together leave it too", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1e6, max: 4e9, noNaN: true }),
        fc.double({ min: 1, max: 32, noNaN: true }),
        fc.constantFrom("cpu", "gpu"),
        (pps, encodersAtOnce, runsOn) => {
          const { sustains, sessionsMax } = sustainedMode(pps, { encodersAtOnce, runsOn });
          const larger = modeLadder.slice(0, modeLadder.indexOf(sustains));
          for (const mode of larger) expect(pixelRate(mode) * headroom[runsOn]).toBeGreaterThan(pps);
          expect(sessionsMax).toBeGreaterThanOrEqual(1);
          expect(sessionsMax).toBeLessThanOrEqual(6);
          if (sessionsMax > 1)
            expect(sessionsMax * pixelRate(sustains) * headroom[runsOn]).toBeLessThanOrEqual(pps * encodersAtOnce);
        },
      ),
    );
  });

  it("is more of a GPU's encoder than of as fast a CPU, which has other work", () => {
    const [gpu, cpu] = (["gpu", "cpu"] as const).map((runsOn) => sustainedMode(500e6, { encodersAtOnce: 1, runsOn }));
    expect(gpu).toEqual({ sustains: { width: 1920, height: 1080, fps: 120 }, sessionsMax: 1 });
    expect(cpu).toEqual({ sustains: { width: 1920, height: 1080, fps: 60 }, sessionsMax: 1 });
  });

  it("never shrinks when the machine is faster", () => {
    const speed = fc.double({ min: 1e6, max: 4e9, noNaN: true });
    fc.assert(
      fc.property(speed, speed, (a, b) => {
        const [slow, fast] = [Math.min(a, b), Math.max(a, b)].map((pps) =>
          pixelRate(sustainedMode(pps, { encodersAtOnce: 1, runsOn: "cpu" }).sustains),
        );
        expect(fast).toBeGreaterThanOrEqual(slow!);
      }),
    );
  });
});

describe("the mode of a session", () => {
  it("is what was asked where the machine sustains as many pixels a second", () => {
    const asked = { width: 1920, height: 1080, fps: 30 };
    expect(modeFor(asked, { width: 2560, height: 1440, fps: 120 })).toEqual({ mode: asked, why: null });
    const small = { width: 640, height: 360, fps: 120 };
    expect(modeFor(small, { width: 1280, height: 720, fps: 60 }).mode).toEqual(small);
  });

  it("of the seed's presets on a 720p60 machine is 1280×720 at 60, and says why", () => {
    const sustains = { width: 1280, height: 720, fps: 60 };
    for (const asked of [
      { width: 2560, height: 1440, fps: 120 },
      { width: 1920, height: 1080, fps: 60 },
      { width: 1920, height: 1080, fps: 240 },
    ]) {
      const { mode, why } = modeFor(asked, sustains);
      expect(mode).toEqual(sustains);
      expect(why).toContain("this machine's encoder sustains 1280×720 at 60 frames per second");
    }
  });

  it("is even, keeps the proportions, is never above what was asked or sustained", () => {
    fc.assert(
      fc.property(aMode, aLadderMode, (asked, sustains) => {
        const { mode, why } = modeFor(asked, sustains);
        expect(videoMode.safeParse(mode).success).toBe(true);
        expect(mode.width).toBeLessThanOrEqual(asked.width);
        expect(mode.height).toBeLessThanOrEqual(asked.height);
        expect(mode.fps).toBeLessThanOrEqual(asked.fps);
        expect(why === null).toBe(pixelRate(mode) === pixelRate(asked));
        const shrunkToMinimum = mode.width === 160 || mode.height === 90;
        if (shrunkToMinimum) return;
        expect(pixelRate(mode)).toBeLessThanOrEqual(pixelRate(sustains));
        // Rounding down to even sizes moves a side by less than two pixels.
        expect(Math.abs(mode.width * asked.height - mode.height * asked.width)).toBeLessThanOrEqual(
          2 * Math.max(asked.width, asked.height),
        );
      }),
    );
  });
});

describe("the bitrate of a session", () => {
  const seat = { mode: { width: 1920, height: 1080, fps: 60 }, bitrateKbpsMin: 8_000, bitrateKbpsMax: 15_000 };

  it("is 6–8 Mbit/s at 720p60", () => {
    const mode = { width: 1280, height: 720, fps: 60 };
    expect(bitrateKbpsFor(mode, seat)).toBe(6_636);
    expect(bitrateKbpsFor(mode, { ...seat, mode })).toBe(8_000);
  });

  it("stays within the seat's bounds at the seat's mode, and above the floor at any", () => {
    fc.assert(
      fc.property(aMode, aLadderMode, (asked, sustains) => {
        const { mode } = modeFor(asked, sustains);
        const kbps = bitrateKbpsFor(mode, { ...seat, mode: asked });
        expect(kbps).toBeLessThanOrEqual(15_000);
        expect(kbps).toBeGreaterThanOrEqual(pixelRate(mode) === pixelRate(asked) ? 8_000 : 1_000);
      }),
    );
    expect(pixelRate(smallest)).toBeLessThan(10e6);
  });
});
