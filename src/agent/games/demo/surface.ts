// A picture being drawn: planar I420, BT.709 limited range, straight into the encoder's buffer, so no conversion is
// paid later. Nothing is ever written outside the picture, whatever the position or size asked for.
//
// A sprite is kept as what it does to the picture beneath: out = d + (d·fade + add) · opacity, in 1/256. That one form
// is both "over" (fade = −alpha) and additive glow (fade = 0), for luma and chroma alike. Chroma has one sample for two
// pixels each way, so a sprite carries its chroma four times, one for each parity of its position: it moves by single
// pixels without its colours trembling. Chosen over drawing RGB: converting a 720p frame alone costs 4 ms in JS.

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
  readonly fade: Int16Array;
  readonly add: Int32Array;
  readonly first: Int16Array;
  readonly last: Int16Array;
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

export class Surface {
  readonly width: number;
  readonly height: number;
  readonly bytesLength: number;
  readonly #chromaWidth: number;
  readonly #chromaHeight: number;
  readonly #uStart: number;
  readonly #vStart: number;
  #bytes: Uint8Array;

  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
    this.#chromaWidth = width / 2;
    this.#chromaHeight = height / 2;
    this.#uStart = width * height;
    this.#vStart = this.#uStart + this.#chromaWidth * this.#chromaHeight;
    this.bytesLength = (width * height * 3) / 2;
    this.#bytes = new Uint8Array(0);
  }

  /** Draw into `picture` from now on. */
  target(picture: Uint8Array): void {
    if (picture.length < this.bytesLength) {
      throw new RangeError(
        `a ${this.width}×${this.height} picture is ${this.bytesLength} bytes, not ${picture.length}`,
      );
    }
    this.#bytes = picture;
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
    blendPlane(this.#bytes, 0, this.width, this.height, sprite.luma, left, top, opacity, 235);
    const { u, v } = sprite.chroma[(top & 1) * 2 + (left & 1)]!;
    const [width, height] = [this.#chromaWidth, this.#chromaHeight];
    blendPlane(this.#bytes, this.#uStart, width, height, u, left >> 1, top >> 1, opacity, 240);
    blendPlane(this.#bytes, this.#vStart, width, height, v, left >> 1, top >> 1, opacity, 240);
  }
}

function blendPlane(
  bytes: Uint8Array,
  start: number,
  width: number,
  height: number,
  plane: SpritePlane,
  left: number,
  top: number,
  opacity: number,
  codeMax: number,
): void {
  const { fade, add, first, last } = plane;
  const rowEnd = Math.min(plane.height, height - top);
  for (let row = Math.max(0, -top); row < rowEnd; row++) {
    const from = Math.max(first[row]!, -left);
    const end = Math.min(last[row]!, width - left);
    let source = row * plane.width + from;
    let target = start + (top + row) * width + left + from;
    for (let column = from; column < end; column++) {
      const beneath = bytes[target]!;
      const code = beneath + (((beneath * fade[source]! + add[source]!) * opacity + 0x8000) >> 16);
      bytes[target] = code < 16 ? 16 : Math.min(code, codeMax);
      source++;
      target++;
    }
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
