import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BandwidthEstimate, type RateBounds } from "./bandwidth-estimate.js";
import type { ReportedPacket } from "./sent-packets.js";

/** A path with one bottleneck: so fast, with a queue of so many ms that drops at its tail, losing and jittering. */
interface Path {
  readonly kbps: number;
  readonly queueMs?: number;
  readonly lossShare?: number;
  readonly jitterMs?: number;
  /** Nothing comes through. */
  readonly dark?: boolean;
}

const packetBytes = 1_100;
const framesPerSecond = 60;
const oneWayMs = 15;
const feedbackMs = 60;

/** A stream of 60 frames a second at the estimate, its packets through the path, and the feedback back. Virtual time. */
class Stream {
  readonly estimate: BandwidthEstimate;
  readonly sentKbps: { atMs: number; kbps: number }[] = [];
  #nowMs = 0;
  #freeAtMs = 0;
  #lastArrivalMs = 0;
  #unreported: ReportedPacket[] = [];
  #feedback: { atMs: number; packets: ReportedPacket[] }[] = [];
  #reportedAtMs = 0;
  #random: () => number;

  constructor(
    startKbps: number,
    bounds: RateBounds,
    private readonly contentKbps = Number.POSITIVE_INFINITY,
    seed = 1,
  ) {
    this.estimate = new BandwidthEstimate(startKbps, bounds);
    let state = seed;
    this.#random = () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
  }

