// Where the pointer is on the picture, and how far it moved. Pure.

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

/** At most one motion message in this time: a 1,000 Hz mouse must not be a thousand packets a second. */
export const motionMsMin = 4;

/** Adds small motions up; the whole pixels come out, the rest is kept for the next. */
export class MotionSum {
  #dx = 0;
  #dy = 0;
  #takenAtMs = Number.NEGATIVE_INFINITY;

  add(dx: number, dy: number): void {
    this.#dx += dx;
    this.#dy += dy;
  }

  /** The motion to send now; null when there is none, or when the last was too short a time ago and nothing `forces` it. */
  take(nowMs: number, force = false): { dx: number; dy: number } | null {
    const dx = Math.trunc(this.#dx);
    const dy = Math.trunc(this.#dy);
    if ((dx === 0 && dy === 0) || (!force && nowMs - this.#takenAtMs < motionMsMin)) return null;
    this.#dx -= dx;
    this.#dy -= dy;
    this.#takenAtMs = nowMs;
    return { dx, dy };
  }

  clear(): void {
    this.#dx = this.#dy = 0;
  }
}
