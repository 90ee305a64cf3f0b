import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Synthesiser } from "./sound.js";

const energy = (samples: Int16Array) =>
  Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);

describe("the sound", () => {
  it("is never silent for a second on the title, and heard within the first tenth", () => {
    const synthesiser = new Synthesiser(1);
    synthesiser.setMood("title", 0);
    const first = new Int16Array(9600);
    synthesiser.render(first);
    expect(energy(first)).toBeGreaterThan(100);
    for (let second = 0; second < 6; second++) {
      const samples = new Int16Array(96_000);
      synthesiser.render(samples);
      expect(energy(samples)).toBeGreaterThan(300);
    }
  });

  it("builds with the run", () => {
    const loudness = [0, 0.2, 0.5, 0.9].map((heat) => {
      const synthesiser = new Synthesiser(1);
      synthesiser.setMood("playing", heat);
      const samples = new Int16Array(2 * 48_000 * 4);
      synthesiser.render(samples);
      return energy(samples);
    });
    expect(loudness).toEqual([...loudness].sort((a, b) => a - b));
  });

  it("never clips, even when everything happens at once", () => {
    const synthesiser = new Synthesiser(1);
    synthesiser.setMood("playing", 1);
    const samples = new Int16Array(96_000);
    let loudest = 0;
    for (let i = 0; i < 40; i++) {
      synthesiser.play("breach", 5, 0.5);
      synthesiser.play("blast", 2, 0.5);
      synthesiser.play("overdrive", 1, 0.5);
      const chunk = samples.subarray(0, 4800);
      synthesiser.render(chunk);
      for (const sample of chunk) loudest = Math.max(loudest, Math.abs(sample));
    }
    expect(loudest).toBeGreaterThan(20_000);
    expect(loudest).toBeLessThanOrEqual(32_000);
  });

  it("is the same however it is cut in chunks", () => {
    const whole = new Int16Array(2 * 24_000);
    const one = new Synthesiser(3);
    one.setMood("playing", 0.9);
    one.play("perfect", 1, 0.3);
    one.render(whole);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 }), (cuts) => {
        const other = new Synthesiser(3);
        other.setMood("playing", 0.9);
        other.play("perfect", 1, 0.3);
        const pieces = new Int16Array(whole.length);
        for (let at = 0, i = 0; at < pieces.length; i++) {
          const end = Math.min(pieces.length, at + 2 * cuts[i % cuts.length]!);
          other.render(pieces.subarray(at, end));
          at = end;
        }
        expect(Buffer.compare(Buffer.from(pieces.buffer), Buffer.from(whole.buffer))).toBe(0);
      }),
      { numRuns: 6 },
    );
  });

  it("has a sound of its own for every event", () => {
    const events = ["spark", "comet", "level", "perfect", "shot", "chip", "blast", "near", "hit", "breach"] as const;
    const more = ["shield", "overdrive", "countdown", "start", "pause", "resume", "end"] as const;
    const render = (kind?: (typeof events)[number] | (typeof more)[number]) => {
      const synthesiser = new Synthesiser(1);
      if (kind) synthesiser.play(kind, 1, 0.5);
      const samples = new Int16Array(19_200);
      synthesiser.render(samples);
      return samples.join();
    };
    const heard = new Set([undefined, ...events, ...more].map(render));
    expect(heard.size).toBe(events.length + more.length + 1);
  });
});
