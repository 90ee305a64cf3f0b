import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { livenessLimits, lostBecause } from "./liveness.js";
import { nextTick, piecesDue } from "./pacing.js";

const grid = { originMs: 1_000, periodMs: 1000 / 60 };

describe("frames", () => {
  it("fall due on the grid, however late the ones before were made", () => {
    expect(nextTick(grid, 0, 1_001).dueMs).toBeCloseTo(1_016.67, 1);
    expect(nextTick(grid, 0, 1_020)).toMatchObject({ index: 1 });
    expect(nextTick(grid, 0, 1_060)).toMatchObject({ index: 3 });
  });

  it("are never queued and never made twice: each tick is newer than the last, and at most one period overdue", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 80, noNaN: true }), { maxLength: 100 }), (worksMs) => {
        let nowMs = grid.originMs;
        let last = -1;
        for (const workMs of worksMs) {
          const tick = nextTick(grid, last, nowMs);
          expect(tick.index).toBeGreaterThan(last);
          expect(nowMs - tick.dueMs).toBeLessThan(grid.periodMs + 1e-6);
          last = tick.index;
          nowMs = Math.max(nowMs, tick.dueMs) + workMs;
        }
      }),
    );
  });
});

describe("sound", () => {
  it("keeps up with real time without losing a piece, as long as the delays are small", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 49, noNaN: true }), { minLength: 1, maxLength: 200 }),
        (delaysMs) => {
          const clock = { originMs: 0, periodMs: 10 };
          let nowMs = 0;
          let produced = 0;
          for (const delayMs of delaysMs) {
            nowMs += delayMs;
            const { pieces, skipped } = piecesDue(clock, produced, nowMs, 5);
            expect(skipped).toBe(0);
            produced += pieces;
            expect(produced).toBe(Math.floor(nowMs / 10));
          }
        },
      ),
    );
  });

  it("gives up what is too late to be heard, and is on time again at once", () => {
    expect(piecesDue({ originMs: 0, periodMs: 10 }, 3, 1_000, 5)).toEqual({ pieces: 1, skipped: 96 });
  });
});

describe("a connection", () => {
  const sign = { connected: true, offeredAtMs: 0, heardAtMs: 100_000, iceConnected: true };
  const { silenceMsMax, silenceWithoutIceMsMax, connectMsMax } = livenessLimits;

  it("lives while anything is heard of it", () => {
    expect(lostBecause(sign, 100_000 + silenceMsMax)).toBeNull();
    expect(lostBecause({ ...sign, iceConnected: false }, 100_000 + silenceWithoutIceMsMax)).toBeNull();
  });

  it("is lost after a long silence, or a shorter one when ICE has lost it too", () => {
    expect(lostBecause(sign, 100_001 + silenceMsMax)).toMatch("nothing heard");
    expect(lostBecause({ ...sign, iceConnected: false }, 100_001 + silenceWithoutIceMsMax)).toMatch("network path");
  });

  it("that never comes up is given up", () => {
    const offered = { ...sign, connected: false, iceConnected: false };
    expect(lostBecause(offered, connectMsMax)).toBeNull();
    expect(lostBecause(offered, connectMsMax + 1)).toMatch("never connected");
  });
});
