import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import wabt from "wabt";
import { around, makeSprite } from "./paint.js";
import { type SpritePlane, Surface, yuv } from "./surface.js";

const [width, height] = [48, 32];
const pictureBytes = (width * height * 3) / 2;
const untouched = 77;

/** A picture of one code, and what is drawn on it. */
function drawnBy(draw: (surface: Surface) => void): Uint8Array {
  const surface = new Surface(width, height);
  const picture = new Uint8Array(pictureBytes).fill(untouched);
  surface.restore(picture, 0, height);
  draw(surface);
  surface.copyTo(picture);
  return picture;
}

const sprite = makeSprite(around(7, 5), 1, (paint) => paint.over([1, 0.2, 0.6], 1));
const place = fc.double({ min: -120, max: 120, noNaN: true });

/** Which planes' rows were touched, as a list of [plane, row, column]. */
function touched(picture: Uint8Array): { luma: string[]; u: string[]; v: string[] } {
  const plane = (start: number, stride: number, rows: number) =>
    Array.from(picture.subarray(start, start + stride * rows)).flatMap((byte, i) =>
      byte === untouched ? [] : [`${i % stride},${Math.floor(i / stride)}`],
    );
  const uStart = width * height;
  return {
    luma: plane(0, width, height),
    u: plane(uStart, width / 2, height / 2),
    v: plane((uStart * 5) / 4, width / 2, height / 2),
  };
}

/** The chroma samples that belong to these pixels. */
const chromaOf = (luma: readonly string[]) =>
  new Set(
    luma.map((at) =>
      at
        .split(",")
        .map((part) => Number(part) >> 1)
        .join(","),
    ),
  );

describe("drawing", () => {
  it("never writes outside the picture, nor in a row that is not its own", () => {
    fc.assert(
      fc.property(place, place, place, place, fc.integer({ min: 0, max: 256 }), (x, y, w, h, opacity) => {
        const picture = drawnBy((surface) => {
          surface.fillRect(x, y, w, h, yuv(255, 0, 150));
          surface.tintRect(x, y, w, h, yuv(0, 255, 0), opacity);
          surface.blit(sprite, x, y, opacity);
        });
        const limits = [x - 8, x + Math.max(8, w) + 2] as const;
        for (const at of touched(picture).luma) {
          const column = Number(at.split(",")[0]);
          expect(column >= limits[0] && column <= limits[1]).toBe(true);
        }
      }),
    );
  });

  it("colours exactly the chroma samples of the pixels it covers, at every parity", () => {
    fc.assert(
      fc.property(fc.integer({ min: -9, max: 56 }), fc.integer({ min: -7, max: 38 }), (x, y) => {
        for (const draw of [
          (surface: Surface) => surface.blit(sprite, x, y),
          (surface: Surface) => surface.fillRect(x, y, 9, 5, yuv(255, 0, 150)),
        ]) {
          const { luma, u, v } = touched(drawnBy(draw));
          const expected = chromaOf(luma);
          expect(new Set(u)).toEqual(expected);
          expect(new Set(v)).toEqual(expected);
        }
      }),
    );
  });

  it("keeps luma and chroma within the limited range, however much light is added", () => {
    const glare = makeSprite(around(7), 1, (paint) => paint.glow([3, 0, 2], 4));
    const picture = drawnBy((surface) => {
      for (let i = 0; i < 6; i++) surface.blit(glare, 20, 15);
    });
    const codes = Array.from(picture);
    expect(Math.max(...codes.slice(0, width * height))).toBe(235);
    expect(Math.max(...codes.slice(width * height))).toBeLessThanOrEqual(240);
    expect(Math.min(...codes)).toBeGreaterThanOrEqual(16);
  });

  it("lays an opaque sprite's colour down as it is", () => {
    const picture = drawnBy((surface) => surface.blit(sprite, 20, 16));
    const color = yuv(255, 0.2 * 255, 0.6 * 255);
    expect(picture[16 * width + 20]).toBeCloseTo(color.y, -0.5);
    expect(Math.abs(picture[width * height + 8 * (width / 2) + 10]! - color.u)).toBeLessThanOrEqual(1);
  });

  it("changes nothing at opacity 0", () => {
    expect(touched(drawnBy((surface) => surface.blit(sprite, 20, 16, 0))).luma).toEqual([]);
  });

  it("refuses a buffer too small for the picture", () => {
    expect(() => new Surface(width, height).copyTo(new Uint8Array(pictureBytes - 1))).toThrow(RangeError);
  });
});

