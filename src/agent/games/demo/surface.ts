// A picture being drawn: planar I420, BT.709 limited range, as the encoder takes it, so no conversion is paid later.
// Nothing is ever written outside the picture, whatever the position or size asked for.
//
// A sprite is kept as what it does to the picture beneath: out = d + (d·fade + add) · opacity. That one form is both
// "over" (fade = −alpha) and additive glow (fade = 0), for luma and chroma alike. Chroma has one sample for two
// pixels each way, so a sprite carries its chroma four times, one for each parity of its position: it moves by single
// pixels without its colours trembling. Chosen over drawing RGB: converting a 720p frame alone costs 4 ms in JS.
//
// The loop over a sprite's pixels is SIMD code (blend.wat): a frame's drawing is the longest that this process's one
// thread is kept from everything else. So pixels and sprites live in that code's memory, and a picture is copied out.
import { readFileSync } from "node:fs";

export interface Yuv {
  readonly y: number;
  readonly u: number;
  readonly v: number;
}

/** RGB 0–255 to BT.709 limited range. */
export function yuv(r: number, g: number, b: number): Yuv {
  const luma = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return {
    y: Math.round(16 + (luma * 219) / 255),
    u: Math.round(128 + ((b - luma) / 1.8556) * (224 / 255)),
    v: Math.round(128 + ((r - luma) / 1.5748) * (224 / 255)),
  };
}

/** One plane of a sprite; columns outside [first, last) of a row change nothing and are skipped. */
export interface SpritePlane {
  readonly width: number;
  readonly height: number;
  /** Two numbers for each pixel: its fade in 1/256, and what it adds in 1/64 code. */
  readonly paint: Int16Array;
  /** Two for each row: first, last. */
  readonly spans: Int16Array;
}

export interface Sprite {
  readonly width: number;
  readonly height: number;
  /** The pixel of the sprite that is put at the position asked for. */
  readonly originX: number;
  readonly originY: number;
  readonly luma: SpritePlane;
  /** By (y odd) · 2 + (x odd). */
  readonly chroma: readonly { readonly u: SpritePlane; readonly v: SpritePlane }[];
}

export const opaque = 256;

const blendModule = new WebAssembly.Module(readFileSync(new URL("./blend.wasm", import.meta.url)));

/** blend.wat, which says what the numbers are. */
interface BlendCode {
  readonly memory: WebAssembly.Memory;
  blend(
    pixels: number,
    width: number,
    paint: number,
    spans: number,
    spriteWidth: number,
    row: number,
    rowEnd: number,
    left: number,
    top: number,
    opacity: number,
    codeMax: number,
  ): void;
}

/** Where a sprite's plane is in the memory. */
interface Placed {
  readonly paint: number;
  readonly spans: number;
}

const pageBytes = 65_536;

