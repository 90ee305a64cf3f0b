import fc from "fast-check";
import { expect, test } from "vitest";
import { MotionSum, positionOnPicture, wheelPixels } from "./pointer-geometry.js";

const picture = { width: 1280, height: 720 };

test("a position counts from the picture, not from the bars beside or above it", () => {
  const wide = { left: 0, top: 0, width: 2000, height: 720 };
  expect(positionOnPicture({ x: 1000, y: 360 }, wide, picture)).toEqual({ x: 0.5, y: 0.5 });
  expect(positionOnPicture({ x: 360, y: 0 }, wide, picture)).toEqual({ x: 0, y: 0 });
  const tall = { left: 10, top: 20, width: 640, height: 1000 };
  expect(positionOnPicture({ x: 10 + 640, y: 20 + 500 }, tall, picture)).toEqual({ x: 1, y: 0.5 });
});

test("a point on the bars is the nearest edge of the picture", () => {
  const wide = { left: 0, top: 0, width: 2000, height: 720 };
  expect(positionOnPicture({ x: 3, y: 900 }, wide, picture)).toEqual({ x: 0, y: 1 });
});

test("a wheel that counts in lines or pages is told in pixels", () => {
  expect(wheelPixels({ deltaX: 0, deltaY: 3, deltaMode: 1 })).toEqual({ dx: 0, dy: 48 });
  expect(wheelPixels({ deltaX: 0, deltaY: -1, deltaMode: 2 })).toEqual({ dx: 0, dy: -400 });
  expect(wheelPixels({ deltaX: 5, deltaY: 7, deltaMode: 0 })).toEqual({ dx: 5, dy: 7 });
});

test("motion is sent at most every 4 ms, unless the frame forces it", () => {
  const motion = new MotionSum();
  motion.add(1, 0);
  expect(motion.take(100)).toEqual({ dx: 1, dy: 0 });
  motion.add(2, 1);
  expect(motion.take(102)).toBeNull();
  expect(motion.take(102, true)).toEqual({ dx: 2, dy: 1 });
});

test("no motion is lost or made up, whatever the times and fractions", () => {
  const move = fc.record({
    dx: fc.double({ min: -50, max: 50, noNaN: true }),
    afterMs: fc.nat(10),
    force: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 50 }), (moves) => {
      const motion = new MotionSum();
      let nowMs = 0;
      let moved = 0;
      let sent = 0;
      for (const { dx, afterMs, force } of moves) {
        nowMs += afterMs;
        moved += dx;
        motion.add(dx, 0);
        sent += motion.take(nowMs, force)?.dx ?? 0;
      }
      sent += motion.take(nowMs, true)?.dx ?? 0;
      expect(Math.abs(moved - sent)).toBeLessThan(1 + 1e-6);
    }),
  );
});
