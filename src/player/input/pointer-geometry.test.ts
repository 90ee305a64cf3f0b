import fc from "fast-check";
import { expect, test } from "vitest";
import { MotionTotal, positionOnPicture, WheelSum, wheelPixels } from "./pointer-geometry.js";

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

test("a wheel's parts of a pixel add up, and none is lost or made up", () => {
  const wheel = new WheelSum();
  const turn = (deltaY: number) => wheel.turn({ deltaX: 0, deltaY, deltaMode: 0 });
  expect([turn(0.5), turn(0.25), turn(0.25)]).toEqual([null, null, { dx: 0, dy: 1 }]);
  fc.assert(
    fc.property(fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { maxLength: 50 }), (turns) => {
      const sum = new WheelSum();
      const sent = turns.map((deltaX) => sum.turn({ deltaX, deltaY: 0, deltaMode: 0 })?.dx ?? 0);
      expect(Math.abs(add(turns) - add(sent))).toBeLessThan(1 + 1e-6);
    }),
  );
});

test("motion is sent at most every 4 ms, unless the frame forces it, and only when it has changed", () => {
  const motion = new MotionTotal();
  motion.add(1, 0);
  expect(motion.take(100)).toEqual({ x: 1, y: 0 });
  motion.add(2, 1);
  expect(motion.take(102)).toBeNull();
  expect(motion.take(102, true)).toEqual({ x: 3, y: 1 });
  expect(motion.take(200, true)).toBeNull();
});

test("motion's count is all that was moved, in 32 bits, however small and many the moves", () => {
  const move = fc.double({ min: -2e9, max: 2e9, noNaN: true });
  fc.assert(
    fc.property(fc.array(move, { maxLength: 50 }), (moves) => {
      const motion = new MotionTotal();
      for (const dx of moves) motion.add(dx, -dx);
      expect(motion.count.x).toBe(Math.floor(add(moves)) | 0);
      expect(motion.count.y).toBe(Math.floor(add(moves.map((dx) => -dx))) | 0);
    }),
  );
});

const add = (numbers: readonly number[]) => numbers.reduce((sum, n) => sum + n, 0);