export class Surface {
  readonly width: number;
  readonly height: number;
  readonly #chromaWidth: number;
  readonly #chromaHeight: number;
  readonly #uStart: number;
  readonly #vStart: number;
  readonly #bytesLength: number;
  readonly #code = new WebAssembly.Instance(blendModule).exports as unknown as BlendCode;
  readonly #placed = new Map<SpritePlane, Placed>();
  /** Of the memory: the pixels, then the sprites that were drawn so far. */
  #usedBytes = 0;
  #bytes: Uint8Array;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.#chromaWidth = width / 2;
    this.#chromaHeight = height / 2;
    this.#uStart = width * height;
    this.#vStart = this.#uStart + this.#chromaWidth * this.#chromaHeight;
    this.#bytesLength = (width * height * 3) / 2;
    this.#allocate(this.#bytesLength);
    this.#bytes = this.#pixels();
  }

  /** What is drawn so far. */
  copyTo(picture: Uint8Array): void {
    if (picture.length < this.#bytesLength) {
      throw new RangeError(
        `a ${this.width}×${this.height} picture is ${this.#bytesLength} bytes, not ${picture.length}`,
      );
    }
    picture.set(this.#bytes);
  }

  /** Rows [top, bottom) of `from`, a picture of the same size; both even. */
  restore(from: Uint8Array, top: number, bottom: number): void {
    const copy = (start: number, stride: number, first: number, end: number) =>
      this.#bytes.set(from.subarray(start + first * stride, start + end * stride), start + first * stride);
    copy(0, this.width, top, bottom);
    copy(this.#uStart, this.#chromaWidth, top / 2, bottom / 2);
    copy(this.#vStart, this.#chromaWidth, top / 2, bottom / 2);
  }

  fillRect(x: number, y: number, width: number, height: number, color: Yuv): void {
    const left = between(0, this.width, Math.round(x));
    const right = between(0, this.width, Math.round(x + width));
    const top = between(0, this.height, Math.round(y));
    const bottom = between(0, this.height, Math.round(y + height));
    if (left >= right || top >= bottom) return;
    const bytes = this.#bytes;
    for (let row = top; row < bottom; row++) bytes.fill(color.y, row * this.width + left, row * this.width + right);
    const chromaLeft = left >> 1;
    const chromaRight = (right + 1) >> 1;
    const chromaBottom = (bottom + 1) >> 1;
    for (let row = top >> 1; row < chromaBottom; row++) {
      const start = row * this.#chromaWidth;
      bytes.fill(color.u, this.#uStart + start + chromaLeft, this.#uStart + start + chromaRight);
      bytes.fill(color.v, this.#vStart + start + chromaLeft, this.#vStart + start + chromaRight);
    }
  }

  /** Mix a colour over a rectangle; `opacity` 0–256. */
  tintRect(x: number, y: number, width: number, height: number, color: Yuv, opacity: number): void {
    const left = between(0, this.width, Math.round(x / 2) * 2);
    const right = between(0, this.width, Math.round((x + width) / 2) * 2);
    const top = between(0, this.height, Math.round(y / 2) * 2);
    const bottom = between(0, this.height, Math.round((y + height) / 2) * 2);
    const bytes = this.#bytes;
    tintPlane(bytes, 0, this.width, left, right, top, bottom, color.y, opacity);
    const chroma = [left >> 1, right >> 1, top >> 1, bottom >> 1] as const;
    tintPlane(bytes, this.#uStart, this.#chromaWidth, ...chroma, color.u, opacity);
    tintPlane(bytes, this.#vStart, this.#chromaWidth, ...chroma, color.v, opacity);
  }

  /** The sprite with its origin at the pixel nearest to (x, y); `opacity` 0–256. */
  blit(sprite: Sprite, x: number, y: number, opacity: number = opaque): void {
    const left = Math.round(x) - sprite.originX;
    const top = Math.round(y) - sprite.originY;
    if (left >= this.width || top >= this.height || left + sprite.width <= 0 || top + sprite.height <= 0) return;
    this.#blend(0, this.width, this.height, sprite.luma, left, top, opacity, 235);
    const { u, v } = sprite.chroma[(top & 1) * 2 + (left & 1)]!;
    const [width, height] = [this.#chromaWidth, this.#chromaHeight];
    this.#blend(this.#uStart, width, height, u, left >> 1, top >> 1, opacity, 240);
    this.#blend(this.#vStart, width, height, v, left >> 1, top >> 1, opacity, 240);
  }

  #blend(
    start: number,
    width: number,
    height: number,
    plane: SpritePlane,
    left: number,
    top: number,
    opacity: number,
    codeMax: number,
  ): void {
    const { paint, spans } = this.#placed.get(plane) ?? this.#place(plane);
    const row = Math.max(0, -top);
    const rowEnd = Math.min(plane.height, height - top);
    this.#code.blend(start, width, paint, spans, plane.width, row, rowEnd, left, top, opacity, codeMax);
  }

  #place(plane: SpritePlane): Placed {
    const placed = { paint: this.#allocate(plane.paint.byteLength), spans: this.#allocate(plane.spans.byteLength) };
    const { buffer } = this.#code.memory;
    new Int16Array(buffer, placed.paint).set(plane.paint);
    new Int16Array(buffer, placed.spans).set(plane.spans);
    // A memory that grew is another buffer.
    this.#bytes = this.#pixels();
    this.#placed.set(plane, placed);
    return placed;
  }

  #allocate(bytes: number): number {
    const { memory } = this.#code;
    const at = this.#usedBytes;
    this.#usedBytes = Math.ceil((at + bytes) / 16) * 16;
    const missing = this.#usedBytes - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / pageBytes));
    return at;
  }

  #pixels(): Uint8Array {
    return new Uint8Array(this.#code.memory.buffer, 0, this.#bytesLength);
  }
}

function tintPlane(
  bytes: Uint8Array,
  start: number,
  width: number,
  left: number,
  right: number,
  top: number,
  bottom: number,
  code: number,
  opacity: number,
): void {
  const keep = 256 - opacity;
  const add = code * opacity + 128;
  for (let row = top; row < bottom; row++) {
    const end = start + row * width + right;
    for (let i = start + row * width + left; i < end; i++) bytes[i] = (bytes[i]! * keep + add) >> 8;
  }
}

const between = (low: number, high: number, value: number) => Math.max(low, Math.min(high, value));