  run(path: Path, ms: number): this {
    const untilMs = this.#nowMs + ms;
    for (; this.#nowMs < untilMs; this.#nowMs += 1000 / framesPerSecond) {
      const kbps = Math.min(this.estimate.kbps, this.contentKbps);
      this.sentKbps.push({ atMs: this.#nowMs, kbps });
      const packets = Math.max(1, Math.round((kbps * 1000) / framesPerSecond / 8 / packetBytes));
      for (let i = 0; i < packets; i++) this.#send(path, this.#nowMs + i * 0.05);
      this.#report(path);
    }
    return this;
  }

  /** From when on, within the last `ms`, the rate stayed at or below this; null: it did not. */
  belowSince(kbps: number, fromMs: number): number | null {
    const last = this.sentKbps.findLast((sent) => sent.kbps > kbps);
    const atMs = last === undefined || last.atMs < fromMs ? fromMs : last.atMs;
    return atMs >= this.#nowMs - 50 ? null : atMs - fromMs;
  }

  reachedAfter(kbps: number, fromMs: number): number | null {
    const first = this.sentKbps.find((sent) => sent.atMs >= fromMs && sent.kbps >= kbps);
    return first === undefined ? null : first.atMs - fromMs;
  }

  meanKbps(fromMs: number): number {
    const since = this.sentKbps.filter(({ atMs }) => atMs >= fromMs);
    return since.reduce((sum, { kbps }) => sum + kbps, 0) / since.length;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  #send({ kbps, queueMs = 200, lossShare = 0, jitterMs = 0, dark = false }: Path, atMs: number): void {
    const queued = Math.max(0, this.#freeAtMs - atMs);
    const lost = dark || queued > queueMs || this.#random() < lossShare;
    if (!dark && queued <= queueMs) this.#freeAtMs = Math.max(this.#freeAtMs, atMs) + (packetBytes * 8) / kbps;
    const arrivalMs = Math.max(this.#lastArrivalMs, this.#freeAtMs + oneWayMs + this.#random() * jitterMs);
    if (!lost) this.#lastArrivalMs = arrivalMs;
    this.#unreported.push({
      sentAtMs: atMs,
      arrivalMs: lost ? null : Math.round(arrivalMs * 4) / 4,
      bytes: packetBytes,
    });
  }

  /** As browsers do: every 60 ms all up to the last one that has arrived. */
  #report({ dark = false }: Path): void {
    if (this.#nowMs - this.#reportedAtMs >= feedbackMs && !dark) {
      this.#reportedAtMs = this.#nowMs;
      const last = this.#unreported.findLastIndex(({ arrivalMs }) => arrivalMs !== null && arrivalMs <= this.#nowMs);
      const packets = this.#unreported.splice(0, last + 1);
      if (packets.length > 0) this.#feedback.push({ atMs: this.#nowMs + oneWayMs, packets });
    }
    for (; this.#feedback.length > 0 && this.#feedback[0]!.atMs <= this.#nowMs; this.#feedback.shift())
      this.estimate.update(this.#feedback[0]!.packets, this.#nowMs, 2 * oneWayMs);
  }
}

const bounds = { kbpsMin: 1_000, kbpsMax: 18_000 };

describe("the bandwidth estimate", () => {
  it("stays at the most it may be on a path that carries more", () => {
    const stream = new Stream(18_000, bounds).run({ kbps: 50_000 }, 10_000);
    expect(stream.meanKbps(0)).toBeGreaterThan(17_500);
  });

  it("is below the path's capacity within a second of its drop from 20 to 5 Mbit/s, and stays near it", () => {
    const stream = new Stream(18_000, bounds).run({ kbps: 20_000 }, 10_000);
    const dropMs = stream.nowMs;
    stream.run({ kbps: 5_000 }, 10_000);
    const kept = stream.sentKbps.filter(({ atMs }) => atMs > dropMs + 1_000);
    expect(Math.max(...kept.slice(0, 120).map(({ kbps }) => kbps))).toBeLessThanOrEqual(5_300);
    expect(stream.meanKbps(dropMs + 3_000)).toBeGreaterThan(3_500);
    expect(stream.meanKbps(dropMs + 3_000)).toBeLessThan(5_300);
  });

  it("has nine tenths of the rate back within ten seconds of the path's recovery", () => {
    const stream = new Stream(18_000, bounds).run({ kbps: 20_000 }, 5_000).run({ kbps: 5_000 }, 10_000);
    const recoveredMs = stream.nowMs;
    stream.run({ kbps: 20_000 }, 15_000);
    expect(stream.reachedAfter(0.9 * 18_000, recoveredMs)).toBeLessThan(10_000);
    expect(stream.meanKbps(recoveredMs + 10_000)).toBeGreaterThan(0.8 * 18_000);
  });

  it.each([0.01, 0.03, 0.05])("keeps its rate when the radio loses %f of the packets", (lossShare) => {
    const stream = new Stream(10_000, bounds).run({ kbps: 30_000, lossShare }, 20_000);
    expect(stream.meanKbps(5_000)).toBeGreaterThan(9_500);
  });

  it("gives way when a fifth is lost", () => {
    const stream = new Stream(10_000, bounds).run({ kbps: 30_000, lossShare: 0.2 }, 10_000);
    expect(stream.estimate.kbps).toBeLessThan(5_000);
  });

  it("is not talked down by 50 ms of jitter on a path with room", () => {
    const stream = new Stream(10_000, bounds).run({ kbps: 30_000, jitterMs: 50 }, 20_000);
    expect(stream.meanKbps(5_000)).toBeGreaterThan(6_000);
  });

  it("comes back after five seconds of darkness with the rate it had", () => {
    const stream = new Stream(10_000, bounds).run({ kbps: 20_000 }, 5_000).run({ kbps: 20_000, dark: true }, 5_000);
    const lightMs = stream.nowMs;
    stream.run({ kbps: 20_000 }, 3_000);
    expect(stream.meanKbps(lightMs)).toBeGreaterThan(9_000);
  });

  it("is neither raised beyond what a quiet game has tried out, nor lowered by it", () => {
    const quiet = new Stream(4_000, bounds, 500).run({ kbps: 50_000 }, 30_000);
    expect(quiet.estimate.kbps).toBe(4_000);
    const high = new Stream(15_000, bounds, 500).run({ kbps: 50_000 }, 30_000);
    expect(high.estimate.kbps).toBe(15_000);
  });

  it("is not taken for what a quiet game sends when its path is found full for a moment", () => {
    const stream = new Stream(15_000, bounds, 300).run({ kbps: 20_000 }, 5_000);
    stream.run({ kbps: 250, queueMs: 400 }, 300).run({ kbps: 20_000 }, 300);
    expect(stream.estimate.kbps).toBeGreaterThan(5_000);
  });

  it("stays within its bounds, and settles under any steady path's capacity without giving most of it away", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2_000, max: 40_000 }),
        fc.integer({ min: 60, max: 400 }),
        fc.nat(),
        (kbps, queueMs, seed) => {
          const stream = new Stream(10_000, bounds, undefined, seed).run({ kbps, queueMs }, 20_000);
          for (const sent of stream.sentKbps) {
            expect(sent.kbps).toBeGreaterThanOrEqual(bounds.kbpsMin);
            expect(sent.kbps).toBeLessThanOrEqual(bounds.kbpsMax);
          }
          const settled = stream.meanKbps(10_000);
          expect(settled).toBeLessThan(kbps * 1.05);
          expect(settled).toBeGreaterThan(0.6 * Math.min(kbps, bounds.kbpsMax));
        },
      ),
      { numRuns: 30 },
    );
  });
});
