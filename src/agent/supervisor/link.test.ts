import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { anotherUrl } from "./link.js";

describe("which streaming node an agent dials", () => {
  it("is any of them, but the one that was tried last only if there is no other", () => {
    expect(anotherUrl(["a"], "a", 0.9)).toBe("a");
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string(), { minLength: 2, maxLength: 5 }),
        fc.nat(4),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (urls, last, random) => {
          const lastUrl = urls[last % urls.length]!;
          const url = anotherUrl(urls, lastUrl, random);
          expect(urls).toContain(url);
          expect(url).not.toBe(lastUrl);
        },
      ),
    );
    const spread = [0, 0.4, 0.7].map((random) => anotherUrl(["a", "b", "c"], null, random));
    expect(spread).toEqual(["a", "b", "c"]);
  });
});
