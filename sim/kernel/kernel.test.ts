import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kernel } from "./kernel.js";
import { Process } from "./process.js";
import { Random } from "./random.js";

describe("virtual time", () => {
  test("events come in the order of their time, and of their scheduling at one instant", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(20), { maxLength: 60 }), async (delays) => {
        const kernel = new Kernel(0);
        const came: [number, number][] = [];
        for (const [i, delay] of delays.entries()) kernel.after(delay, () => came.push([kernel.nowMs, i]));
        await kernel.run(100);
        expect(came).toEqual(delays.map((delay, i) => [delay, i]).sort((a, b) => a[0]! - b[0]! || a[1]! - b[1]!));
        expect(kernel.nowMs).toBe(100);
      }),
      { numRuns: 30 },
    );
  });

  test("all that an event sets going by promises is over before the next event", async () => {
    const kernel = new Kernel(0);
    const came: string[] = [];
    kernel.after(1, async () => {
      for (let turn = 0; turn < 50; turn++) await null;
      came.push("promises");
    });
    kernel.after(1, () => came.push("next event"));
    await kernel.run(1);
    expect(came).toEqual(["promises", "next event"]);
  });

  test("an event that throws, and time that stands still, end the run", async () => {
    const kernel = new Kernel(0);
    const again = () => kernel.after(0, again);
    again();
    await expect(kernel.run(1)).rejects.toThrow("time stands still at 0");
  });
});

describe("a process in virtual time", () => {
  test("does nothing after a crash, and everything late after a pause", async () => {
    const kernel = new Kernel(0);
    const process = new Process("p", kernel);
    const came: number[] = [];
    for (const ms of [5, 15, 25, 40]) process.after(ms, () => came.push(kernel.nowMs));
    kernel.after(10, () => process.pause(20));
    kernel.after(35, () => process.crash());
    await kernel.run(100);
    expect(came).toEqual([5, 30, 30]);
  });
});

describe("randomness", () => {
  test("each stream of a seed is its own, the same each time, and even", () => {
    const draw = (seed: number, stream: string) => {
      const random = new Random(seed, stream);
      return Array.from({ length: 2_000 }, () => random.next());
    };
    expect(draw(1, "a")).toEqual(draw(1, "a"));
    expect(draw(1, "a")).not.toEqual(draw(1, "b"));
    expect(draw(1, "a")).not.toEqual(draw(2, "a"));
    const average = draw(3, "c").reduce((sum, value) => sum + value, 0) / 2_000;
    expect(Math.abs(average - 0.5)).toBeLessThan(0.03);
  });
});
