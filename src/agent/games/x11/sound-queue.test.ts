import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SoundQueue, soundQueueLimits } from "./sound-queue.js";

const perMs = 96;
const piece = 20 * perMs;

describe("the sound's queue", () => {
  it("gives silence until its target is there, and then what came, in order", () => {
    const queue = new SoundQueue();
    const heard = new Int16Array(piece);
    queue.write(new Int16Array(piece).fill(1));
    queue.read(heard);
    expect(heard.every((sample) => sample === 0)).toBe(true);
    queue.write(new Int16Array(piece).fill(2));
    queue.read(heard);
    expect(heard.every((sample) => sample === 1)).toBe(true);
    queue.read(heard);
    expect(heard.every((sample) => sample === 2)).toBe(true);
  });

  it("drops the past when nobody listens for long", () => {
    const queue = new SoundQueue();
    for (let i = 1; i <= 50; i++) queue.write(new Int16Array(10 * perMs).fill(i));
    const heard = new Int16Array(piece);
    queue.read(heard);
    expect(heard[0]).toBeGreaterThan(50 - soundQueueLimits.queuedMsMax / 10);
  });

  it("never repeats a sample, never turns back, and never holds more than its limit, whoever is late", () => {
    const writes = fc.record({ write: fc.integer({ min: 1, max: 80 }) });
    const steps = fc.array(fc.oneof(writes, fc.constant({ write: 0 })), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (all) => {
        const queue = new SoundQueue();
        const heard = new Int16Array(piece);
        let next = 1;
        let last = 0;
        for (const { write } of all) {
          if (write > 0) {
            queue.write(Int16Array.from({ length: write * perMs }, () => Math.ceil(next++ / perMs)));
            continue;
          }
          queue.read(heard);
          if (heard[0] === 0) {
            expect(heard.every((sample) => sample === 0)).toBe(true);
            continue;
          }
          const newest = Math.ceil((next - 1) / perMs);
          expect(heard[0]).toBeGreaterThan(newest - soundQueueLimits.queuedMsMax - 1);
          expect(heard[0]).toBeGreaterThanOrEqual(last);
          expect(heard.every((sample, i) => i === 0 || sample >= heard[i - 1]!)).toBe(true);
          last = heard.at(-1)!;
        }
      }),
      { numRuns: 50 },
    );
  });

  it("loses nothing while both keep their pace, each a little early or late", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 20, maxLength: 100 }), (jitters) => {
        const queue = new SoundQueue();
        const heard = new Int16Array(piece);
        const gaps: number[] = [];
        let written = 0;
        for (const [i, jitterMs] of jitters.entries()) {
          const dueMs = 40 + i * 20 + jitterMs;
          for (; written * 10 <= dueMs; written++) queue.write(new Int16Array(10 * perMs).fill(1));
          queue.read(heard);
          if (heard[0] === 0) gaps.push(i);
        }
        expect(gaps).toEqual([]);
      }),
    );
  });
});
