import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createLog } from "./log.js";
import { Counter, ReadGauges, Registry } from "./metrics.js";

let registry: Registry;
let read: () => Promise<Record<string, number>>;
let asked: number;
const series = async () => (await registry.metrics()).split("\n").filter((line) => line && !line.startsWith("#"));

beforeEach(() => {
  vi.useFakeTimers();
  registry = new Registry();
  asked = 0;
  const gauges = new ReadGauges({
    registry,
    what: "the fleet",
    read: () => {
      asked += 1;
      return read();
    },
    log: createLog({ name: "test", level: "silent" }),
  });
  gauges.add({ name: "vms", help: "By region", labelNames: ["region"] }, (gauge, vms) => {
    for (const [region, count] of Object.entries(vms)) gauge.set({ region }, count);
  });
  gauges.add({ name: "regions", help: "With VMs" }, (gauge, vms) => gauge.set(Object.keys(vms).length));
  new Counter({ name: "calls_total", help: "Own work", registers: [registry] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("gauges that are read", () => {
  it("share one reading a scrape, and forget what it no longer names", async () => {
    read = async () => ({ east: 2, west: 1 });
    expect(await series()).toEqual(['vms{region="east"} 2', 'vms{region="west"} 1', "regions 2", "calls_total 0"]);
    expect(asked).toBe(1);
    read = async () => ({ east: 3 });
    expect(await series()).toEqual(['vms{region="east"} 3', "regions 1", "calls_total 0"]);
    expect(asked).toBe(2);
  });

  it("are missing from a scrape, not 0 and not old, when reading fails; the rest is there", async () => {
    read = async () => ({ east: 2 });
    await series();
    read = () => Promise.reject(new Error("no database"));
    expect(await series()).toEqual(["calls_total 0"]);
    read = async () => ({ east: 2 });
    expect(await series()).toContain('vms{region="east"} 2');
  });

  it("keep a scrape waiting for 3 s at most, and a reading that hangs is not begun again beside itself", async () => {
    let answer: (vms: Record<string, number>) => void = () => {};
    read = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const slow = series();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(await slow).toEqual(["calls_total 0"]);
    expect(await series()).toEqual(["calls_total 0"]);
    expect(asked).toBe(1);
    answer({ east: 2 });
    await vi.advanceTimersByTimeAsync(0);
    read = async () => ({ east: 4 });
    expect(await series()).toContain('vms{region="east"} 4');
  });
});
