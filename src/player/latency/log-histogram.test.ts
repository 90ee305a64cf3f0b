import fc from "fast-check";
import { expect, test } from "vitest";
import { LogHistogram } from "./log-histogram.js";

const anyMs = fc.double({ min: 0.02, max: 60_000, noNaN: true });
const nearestRank = (values: readonly number[], p: number) =>
  [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil((p / 100) * values.length) - 1)]!;

test("every percentile is within 1 % of the true one", () => {
  fc.assert(
    fc.property(fc.array(anyMs, { minLength: 1, maxLength: 300 }), fc.integer({ min: 0, max: 100 }), (values, p) => {
      const histogram = new LogHistogram();
      for (const ms of values) histogram.add(ms);
      const exact = nearestRank(values, p);
      expect(Math.abs(histogram.percentile(p)! - exact)).toBeLessThanOrEqual(exact * 0.0101);
    }),
  );
});

test("two merged say what one would that had got the values of both", () => {
  fc.assert(
    fc.property(fc.array(anyMs), fc.array(anyMs), (a, b) => {
      const [one, other, both] = [new LogHistogram(), new LogHistogram(), new LogHistogram()];
      for (const ms of a) one.add(ms);
      for (const ms of b) other.add(ms);
      for (const ms of [...b, ...a]) both.add(ms);
      one.merge(other);
      expect(one.count).toBe(both.count);
      for (const p of [50, 95, 99]) expect(one.percentile(p)).toBe(both.percentile(p));
    }),
  );
});

test("none has no percentile, nor has one that was cleared; what is out of range counts as its end", () => {
  const histogram = new LogHistogram();
  expect(histogram.percentile(50)).toBeNull();
  histogram.add(-3);
  expect(histogram.percentile(50)).toBeLessThan(0.021);
  histogram.add(1e9);
  expect(histogram.percentile(99)).toBeGreaterThan(59_000);
  histogram.clear();
  expect([histogram.count, histogram.percentile(50)]).toEqual([0, null]);
});
