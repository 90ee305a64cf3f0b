import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs } from "./clock.js";

test("back-off doubles up to its cap, and is anywhere below: whoever lost the same server comes back at another time", () => {
  const limits = { baseMs: 100, capMs: 5_000 };
  const nearOne = 1 - Number.EPSILON;
  expect([0, 1, 2, 3, 4, 5, 6, 7, 100].map((attempt) => backoffMs(attempt, nearOne, limits))).toEqual([
    100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000,
  ]);
  fc.assert(
    fc.property(fc.nat(1_000), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, random) => {
      const most = backoffMs(attempt, nearOne, limits);
      const waitMs = backoffMs(attempt, random, limits);
      expect(waitMs).toBeGreaterThanOrEqual(0);
      expect(waitMs).toBeLessThanOrEqual(most);
      expect(waitMs).toBe(Math.ceil(random * most));
    }),
  );
});
