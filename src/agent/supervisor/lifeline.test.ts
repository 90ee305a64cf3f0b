import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Lifeline } from "./lifeline.js";

const aloneMsMax = 60_000;

describe("an agent without a control plane", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function watch(playing: () => boolean) {
    const lifeline = new Lifeline(aloneMsMax, () => Date.now());
    const end = new AbortController();
    const seen = { ranOut: false, lifeline, end };
    void lifeline.ranOut(playing, end.signal).then(() => {
      seen.ranOut = true;
    });
    return seen;
  }

  it("lives for its limit after it was last heard, and no longer", async () => {
    const seen = watch(() => false);
    await vi.advanceTimersByTimeAsync(40_000);
    seen.lifeline.heard();
    await vi.advanceTimersByTimeAsync(aloneMsMax - 1);
    expect(seen.ranOut).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(seen.ranOut).toBe(true);
  });

  it("lives as long as someone plays, and its limit beyond that", async () => {
    let playing = true;
    const seen = watch(() => playing);
    await vi.advanceTimersByTimeAsync(24 * 3_600_000);
    playing = false;
    await vi.advanceTimersByTimeAsync(aloneMsMax - 1_000);
    expect(seen.ranOut).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(seen.ranOut).toBe(true);
  });

  it("lives while it measures its machine, and its limit beyond that", async () => {
    const seen = watch(() => false);
    const measured = seen.lifeline.during(new Promise((resolve) => setTimeout(resolve, 2 * aloneMsMax, "measured")));
    await vi.advanceTimersByTimeAsync(2 * aloneMsMax);
    expect(await measured).toBe("measured");
    await vi.advanceTimersByTimeAsync(aloneMsMax - 1);
    expect(seen.ranOut).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(seen.ranOut).toBe(true);
  });

  it("leaves no timer when it ends for another reason", async () => {
    const seen = watch(() => false);
    seen.end.abort();
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(aloneMsMax);
    expect(seen.ranOut).toBe(false);
  });
});
