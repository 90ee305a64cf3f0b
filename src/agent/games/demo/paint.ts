// Making sprites from shapes: a shader says, for each point, how the sprite covers it; distances to shapes give smooth
// edges at any size. All of it runs at load, for the session's resolution.
import type { Sprite, SpritePlane } from "./surface.js";

export type Rgb = readonly [r: number, g: number, b: number];

/** One point's paint, 0–1, premultiplied: `r g b` beyond `alpha` is light added to what is beneath. */
export class Paint {
  r = 0;
  g = 0;
  b = 0;
  alpha = 0;

  clear(): void {
    this.r = this.g = this.b = this.alpha = 0;
  }

  /** Lay a colour over what is painted. */
  over(color: Rgb, alpha: number): void {
    if (alpha <= 0) return;
    const keep = 1 - alpha;
    this.r = this.r * keep + color[0] * alpha;
    this.g = this.g * keep + color[1] * alpha;
    this.b = this.b * keep + color[2] * alpha;
    this.alpha = this.alpha * keep + alpha;
  }

  /** Add light. */
  glow(color: Rgb, amount: number): void {
    this.r += color[0] * amount;
    this.g += color[1] * amount;
    this.b += color[2] * amount;
  }
}

/** `x`, `y` in world units from the sprite's origin; `unit` is one pixel in world units, for smooth edges. */
export type Shader = (paint: Paint, x: number, y: number, unit: number) => void;

export interface Extent {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export const around = (x: number, y: number = x): Extent => ({ left: x, top: y, right: x, bottom: y });

/** A sprite of the shader's paint within `extent` world units of its origin, at `scale` pixels a unit. */
export function makeSprite(extent: Extent, scale: number, shader: Shader): Sprite {
  const originX = Math.ceil(extent.left * scale);
  const originY = Math.ceil(extent.top * scale);
  const width = originX + Math.ceil(extent.right * scale) + 1;
  const height = originY + Math.ceil(extent.bottom * scale) + 1;
  const samples = new Float32Array(width * height * 4);
  const paint = new Paint();
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at += 4) {
      paint.clear();
      shader(paint, (column - originX) / scale, (row - originY) / scale, 1 / scale);
      const luma = 0.2126 * paint.r + 0.7152 * paint.g + 0.0722 * paint.b;
      samples[at] = paint.alpha;
      samples[at + 1] = luma;
      samples[at + 2] = (paint.b - luma) / 1.8556;
      samples[at + 3] = (paint.r - luma) / 1.5748;
    }
  }
  const chroma = [0, 1, 2, 3].map((parity) => chromaPlanes(samples, width, height, parity & 1, parity >> 1));
  return { width, height, originX, originY, luma: lumaPlane(samples, width, height), chroma };
}

/** Of each sample of four: alpha, luma, and the two colour differences. */
function lumaPlane(samples: Float32Array, width: number, height: number): SpritePlane {
  const plane = new PlanePaint(width, height);
  for (let i = 0, at = 0; i < width * height; i++, at += 4) {
    plane.put(i, samples[at]!, 16, 219 * samples[at + 1]!);
  }
  return plane.finish();
}

function chromaPlanes(samples: Float32Array, width: number, height: number, shiftX: number, shiftY: number) {
  const chromaWidth = (width + shiftX + 1) >> 1;
  const chromaHeight = (height + shiftY + 1) >> 1;
  const [planeU, planeV] = [new PlanePaint(chromaWidth, chromaHeight), new PlanePaint(chromaWidth, chromaHeight)];
  for (let row = 0, i = 0; row < chromaHeight; row++) {
    const top = Math.max(0, 2 * row - shiftY);
    const bottom = Math.min(height, 2 * row - shiftY + 2);
    for (let column = 0; column < chromaWidth; column++, i++) {
      const left = Math.max(0, 2 * column - shiftX);
      const right = Math.min(width, 2 * column - shiftX + 2);
      let alpha = 0;
      let u = 0;
      let v = 0;
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) {
          const at = (y * width + x) * 4;
          alpha += samples[at]!;
          u += samples[at + 2]!;
          v += samples[at + 3]!;
        }
      }
      planeU.put(i, alpha / 4, 128, 56 * u);
      planeV.put(i, alpha / 4, 128, 56 * v);
    }
  }
  return { u: planeU.finish(), v: planeV.finish() };
}

const fadeUnits = 256;
const addUnits = 64;

