// Letters as strokes on a 4×6 grid, drawn as distances to those strokes: round-ended neon tubes, crisp at every size.
import {
  around,
  clamp01,
  coverage,
  type Extent,
  falloff,
  makeSprite,
  type Rgb,
  segmentDistanceSquared,
} from "./paint.js";
import type { Sprite, Surface } from "./surface.js";

/** Polylines of `xy` grid points, `/` between strokes. */
const strokes: Readonly<Record<string, string>> = {
  A: "06 02 20 42 46/04 44",
  B: "00 30 41 42 33 03/33 44 45 36 06 00",
  C: "41 30 10 01 05 16 36 45",
  D: "00 30 41 45 36 06 00",
  E: "40 00 06 46/03 33",
  F: "40 00 06/03 33",
  G: "41 30 10 01 05 16 36 45 43 23",
  H: "00 06/40 46/03 43",
  I: "00 06",
  J: "40 45 36 16 05",
  K: "00 06/40 03 46",
  L: "00 06 46",
  M: "06 00 23 40 46",
  N: "06 00 46 40",
  O: "10 30 41 45 36 16 05 01 10",
  P: "06 00 30 41 42 33 03",
  Q: "10 30 41 45 36 16 05 01 10/24 46",
  R: "06 00 30 41 42 33 03/13 46",
  S: "41 30 10 01 02 13 33 44 45 36 16 05",
  T: "00 40/20 26",
  U: "00 05 16 36 45 40",
  V: "00 26 40",
  W: "00 16 22 36 40",
  X: "00 46/40 06",
  Y: "00 23 40/23 26",
  Z: "00 40 06 46",
  "0": "10 30 41 45 36 16 05 01 10",
  "1": "11 20 26/06 46",
  "2": "01 10 30 41 42 06 46",
  "3": "01 10 30 41 42 33 44 45 36 16 05/13 33",
  "4": "36 30 04 44",
  "5": "40 00 03 33 44 45 36 16 05",
  "6": "41 30 10 01 05 16 36 45 44 33 03",
  "7": "00 40 16",
  "8": "13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33",
  "9": "43 13 02 01 10 30 41 45 36 16 05",
  ":": "02 02/05 05",
  ".": "06 06",
  "+": "03 43/21 25",
  "-": "03 33",
  "×": "02 35/32 05",
  "!": "00 04/06 06",
  "/": "06 30",
  "·": "03 03",
  "←": "03 43/21 03 25",
  "→": "03 43/21 43 25",
  "↑": "20 26/02 20 42",
  "↓": "20 26/04 26 44",
};

export interface TextStyle {
  /** Height of a capital in world units, and in pixels at least: small pictures need legible letters too. */
  readonly size: number;
  readonly pixelsMin: number;
  /** Half the stroke's width, in grid units (a capital is six). */
  readonly weight: number;
  /** The letter's colour at its top, and at its foot. */
  readonly color: Rgb;
  readonly foot: Rgb;
  readonly glow: Rgb;
  readonly glowStrength: number;
  /** The letters that will be asked for; all when not given. */
  readonly letters?: string;
}

interface Glyph {
  readonly sprite: Sprite;
  readonly advance: number;
}

export class Font {
  /** Height of a capital, in pixels. */
  readonly height: number;
  readonly #glyphs = new Map<string, Glyph>();
  readonly #space: number;

  constructor(style: TextStyle, scale: number) {
    this.height = Math.max(style.pixelsMin, style.size * scale);
    const grid = this.height / 6;
    this.#space = grid * 3.2;
    for (const letter of style.letters ?? Object.keys(strokes)) {
      if (!this.#glyphs.has(letter) && letter !== " ") this.#glyphs.set(letter, drawGlyph(letter, style, grid));
    }
  }

  widthOf(text: string): number {
    let width = 0;
    for (let i = 0; i < text.length; i++) width += this.#glyphs.get(text[i]!)?.advance ?? this.#space;
    return width;
  }

  /** Text with its top at `y`; `align` is how much of its width lies left of `x`: 0, 0.5 or 1. Pixels. */
  draw(surface: Surface, text: string, x: number, y: number, align: number, opacity?: number): void {
    let at = x - align * this.widthOf(text);
    for (let i = 0; i < text.length; i++) {
      const glyph = this.#glyphs.get(text[i]!);
      if (glyph) surface.blit(glyph.sprite, at, y, opacity);
      at += glyph?.advance ?? this.#space;
    }
  }
}

function drawGlyph(letter: string, style: TextStyle, grid: number): Glyph {
  const lines = strokes[letter]!.split("/").map((line) => line.split(" ").map((point) => [+point[0]!, +point[1]!]));
  const ends = Float64Array.from(lines.flatMap((line) => line.slice(1).flatMap((point, i) => [...line[i]!, ...point])));
  const gridWidth = Math.max(...lines.flat().map(([x]) => x!));
  // A stroke thinner than this many grid units would be fainter than one pixel.
  const weight = Math.max(style.weight, 0.55 / grid);
  const reach = style.glowStrength > 0 ? weight + 1.5 : weight + 0.5;
  const { left, top } = around(reach);
  const extent: Extent = { left, top, right: gridWidth + reach, bottom: 6 + reach };
  const sprite = makeSprite(extent, grid, (paint, x, y, unit) => {
    let squared = Number.POSITIVE_INFINITY;
    for (let i = 0; i < ends.length; i += 4) {
      squared = Math.min(squared, segmentDistanceSquared(x, y, ends[i]!, ends[i + 1]!, ends[i + 2]!, ends[i + 3]!));
    }
    const edge = Math.sqrt(squared) - weight;
    if (edge > reach - weight) return;
    paint.glow(style.glow, style.glowStrength * falloff(edge, reach - weight));
    const covered = coverage(edge, unit);
    if (covered === 0) return;
    paint.over(style.color, covered);
    paint.over(style.foot, covered * clamp01(y / 6));
  });
  const isDigit = letter >= "0" && letter <= "9";
  return { sprite, advance: ((isDigit ? 4 : gridWidth) + 2 * weight + 1.15) * grid };
}
