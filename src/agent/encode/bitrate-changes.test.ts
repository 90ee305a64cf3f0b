import { expect, it } from "vitest";
import { worthNewBitrate } from "./bitrate-changes.js";

it("where it costs nothing, every change is told that could be seen", () => {
  expect(worthNewBitrate(5_000, 5_100, "nothing", 0)).toBe(false);
  expect(worthNewBitrate(5_000, 5_200, "nothing", 0)).toBe(true);
  expect(worthNewBitrate(5_000, 4_800, "nothing", 0)).toBe(true);
});

it("where it costs a keyframe, down is told at once when it matters, up only some time after the last", () => {
  expect(worthNewBitrate(5_000, 4_600, "keyframe", 60_000)).toBe(false);
  expect(worthNewBitrate(5_000, 4_400, "keyframe", 0)).toBe(true);
  expect(worthNewBitrate(5_000, 5_800, "keyframe", 60_000)).toBe(false);
  expect(worthNewBitrate(5_000, 6_500, "keyframe", 1_000)).toBe(false);
  expect(worthNewBitrate(5_000, 6_500, "keyframe", 3_000)).toBe(true);
});