interface Plane {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** What blend.wat is to do, one pixel after the other. */
function blendByOne(under: Plane, plane: SpritePlane, left: number, top: number, opacity: number, codeMax: number) {
  for (let row = 0; row < plane.height; row++) {
    for (let column = plane.spans[2 * row]!; column < plane.spans[2 * row + 1]!; column++) {
      const [x, y] = [left + column, top + row];
      if (x < 0 || x >= under.width || y < 0 || y >= under.height) continue;
      const beneath = under.pixels[y * under.width + x]!;
      const i = 2 * (row * plane.width + column);
      const change = (beneath * plane.paint[i]! + 4 * plane.paint[i + 1]!) * opacity;
      under.pixels[y * under.width + x] = Math.max(16, Math.min(codeMax, beneath + ((change + 0x8000) >> 16)));
    }
  }
}

describe("the SIMD code", () => {
  const planeOf = (width: number, height: number) =>
    fc.record({
      width: fc.constant(width),
      height: fc.constant(height),
      paint: fc
        .array(fc.tuple(fc.integer({ min: -256, max: 0 }), fc.integer({ min: -32_768, max: 32_767 })), {
          minLength: width * height,
          maxLength: width * height,
        })
        .map((pixels) => Int16Array.from(pixels.flat())),
      spans: fc
        .array(fc.tuple(fc.nat(width), fc.nat(width)), { minLength: height, maxLength: height })
        .map((rows) => Int16Array.from(rows.flat())),
    });
  const anySprite = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 5 })).chain(([w, h]) =>
    fc.tuple(planeOf(w, h), planeOf((w >> 1) + 1, (h >> 1) + 1)).map(([luma, chroma]) => {
      const both = { u: chroma, v: chroma };
      return { width: w, height: h, originX: 0, originY: 0, luma, chroma: [both, both, both, both] };
    }),
  );
  const where = fc.record({
    x: fc.integer({ min: -45, max: width + 5 }),
    y: fc.integer({ min: -8, max: height + 2 }),
    opacity: fc.integer({ min: 0, max: 256 }),
  });

  it("does to every pixel, and to no other, what the formula says", () => {
    fc.assert(
      fc.property(anySprite, fc.array(where, { minLength: 1, maxLength: 4 }), (drawn, places) => {
        const expected = new Uint8Array(pictureBytes).fill(untouched);
        const [uStart, vStart] = [width * height, (width * height * 5) / 4];
        const luma = { pixels: expected.subarray(0, uStart), width, height };
        const half = { width: width / 2, height: height / 2 };
        for (const { x, y, opacity } of places) {
          if (x >= width || y >= height || x + drawn.width <= 0 || y + drawn.height <= 0) continue;
          const chroma = [x >> 1, y >> 1, opacity, 240] as const;
          blendByOne(luma, drawn.luma, x, y, opacity, 235);
          blendByOne({ pixels: expected.subarray(uStart, vStart), ...half }, drawn.chroma[0]!.u, ...chroma);
          blendByOne({ pixels: expected.subarray(vStart), ...half }, drawn.chroma[0]!.v, ...chroma);
        }
        const picture = drawnBy((surface) => {
          for (const { x, y, opacity } of places) surface.blit(drawn, x, y, opacity);
        });
        expect(picture).toEqual(expected);
      }),
    );
  });

  it("is what its source says (`npm run wasm` makes it anew)", async () => {
    const { parseWat } = await wabt();
    const source = parseWat("blend.wat", readFileSync(new URL("blend.wat", import.meta.url)), { simd: true });
    const { buffer } = source.toBinary({});
    expect(Buffer.from(buffer)).toEqual(readFileSync(new URL("blend.wasm", import.meta.url)));
  });
});

describe("colours", () => {
  it.each([
    ["black", [0, 0, 0], [16, 128, 128]],
    ["white", [255, 255, 255], [235, 128, 128]],
    ["red, by BT.709", [255, 0, 0], [63, 102, 240]],
    ["blue, by BT.709", [0, 0, 255], [32, 240, 118]],
  ])("%s", (_, [r, g, b], [y, u, v]) => {
    expect(yuv(r!, g!, b!)).toEqual({ y, u, v });
  });
});
