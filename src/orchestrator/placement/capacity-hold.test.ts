import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CapacityHold, failuresAfter, holdInWords, holdMsAfter, isOpen } from "./capacity-hold.js";

const policy = { holdMs: 30_000, holdMsMax: 600_000 };
const hold = (failures: number, untilMs: number): CapacityHold => ({
  region: "us-east-1",
  templateId: "L4-90",
  provider: "simulated",
  scope: "place",
  failures,
  until: new Date(untilMs),
});

describe("a place without capacity", () => {
  test("is left alone twice as long after each failure in a row, up to a limit", () => {
    expect([1, 2, 3, 5, 6, 99].map((failures) => holdMsAfter(failures, policy))).toEqual([
      30_000, 60_000, 120_000, 480_000, 600_000, 600_000,
    ]);
  });

  test("has failures of launches under way together counted once", () => {
    expect(failuresAfter(undefined, 0)).toBe(1);
    expect(failuresAfter(hold(1, 5_000), 4_999)).toBe(1);
    expect(failuresAfter(hold(1, 5_000), 5_000)).toBe(2);
  });

  test("is always asked again, sooner than the limit", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000_000), { minLength: 1, maxLength: 40 }), (pauses) => {
        let nowMs = 0;
        let known: CapacityHold | undefined;
        for (const pause of pauses) {
          nowMs += pause;
          const failures = failuresAfter(known, nowMs);
          if (failures !== known?.failures) known = hold(failures, nowMs + holdMsAfter(failures, policy));
          expect(isOpen(known, nowMs)).toBe(true);
          expect(isOpen(known, nowMs + policy.holdMsMax)).toBe(false);
        }
      }),
    );
  });

  test("is explained to the operator", () => {
    expect(holdInWords(hold(1, 30_000), 0)).toBe("L4-90: the provider had no capacity; it is asked again in 30 s.");
    expect(holdInWords(hold(3, 30_000), 30_000)).toBe(
      "L4-90: the provider had no capacity, 3 times in a row; it is asked for one VM at a time.",
    );
  });
});
