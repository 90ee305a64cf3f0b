import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FrameReceipt } from "../../contracts/receipts.js";
import { LatencyMeter } from "./latency-meter.js";
import type { JoinedFrame, ShownInput } from "./receipt-join.js";

/** The frame of number `i`, at 60 a second, that arrives `lateMs` later than the quickest. */
function joined(i: number, parts: { lateMs?: number; inputs?: ShownInput[]; shown?: boolean; skipped?: number } = {}) {
  const { lateMs = 0, inputs = [], shown = true, skipped = 0 } = parts;
  const receipt: FrameReceipt = {
    rtpTimestamp: (0xffff_f000 + i * 1_500) >>> 0,
    keyframe: false,
    fps: 60,
    skipped,
    heldBack: 0,
    bitrateKbps: 8_000,
    bytes: 9_000,
    drawUs: 2_000,
    encodeUs: 6_000,
    sendUs: 500,
    newestInput: 0,
    inputs: [],
  };
  const receivedAtMs = 5_000 + (i * 1_500) / 90 + lateMs;
  const frame = { rtpTimestamp: receipt.rtpTimestamp, receivedAtMs, decodeMs: 3, presentedAtMs: receivedAtMs + 11 };
  return { receipt, frame: shown ? frame : null, inputs } satisfies JoinedFrame;
}
const input = (totalMs: number): ShownInput => ({ totalMs, waitMs: 7, networkMs: 4 });
const near = (ms: number) => {
  const p = expect.closeTo(ms, ms > 5 ? 0 : 1);
  return { p50: p, p95: p, p99: p };
};

describe("the latency meter", () => {
  it("tells the machine's and the browser's stages from every frame, the way's from inputs", () => {
    const meter = new LatencyMeter();
    expect(meter.recent(0)).toBeNull();
    for (let i = 0; i < 60; i++) meter.add(joined(i), i * 16);
    expect(meter.recent(1_000)).toMatchObject({ inputs: 0, frames: 60, skipped: 0, fps: 60, jitterMs: 0 });
    const { stages } = meter.session;
    expect(stages).toEqual({
      draw: near(2),
      encode: near(6),
      send: near(0.5),
      decode: near(3),
      present: near(8),
    });
    meter.add(joined(60, { inputs: [input(30), { totalMs: 30, waitMs: 7, networkMs: null }] }), 1_000);
    expect(meter.session.stages).toMatchObject({ total: near(30), wait: near(7), network: near(4) });
    expect(meter.session.inputs).toBe(2);
  });

  it("forgets after 10 s what is recent, never what the session was", () => {
    const meter = new LatencyMeter();
    meter.add(joined(0, { inputs: [input(300)], skipped: 5 }), 500);
    for (let i = 1; i < 1_200; i++) meter.add(joined(i, { inputs: [input(30)] }), i * (1000 / 60));
    const recent = meter.recent(20_000)!;
    expect(recent.stages.total).toEqual(near(30));
    expect(recent.skipped).toBe(0);
    expect(recent.frames).toBeGreaterThan(9 * 60 - 2);
    expect(recent.frames).toBeLessThanOrEqual(10 * 60);
    expect(meter.session).toMatchObject({ inputs: 1_200, frames: 1_200, skipped: 5 });
    expect(meter.recent(40_000)).toBeNull();
    meter.add(joined(1_200), 40_000);
    expect(meter.recent(40_000)).toMatchObject({ frames: 1, inputs: 0 });
  });

  it("takes for jitter how much later than the quickest frames the others come, across the timestamps' end", () => {
    const meter = new LatencyMeter();
    for (let i = 0; i < 600; i++) meter.add(joined(i, { lateMs: i % 10 === 0 ? 38 : 0 }), i * (1000 / 60));
    expect(meter.recent(10_000)!.jitterMs).toBeCloseTo(38, 1);
    meter.restart();
    for (let i = 5_000; i < 5_100; i++) meter.add(joined(i, { lateMs: 700 }), 10_000 + i / 100);
    expect(meter.recent(10_100)!.jitterMs, "a steady delay is no jitter").toBeCloseTo(0, 1);
  });

  it("keeps its percentiles in order, and its counts to what was added, whatever happens", () => {
    const anyInput = fc.record({
      totalMs: fc.double({ min: 0, max: 10_000, noNaN: true }),
      waitMs: fc.double({ min: 0, max: 1_000, noNaN: true }),
      networkMs: fc.option(fc.double({ min: 0, max: 1_000, noNaN: true })),
    });
    const anyFrame = fc.record({
      gapMs: fc.nat(3_000),
      lateMs: fc.nat(500),
      shown: fc.boolean(),
      skipped: fc.nat(3),
      inputs: fc.array(anyInput, { maxLength: 8 }),
    });
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 60 }), (frames) => {
        const meter = new LatencyMeter();
        let nowMs = 0;
        for (const [i, parts] of frames.entries()) meter.add(joined(i, parts), (nowMs += parts.gapMs));
        const { session } = meter;
        const recent = meter.recent(nowMs);
        expect(session.inputs).toBe(frames.reduce((sum, { inputs }) => sum + inputs.length, 0));
        expect(session.frames).toBe(frames.filter(({ shown }) => shown).length);
        for (const figures of recent === null ? [session] : [session, recent])
          for (const { p50, p95, p99 } of Object.values(figures.stages)) {
            expect(p50).toBeLessThanOrEqual(p95);
            expect(p95).toBeLessThanOrEqual(p99);
          }
        if (recent === null) return;
        expect(recent.frames).toBeLessThanOrEqual(session.frames);
        expect(recent.jitterMs).toBeGreaterThanOrEqual(0);
        expect(recent.jitterMs).toBeLessThanOrEqual(501);
      }),
    );
  });
});
