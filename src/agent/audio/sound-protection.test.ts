import fc from "fast-check";
import { expect, it } from "vitest";
import { protectionLimits, SoundProtection } from "./sound-protection.js";

it("begins with the first report of loss, and ends half a minute after the last", () => {
  const protection = new SoundProtection();
  expect([protection.update(0.01, 0), protection.on]).toEqual([false, false]);
  expect([protection.update(0.02, 1_000), protection.on]).toEqual([true, true]);
  expect([protection.update(0.01, 20_000), protection.on]).toEqual([false, true]);
  expect([protection.update(0, 49_000), protection.on]).toEqual([false, true]);
  expect([protection.update(0, 50_000), protection.on]).toEqual([true, false]);
});

it("never goes off sooner than half a minute after it went on, whatever is reported", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(5_000), fc.double({ min: 0, max: 1, noNaN: true }))), (reports) => {
      const protection = new SoundProtection();
      let [nowMs, onAtMs] = [0, 0];
      for (const [afterMs, lossShare] of reports) {
        nowMs += afterMs;
        if (!protection.update(lossShare, nowMs)) continue;
        if (protection.on) onAtMs = nowMs;
        else expect(nowMs - onAtMs).toBeGreaterThanOrEqual(protectionLimits.offAfterMs);
      }
    }),
  );
});
