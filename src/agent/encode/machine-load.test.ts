import { expect, it } from "vitest";
import { type Load, MachineLoad } from "./machine-load.js";

const periodMs = 1000 / 60;

/** Whose first seconds are over. */
function started(): MachineLoad {
  const load = new MachineLoad();
  for (let frame = 0; frame <= 120; frame++) load.frame({ late: false, workMs: 1, encodeMs: 1 }, frame * periodMs);
  load.reset();
  return load;
}

/** Frames of one cost until a second window tells, each begun when its tick was due or when the one before was done. */
function twoWindows(
  workMs: number,
  { load = started(), pauseEvery }: { load?: MachineLoad; pauseEvery?: { frames: number; ms: number } } = {},
): Load {
  let nowMs = 0;
  let tick = -1;
  let windows = 0;
  for (let frame = 0; ; frame++) {
    const askedMs = nowMs;
    tick = Math.max(tick + 1, Math.floor(askedMs / periodMs));
    const dueMs = tick * periodMs;
    nowMs =
      Math.max(askedMs, dueMs) +
      workMs +
      (pauseEvery !== undefined && frame % pauseEvery.frames === 30 ? pauseEvery.ms : 0);
    const found = load.frame({ late: dueMs <= askedMs, workMs, encodeMs: workMs / 2 }, nowMs);
    if (found !== null && ++windows === 2) return found;
  }
}

it("a machine whose frames take less than their time keeps up, one whose frames take more does not", () => {
  expect([4, 12, 16].map((workMs) => twoWindows(workMs).overloaded)).toEqual([false, false, false]);
  expect([17.5, 22, 40, 120].map((workMs) => twoWindows(workMs).overloaded)).toEqual([true, true, true, true]);
});

it("a busy moment is not a machine that is too slow: it does not keep up twice running", () => {
  const load = started();
  const late = (ms: number) => load.frame({ late: ms < 6_500, workMs: 20, encodeMs: 20 }, ms);
  const told = Array.from({ length: 400 }, (_, frame) => late(5_000 + frame * 20)).filter((found) => found !== null);
  expect(told.map(({ overloaded }) => overloaded)).toEqual([false, false, false]);
  expect(twoWindows(20, { load }).overloaded).toBe(true);
});

it("one long pause, or two, is not a machine that is too slow", () => {
  expect(twoWindows(6, { pauseEvery: { frames: 45, ms: 1_200 } }).overloaded).toBe(false);
});

it("tells what a frame took, and how much of that encoding was", () => {
  const { workMs, encodeMs } = twoWindows(22);
  expect(workMs).toBeCloseTo(22);
  expect(encodeMs).toBeCloseTo(11);
});

it("says nothing after a few frames, however slow they were", () => {
  const load = started();
  for (let frame = 0; frame < 9; frame++)
    expect(load.frame({ late: true, workMs: 500, encodeMs: 500 }, frame * 500)).toBeNull();
});

it("says nothing of the first two seconds that somebody watches", () => {
  const load = new MachineLoad();
  for (const _ of ["first", "again"]) {
    for (let ms = 0; ms <= 2_100; ms += 30) expect(load.frame({ late: true, workMs: 30, encodeMs: 30 }, ms)).toBeNull();
    expect(twoWindows(22, { load }).overloaded).toBe(true);
    load.start();
  }
});
