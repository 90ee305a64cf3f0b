import fc from "fast-check";
import { expect, test } from "vitest";
import { closeCodes } from "../contracts/signalling.js";
import { recoveryFor, retryDelayMs } from "./recovery.js";

test("every close code of the contract has its own answer", () => {
  const answers = Object.fromEntries(Object.entries(closeCodes).map(([name, code]) => [name, recoveryFor(code)]));
  expect(answers).toEqual({
    ended: "over",
    badMessage: "misunderstood",
    unauthenticated: "fresh-ticket",
    forbidden: "fresh-ticket",
    notFound: "not-found",
    helloTimeout: "retry",
    takenOver: "taken-over",
    unsupportedVersion: "misunderstood",
    tooFast: "retry",
    unavailable: "retry",
  });
});

test("the protocol's own close codes are a lost network or a restart: try again", () => {
  for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 1013, 1015]) expect(recoveryFor(code)).toBe("retry");
});

test("retries double, spread over half their delay, up to 8 s", () => {
  expect([0, 1, 2, 3, 4, 5, 6].map((attempt) => retryDelayMs(attempt, 0))).toEqual([
    125, 250, 500, 1_000, 2_000, 4_000, 4_000,
  ]);
  expect(retryDelayMs(0, 0.5)).toBe(188);
  fc.assert(
    fc.property(fc.nat(1_000), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, random) => {
      const delayMs = retryDelayMs(attempt, random);
      expect(delayMs).toBeGreaterThanOrEqual(retryDelayMs(attempt, 0));
      expect(delayMs).toBeLessThanOrEqual(2 * retryDelayMs(attempt, 0));
      expect(delayMs).toBeLessThanOrEqual(8_000);
    }),
  );
});
