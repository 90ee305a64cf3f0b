// Where the pointer is on the picture, and how far it moved. Pure.
import type { MotionCount } from "../../contracts/input.js";

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** A point of the page, as 0–1 of a picture shown whole in the middle of `box` (`object-fit: contain`), clamped to it. */
export function positionOnPicture(
  point: { readonly x: number; readonly y: number },
  box: Box,
  picture: { readonly width: number; readonly height: number },
): { x: number; y: number } {
  const scale = Math.min(box.width / picture.width, box.height / picture.height);
  const width = picture.width * scale;
  const height = picture.height * scale;
  return {
    x: clamp01((point.x - box.left - (box.width - width) / 2) / width),
    y: clamp01((point.y - box.top - (box.height - height) / 2) / height),
  };
}

const clamp01 = (value: number) => (value > 0 ? Math.min(1, value) : 0);

const pixelsPerLine = 16;
const pixelsPerPage = 400;

/** A wheel's deltas in pixels, whatever unit the browser counts in (`WheelEvent.deltaMode`). */
export function wheelPixels(wheel: { readonly deltaX: number; readonly deltaY: number; readonly deltaMode: number }) {
  const unit = wheel.deltaMode === 1 ? pixelsPerLine : wheel.deltaMode === 2 ? pixelsPerPage : 1;
  return { dx: wheel.deltaX * unit, dy: wheel.deltaY * unit };
}

/** Adds a wheel's turns up; the whole pixels come out, the rest is kept for the next: a touchpad turns by parts of one. */
export class WheelSum {
  #dx = 0;
  #dy = 0;

  /** The pixels to send now; null when they make no whole one. */
  turn(wheel: Parameters<typeof wheelPixels>[0]): { dx: number; dy: number } | null {
    const { dx, dy } = wheelPixels(wheel);
    const x = this.#dx + dx;
    const y = this.#dy + dy;
    const whole = { dx: Math.trunc(x), dy: Math.trunc(y) };
    this.#dx = x - whole.dx;
    this.#dy = y - whole.dy;
    return whole.dx === 0 && whole.dy === 0 ? null : whole;
  }
}

/** At most one motion message in this time: a 1,000 Hz mouse must not be a thousand packets a second. */
export const motionMsMin = 4;

/** How far the pointer has moved in all, as the wire counts it: whole pixels in 32 bits. Never starts again. */
export class MotionTotal {
  #x = 0;
  #y = 0;
  #taken: MotionCount = { x: 0, y: 0 };
  #takenAtMs = Number.NEGATIVE_INFINITY;

  add(dx: number, dy: number): void {
    this.#x += dx;
    this.#y += dy;
  }

  get count(): MotionCount {
    return { x: Math.floor(this.#x) | 0, y: Math.floor(this.#y) | 0 };
  }

  /** The count to send now; null when it has not changed, or was taken too short a time ago and nothing `forces` it. */
  take(nowMs: number, force = false): MotionCount | null {
    const { x, y } = this.count;
    if (x === this.#taken.x && y === this.#taken.y) return null;
    if (!force && nowMs - this.#takenAtMs < motionMsMin) return null;
    this.#taken = { x, y };
    this.#takenAtMs = nowMs;
    return this.#taken;
  }
}
