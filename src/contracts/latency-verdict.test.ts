import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { latencyStages, type RecentLatency, type StagePercentiles } from "./latency.js";
import { verdictOf } from "./latency-verdict.js";

const usual: RecentLatency = {
  inputs: 40,
  frames: 600,
  skipped: 0,
  heldBack: 0,
  fps: 60,
  jitterMs: 4,
  rttMs: 2,
  lossRatio: 0,
  stages: stages({ total: 31, network: 4, wait: 8, draw: 2, encode: 6, send: 0.4, decode: 3, present: 8 }),
};

/** Each stage always the same. */
function stages(ms: Partial<Record<keyof StagePercentiles, number>>): StagePercentiles {
  return Object.fromEntries(Object.entries(ms).map(([stage, p]) => [stage, { p50: p, p95: p, p99: p }]));
}
const but = (ms: Parameters<typeof stages>[0], rest: Partial<RecentLatency> = {}): RecentLatency => ({
  ...usual,
  ...rest,
  stages: { ...usual.stages, ...stages(ms) },
});

describe("the verdict", () => {
  it.each([
    [usual, "all-well", "all well: 31 ms from input to picture"],
    [{ ...usual, inputs: 0, stages: stages({ encode: 6, decode: 3 }) }, "all-well", "all well"],
    [but({ encode: 19 }), "encoder", "encoder over budget: 19 ms of 16.7"],
    [but({ encode: 19 }, { fps: 30 }), "all-well", "all well: 31 ms from input to picture"],
    [but({ encode: 19 }, { skipped: 300 }), "encoder", "encoder over budget: 19 ms of 16.7"],
    [but({ draw: 12.25 }), "drawing", "the machine draws or captures too slowly: 12.3 ms of 16.7"],
    [but({}, { frames: 558, skipped: 42 }), "skipped-frames", "the machine skips frames: 7 % of 60 a second"],
    [but({}, { frames: 540, heldBack: 60 }), "network-rate", "network: no room for 10 % of 60 frames a second"],
    [but({}, { lossRatio: 0.031 }), "network-loss", "network: 3.1 % of the packets are lost"],
    [but({}, { jitterMs: 38 }), "network-jitter", "network: 38 ms of jitter"],
    [but({ send: 11 }), "network-pace", "network: a frame takes 11 ms of 16.7 to send"],
    [
      but({ network: 121 }, { rttMs: 118 }),
      "network-delay",
      "network: 121 ms there and back, 118 of them the bare path",
    ],
    [but({ network: 121 }, { rttMs: null }), "network-delay", "network: 121 ms there and back"],
    [but({ decode: 14 }), "decoding", "the browser decodes too slowly: 14 ms a frame"],
    [but({ present: 70 }), "presenting", "the browser shows frames late: 70 ms besides decoding"],
    [{ ...usual, frames: 3 }, "not-measured", "too little was seen yet: 3 frames"],
  ] as const)("of %#", (recent, kind, detail) => {
    expect(verdictOf({ recent, control: "data-channel" })).toEqual({ kind, detail });
  });

  it("says that nothing is measured, and why, where no receipts arrive", () => {
    expect(verdictOf({ recent: null, control: "websocket" }).detail).toContain("by WebSocket");
    expect(verdictOf({ recent: null, control: null }).kind).toBe("not-measured");
  });

  it("blames nothing that is better than what was well", () => {
    const less = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(fc.array(less, { minLength: 8, maxLength: 8 }), less, (parts, part) => {
        const better = latencyStages.map((stage, i) => [stage, usual.stages[stage]!.p50 * parts[i]!]);
        const recent = but(Object.fromEntries(better), { jitterMs: usual.jitterMs * part });
        expect(verdictOf({ recent, control: "data-channel" }).kind).toBe("all-well");
      }),
    );
  });
});