class PlanePaint {
  readonly #width: number;
  readonly #height: number;
  readonly #paint: Int16Array;

  constructor(width: number, height: number) {
    this.#width = width;
    this.#height = height;
    this.#paint = new Int16Array(2 * width * height);
  }

  /** A pixel's paint: `zero` is the code of no light, `codes` how many more it adds. */
  put(i: number, alpha: number, zero: number, codes: number): void {
    const fade = Math.round(-fadeUnits * alpha);
    const add = Math.round(addUnits * (codes - (zero * fade) / fadeUnits));
    this.#paint[2 * i] = fade;
    this.#paint[2 * i + 1] = Math.max(-32_768, Math.min(32_767, add));
  }

  /** Paint too faint to change one code in the plane is dropped, and rows are cut to what remains. */
  finish(): SpritePlane {
    const [width, height, paint] = [this.#width, this.#height, this.#paint];
    const spans = new Int16Array(2 * height);
    for (let row = 0; row < height; row++) {
      let first = width;
      let last = 0;
      for (let column = 0; column < width; column++) {
        const i = 2 * (row * width + column);
        if (paint[i] === 0 && Math.abs(paint[i + 1]!) < addUnits / 2) continue;
        first = Math.min(first, column);
        last = column + 1;
      }
      spans[2 * row] = first;
      spans[2 * row + 1] = last;
    }
    return { width, height, paint, spans };
  }
}

/** How much of a pixel a shape covers, from the pixel's signed distance to its edge. */
export const coverage = (distance: number, unit: number): number => clamp01(0.5 - distance / unit);

export const clamp01 = (value: number): number => Math.max(0, Math.min(1, value));

/** A glow that is 1 at distance 0 and reaches nothing at `reach`. */
export function falloff(distance: number, reach: number): number {
  if (distance >= reach) return 0;
  const near = 1 - Math.max(0, distance) / reach;
  return near * near * near;
}

export function segmentDistance(x: number, y: number, x0: number, y0: number, x1: number, y1: number): number {
  return Math.sqrt(segmentDistanceSquared(x, y, x0, y0, x1, y1));
}

export function segmentDistanceSquared(x: number, y: number, x0: number, y0: number, x1: number, y1: number): number {
  const dx = x1 - x0;
  const dy = y1 - y0;
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : clamp01(((x - x0) * dx + (y - y0) * dy) / length);
  const offX = x - x0 - dx * along;
  const offY = y - y0 - dy * along;
  return offX * offX + offY * offY;
}

/** Signed distance to a closed polygon given as x, y pairs: negative inside. */
export function polygonDistance(x: number, y: number, points: readonly number[]): number {
  let squared = Number.POSITIVE_INFINITY;
  let inside = false;
  for (let i = 0, j = points.length - 2; i < points.length; j = i, i += 2) {
    const x0 = points[i]!;
    const y0 = points[i + 1]!;
    const x1 = points[j]!;
    const y1 = points[j + 1]!;
    squared = Math.min(squared, segmentDistanceSquared(x, y, x0, y0, x1, y1));
    if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) inside = !inside;
  }
  const distance = Math.sqrt(squared);
  return inside ? -distance : distance;
}

/** `Math.hypot` guards against overflow that no picture has, at ten times the price. */
export const magnitude = (x: number, y: number): number => Math.sqrt(x * x + y * y);

/** Smooth value noise, 0–1, the same everywhere for the same numbers. */
export function noise(x: number, y: number): number {
  const cellX = Math.floor(x);
  const cellY = Math.floor(y);
  const fx = smooth(x - cellX);
  const fy = smooth(y - cellY);
  const top = hash(cellX, cellY) * (1 - fx) + hash(cellX + 1, cellY) * fx;
  const bottom = hash(cellX, cellY + 1) * (1 - fx) + hash(cellX + 1, cellY + 1) * fx;
  return top * (1 - fy) + bottom * fy;
}

/** Four octaves of noise. */
export const cloud = (x: number, y: number): number =>
  0.5 * noise(x, y) + 0.26 * noise(2.1 * x, 2.1 * y) + 0.15 * noise(4.3 * x, 4.3 * y) + 0.09 * noise(9 * x, 9 * y);

export function hash(x: number, y: number): number {
  let mixed = Math.imul(x | 0, 374_761_393) ^ Math.imul(y | 0, 668_265_263);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 1_274_126_177);
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 4_294_967_296;
}

const smooth = (t: number) => t * t * (3 - 2 * t);
