// Where things stand in the picture, for whoever draws it and whoever reads its pixels back (browser tests, benches).
//
// The world is 1280×720 units whatever the picture's size. Two promises hold at every size from 320×180 up:
// the ship's hull is the only thing in the picture of its hue, and the legend's key caps never move, never have
// anything drawn over them, and turn from dark to bright on the first frame drawn after their control is pressed.
import type { VideoMode } from "../../../contracts/catalog.js";

/** The world, in units. */
export const field = { width: 1280, height: 720 } as const;

/** The hull's colour: hot magenta. No other thing in the picture comes near this hue with this saturation. */
export const shipColor = { r: 255, g: 22, b: 150 } as const;

/** Whether an RGB pixel (0–255) is the ship's, allowing for 4:2:0 and for what a video encoder does to it. */
export function isShipPixel(r: number, g: number, b: number): boolean {
  return r > 110 && r - g > 80 && b - g > 30 && r - b > 10 && b > r * 0.35;
}

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export const capNames = ["left", "up", "down", "right", "fire"] as const;
export type CapName = (typeof capNames)[number];

const cap = (x: number, width: number): Rect => ({
  x: x / field.width,
  y: 662 / field.height,
  width: width / field.width,
  height: 48 / field.height,
});

/** The legend's key caps, 0–1 of the picture. */
export const capRects: Readonly<Record<CapName, Rect>> = {
  left: cap(24, 48),
  up: cap(80, 48),
  down: cap(136, 48),
  right: cap(192, 48),
  fire: cap(256, 112),
};

/** Where the ship's middle may be. */
export const shipRange = { left: 108, right: field.width - 108, top: 330, bottom: 580 } as const;

/** The ship keeps above the legend's strip, which begins here. */
export const stripTop = 652;

/** A 0–1 rectangle in pixels, on even positions: 4:2:0 chroma has one sample for two pixels. */
export function pixelRect(rect: Rect, mode: Pick<VideoMode, "width" | "height">): Rect {
  const even = (value: number) => Math.round(value / 2) * 2;
  const x = even(rect.x * mode.width);
  const y = even(rect.y * mode.height);
  return {
    x,
    y,
    width: even((rect.x + rect.width) * mode.width) - x,
    height: even((rect.y + rect.height) * mode.height) - y,
  };
}
