import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Problem } from "../contracts/problems.js";
import { etagOf, expectVersion, isKnown, parseIfMatch } from "./etag.js";

const version = fc.nat(1_000_000);
const problemOf = (work: () => unknown) => {
  try {
    work();
    return null;
  } catch (error) {
    if (error instanceof Problem) return error.type;
    throw error;
  }
};

describe("If-Match", () => {
  test("lets a write through exactly when the version is among the tags", () => {
    fc.assert(
      fc.property(version, fc.array(version, { minLength: 1, maxLength: 4 }), (now, given) => {
        const expected = parseIfMatch(given.map(etagOf).join(", "));
        expect(problemOf(() => expectVersion(now, expected))).toBe(given.includes(now) ? null : "stale-version");
      }),
    );
  });

  test("left out or *, takes any version", () => {
    for (const header of [undefined, "*"]) expect(parseIfMatch(header)).toBeNull();
  });

  test("of a weak tag, or one of somebody else's, matches nothing", () => {
    for (const header of ['W/"3"', '"abc"', '""', '"-3"', '"3.0"'])
      expect(problemOf(() => expectVersion(3, parseIfMatch(header)))).toBe("stale-version");
  });

  test("that is no list of tags is refused", () => {
    for (const header of ["3", '"3', '"3" "4"', "", ","])
      expect(problemOf(() => parseIfMatch(header))).toBe("invalid-request");
  });
});

test("If-None-Match compares weakly", () => {
  expect(isKnown('"2", W/"3"', 3)).toBe(true);
  expect(isKnown("*", 3)).toBe(true);
  expect(isKnown('"2"', 3)).toBe(false);
  expect(isKnown(undefined, 3)).toBe(false);
});
