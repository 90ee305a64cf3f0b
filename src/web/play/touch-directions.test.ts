import fc from "fast-check";
import { expect, test } from "vitest";
import { directionsAt } from "./touch-directions.js";

const at = (x: number, y: number) => [...directionsAt(x, y)].sort();

test("a finger means the direction it is in, or both at a corner", () => {
  expect(at(-0.4, 0)).toEqual(["left"]);
  expect(at(0.4, 0.1)).toEqual(["right"]);
  expect(at(0, -0.3)).toEqual(["up"]);
  expect(at(0.3, 0.3)).toEqual(["down", "right"]);
});

test("the middle presses nothing", () => {
  expect(at(0, 0)).toEqual([]);
  expect(at(0.05, -0.05)).toEqual([]);
});

test("opposite directions are never pressed together, and outside the middle something always is", () => {
  const part = fc.double({ min: -2, max: 2, noNaN: true });
  fc.assert(
    fc.property(part, part, (x, y) => {
      const directions = directionsAt(x, y);
      expect(directions.has("left") && directions.has("right")).toBe(false);
      expect(directions.has("up") && directions.has("down")).toBe(false);
      expect(directions.size > 0).toBe(Math.hypot(x, y) > 0.09);
    }),
  );
});
