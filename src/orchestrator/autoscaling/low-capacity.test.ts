import fc from "fast-check";
import { expect, test } from "vitest";
import { judgePool, lowThreshold } from "./low-capacity.js";

const policy = { share: 0.2, vms: 1 };

test("the threshold is a fifth of the seats, and never less than one VM's", () => {
  expect(lowThreshold({ free: 0, total: 16, vms: 4 }, policy)).toBe(4);
  expect(lowThreshold({ free: 0, total: 400, vms: 100 }, policy)).toBe(80);
});

test("between two calls the pool was above twice the threshold, whatever happens", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 200 }), (frees) => {
      let low = false;
      let recovered = true;
      for (const free of frees) {
        const judged = judgePool(low, { free, total: 40, vms: 10 }, policy);
        if (free > 16) recovered = true;
        if (judged.fire) {
          expect(recovered).toBe(true);
          expect(free).toBeLessThan(8);
          recovered = false;
        } else if (recovered) expect(free).toBeGreaterThanOrEqual(8);
        low = judged.low;
      }
    }),
  );
});

test("a pool without VMs is none: it says nothing, and forgets", () => {
  expect(judgePool(true, { free: 0, total: 0, vms: 0 }, policy)).toEqual({ low: false, fire: false });
});
