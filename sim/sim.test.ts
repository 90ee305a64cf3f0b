import { describe, expect, test } from "vitest";
import type { Break } from "./breaks.js";
import { runSeed, type SeedOptions } from "./run-seed.js";

const minuteMs = 60_000;
const timeoutMs = 120_000;

const run = (seed: number, minutes: number, options: Partial<SeedOptions> = {}) =>
  runSeed({ seed, lastsMs: minutes * minuteMs, faults: true, break: null, print: null, ...options });

describe("the simulation", () => {
  test("tells one story a seed: the same trace each time, another one for another seed", {
    timeout: timeoutMs,
  }, async () => {
    const [first, again, other] = [await run(7, 8), await run(7, 8), await run(8, 8)];
    expect(again).toEqual(first);
    expect(other.hash).not.toBe(first.hash);
  });

  test("keeps every rule where nothing goes wrong", { timeout: timeoutMs }, async () => {
    const { broken, faults } = await run(1, 20, { faults: false });
    expect(broken).toBeNull();
    expect(Object.values(faults).every((count) => count === 0)).toBe(true);
  });

  // Each of these broke a rule once. As the simulator grows their stories change; they are kept all the same.
  test.each([
    [10, 12, "a list from before its launch took the VM of a session that had just begun"],
    [31, 5, "the same, from a list that lagged by 20 s"],
    [32, 46, "the same, of a VM whose agent had beaten 3 s before"],
    [40, 31, "the same, in another region"],
    [48, 41, "agents were taken for lost: the database had been away, for less than the gap that counted"],
    [112, 73, "an agent that had just returned was given up by what had been read before"],
  ])("seed %i for %i minutes: %s", { timeout: timeoutMs }, async (seed, minutes) => {
    expect((await run(seed, minutes)).broken).toBeNull();
  });
});

describe("a rule broken on purpose", () => {
  test.each<[Break, string, number]>([
    ["intent", "intent before launch", 1],
    ["version", "units", 3],
    ["ack", "acknowledged is durable", 1],
  ])("%s is caught: %s, seed %i", { timeout: timeoutMs }, async (rule, invariant, seed) => {
    const { broken } = await run(seed, 10, { break: rule });
    expect(broken?.invariant).toBe(invariant);
  });
});
