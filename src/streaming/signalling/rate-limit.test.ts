import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RateLimit } from "./rate-limit.js";

describe("a rate limit", () => {
  it("lets three seconds' worth through at once, then no more", () => {
    const limit = new RateLimit(50, 0);
    const passed = Array.from({ length: 200 }, () => limit.take(0)).filter(Boolean);
    expect(passed).toHaveLength(150);
    expect(limit.take(20)).toBe(true);
    expect(limit.take(20)).toBe(false);
  });

  it("never lets more through than its rate and one burst, whatever the timing", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(500), { maxLength: 300 }), (gaps) => {
        const limit = new RateLimit(10, 0);
        let now = 0;
        let passed = 0;
        for (const gap of gaps) if (limit.take((now += gap))) passed++;
        expect(passed).toBeLessThanOrEqual(30 + (now / 1000) * 10 + 1e-6);
      }),
    );
  });
});
