import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { around, makeSprite } from "./paint.js";
import { Surface, yuv } from "./surface.js";

const [width, height] = [48, 32];
const pictureBytes = (width * height * 3) / 2;
const guardBytes = 4096;
const untouched = 77;

/** A picture in the middle of a larger buffer whose surroundings must stay as they are. */
function guarded() {
  const buffer = new Uint8Array(pictureBytes + 2 * guardBytes).fill(untouched);
  const surface = new Surface(width, height);
  surface.target(buffer.subarray(guardBytes, guardBytes + pictureBytes));
  const intact = () =>
    buffer.subarray(0, guardBytes).every((byte) => byte === untouched) &&
    buffer.subarray(guardBytes + pictureBytes).every((byte) => byte === untouched);
  return { picture: buffer.subarray(guardBytes, guardBytes + pictureBytes), surface, intact };
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
        const { surface, intact, picture } = guarded();
        surface.fillRect(x, y, w, h, yuv(255, 0, 150));
        surface.tintRect(x, y, w, h, yuv(0, 255, 0), opacity);
        surface.blit(sprite, x, y, opacity);
        expect(intact()).toBe(true);
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
          const { surface, picture } = guarded();
          draw(surface);
          const { luma, u, v } = touched(picture);
          const expected = chromaOf(luma);
          expect(new Set(u)).toEqual(expected);
          expect(new Set(v)).toEqual(expected);
        }
      }),
    );
  });

  it("keeps luma and chroma within the limited range, however much light is added", () => {
    const glare = makeSprite(around(7), 1, (paint) => paint.glow([3, 0, 2], 4));
    const { surface, picture } = guarded();
    for (let i = 0; i < 6; i++) surface.blit(glare, 20, 15);
    const codes = Array.from(picture);
    expect(Math.max(...codes.slice(0, width * height))).toBe(235);
    expect(Math.max(...codes.slice(width * height))).toBeLessThanOrEqual(240);
    expect(Math.min(...codes)).toBeGreaterThanOrEqual(16);
  });

  it("lays an opaque sprite's colour down as it is", () => {
    const { surface, picture } = guarded();
    surface.blit(sprite, 20, 16);
    const color = yuv(255, 0.2 * 255, 0.6 * 255);
    expect(picture[16 * width + 20]).toBeCloseTo(color.y, -0.5);
    expect(Math.abs(picture[width * height + 8 * (width / 2) + 10]! - color.u)).toBeLessThanOrEqual(1);
  });

  it("changes nothing at opacity 0", () => {
    const { surface, picture } = guarded();
    surface.blit(sprite, 20, 16, 0);
    expect(touched(picture).luma).toEqual([]);
  });

  it("refuses a buffer too small for the picture", () => {
    expect(() => new Surface(width, height).target(new Uint8Array(pictureBytes - 1))).toThrow(RangeError);
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
