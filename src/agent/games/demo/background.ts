// The still picture behind everything: space, a nebula, a ringed planet, and the legend's strip. Painted once at load
// and restored by copying, so it costs a frame nothing but the copy, and an encoder nothing at all.
// Dithered below one code: dark gradients in eight bits would show bands.
import { field, stripTop } from "./layout.js";
import { clamp01, cloud, coverage, hash, magnitude, noise, Paint, type Rgb } from "./paint.js";
import { paintGlint } from "./sprites.js";
import { Surface, yuv } from "./surface.js";

const sky: readonly [top: Rgb, middle: Rgb, bottom: Rgb] = [
  [0.012, 0.02, 0.055],
  [0.02, 0.05, 0.125],
  [0.03, 0.125, 0.21],
];
const teal: Rgb = [0.05, 0.42, 0.5];
const blue: Rgb = [0.08, 0.2, 0.58];
const rim: Rgb = [0.45, 0.95, 1];
const planet = { x: 1010, y: 250, radius: 150, ringInner: 1.35, ringOuter: 2.05, ringTilt: -0.42, ringFlat: 0.24 };

const cos = Math.cos(planet.ringTilt);
const sin = Math.sin(planet.ringTilt);

/** Cells of the coarse grid on which the nebula is computed: it is smooth, and the noise dear. */
const cell = 8;
const starCount = 420;
const columns = field.width / cell + 2;

export function paintBackground(width: number, height: number): Uint8Array {
  const picture = new Uint8Array((width * height * 3) / 2);
  const luma = paintHalf(picture, width, height);
  spreadLuma(picture, luma, width, height);
  const surface = new Surface(width, height);
  surface.restore(picture, 0, height);
  scatterStars(surface);
  paintStrip(surface);
  surface.copyTo(picture);
  return picture;
}

/**
 * Chroma of the whole picture, and its luma at the same half resolution: the sky is soft, and a quarter of the points
 * takes a quarter of the time.
 */
function paintHalf(picture: Uint8Array, width: number, height: number): Float32Array {
  const halfWidth = width / 2;
  const halfHeight = height / 2;
  const lumas = new Float32Array(halfWidth * halfHeight);
  const nebula = paintNebula();
  const paint = new Paint();
  const uStart = width * height;
  const vStart = uStart + lumas.length;
  const unit = field.height / halfHeight;
  for (let row = 0, at = 0; row < halfHeight; row++) {
    for (let column = 0; column < halfWidth; column++, at++) {
      paint.clear();
      shade(paint, ((column + 0.5) * field.width) / halfWidth, (row + 0.5) * unit, unit, nebula);
      const luma = 0.2126 * paint.r + 0.7152 * paint.g + 0.0722 * paint.b;
      const dither = hash(column, row + 9000) - 0.5;
      lumas[at] = 16 + 219 * Math.min(1, luma);
      picture[uStart + at] = Math.round(128 + (224 / 1.8556) * (paint.b - luma) + dither);
      picture[vStart + at] = Math.round(128 + (224 / 1.5748) * (paint.r - luma) + dither);
    }
  }
  return lumas;
}

/** Luma at full size, between the half-size points. */
function spreadLuma(picture: Uint8Array, lumas: Float32Array, width: number, height: number): void {
  const halfWidth = width / 2;
  const lastRow = height / 2 - 1;
  for (let row = 0; row < height; row++) {
    const near = (row >> 1) * halfWidth;
    const far = Math.max(0, Math.min(lastRow, (row >> 1) + (row & 1 ? 1 : -1))) * halfWidth;
    for (let column = 0; column < width; column++) {
      const at = column >> 1;
      const beside = Math.max(0, Math.min(halfWidth - 1, at + (column & 1 ? 1 : -1)));
      const nearRow = 0.75 * lumas[near + at]! + 0.25 * lumas[near + beside]!;
      const farRow = 0.75 * lumas[far + at]! + 0.25 * lumas[far + beside]!;
      picture[row * width + column] = Math.round(0.75 * nearRow + 0.25 * farRow + hash(column, row) - 0.5);
    }
  }
}

function scatterStars(surface: Surface): void {
  const scale = Math.min(surface.width / field.width, surface.height / field.height);
  const sizes = [1.3, 1.9, 2.8].map((radius) => paintGlint([0.75, 0.92, 1], radius, scale));
  for (let star = 0; star < starCount; star++) {
    const x = hash(star, 51) * surface.width;
    const y = hash(star, 97) * surface.height;
    const bright = hash(star, 311) ** 2;
    surface.blit(sizes[Math.floor(bright * sizes.length)]!, x, y, Math.round(60 + 196 * bright));
  }
}

/** The legend's ground, with a line of light along its top. */
function paintStrip(surface: Surface): void {
  const top = Math.round((stripTop * surface.height) / field.height / 2) * 2;
  const line = Math.max(1, Math.round((2 * surface.height) / field.height));
  surface.fillRect(0, top, surface.width, surface.height - top, yuv(3, 8, 17));
  surface.fillRect(0, top, surface.width, line, yuv(38, 150, 176));
}

/** Amounts of the two clouds, teal and blue in turn, at the corners of the coarse grid. */
function paintNebula(): Float32Array {
  const rows = field.height / cell + 2;
  const amounts = new Float32Array(columns * rows * 2);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at += 2) {
      const [u, v] = [(column * cell) / 230, (row * cell) / 230];
      const bend = cloud(u + 7, v + 3);
      const band = clamp01(1 - Math.abs(v - 2.1 + 0.34 * u - 1.1 * bend) / 1.35);
      amounts[at] = band * clamp01((cloud(u + bend * 1.6, v) - 0.36) * 2.3) ** 1.3;
      amounts[at + 1] = clamp01((cloud(u * 0.8 + 31, v * 0.8 + bend) - 0.42) * 2.2);
    }
  }
  return amounts;
}

/** One cloud's amount at a point, between the grid's corners. */
function between(amounts: Float32Array, cloud: 0 | 1, x: number, y: number): number {
  const column = Math.floor(x / cell);
  const row = Math.floor(y / cell);
  const fx = x / cell - column;
  const fy = y / cell - row;
  const at = (row * columns + column) * 2 + cloud;
  const below = at + columns * 2;
  const top = amounts[at]! * (1 - fx) + amounts[at + 2]! * fx;
  const bottom = amounts[below]! * (1 - fx) + amounts[below + 2]! * fx;
  return top * (1 - fy) + bottom * fy;
}

function shade(paint: Paint, x: number, y: number, unit: number, nebula: Float32Array): void {
  const down = (y / field.height) * 2;
  paint.glow(sky[0], Math.max(0, 1 - down));
  paint.glow(sky[1], 1 - Math.abs(1 - down));
  paint.glow(sky[2], Math.max(0, down - 1));
  paint.glow(teal, 0.62 * between(nebula, 0, x, y));
  paint.glow(blue, 0.42 * between(nebula, 1, x, y));
  shadePlanet(paint, x, y, unit);
}

function shadePlanet(paint: Paint, x: number, y: number, unit: number): void {
  const dx = (x - planet.x) / planet.radius;
  const dy = (y - planet.y) / planet.radius;
  const distance = magnitude(dx, dy);
  if (distance > 2.3) return;
  const light = clamp01(-0.62 * dx - 0.66 * dy + 0.25);
  const halo = clamp01(1 - Math.abs(distance - 1) / 0.34) ** 3;
  paint.glow([0.08, 0.5, 0.66], halo * light * 0.75);
  const ringX = dx * cos + dy * sin;
  const ringY = (dy * cos - dx * sin) / planet.ringFlat;
  const ring = shadeRing(magnitude(ringX, ringY));
  const behind = ringY < 0;
  if (behind) paint.over([0.2, 0.62, 0.72], ring);
  const covered = coverage((distance - 1) * planet.radius, unit);
  if (covered > 0) {
    const bands = noise(dx * 1.4 + 4, (dy * cos - dx * sin) * 8 + 11);
    const day = 0.1 + 0.9 * light;
    const edge = clamp01((distance - 0.8) / 0.2) ** 2 * light;
    paint.over([(0.02 + 0.05 * bands) * day, (0.1 + 0.17 * bands) * day, (0.19 + 0.2 * bands) * day], covered);
    paint.glow(rim, covered * edge * 0.55);
  }
  if (!behind) paint.over([0.24, 0.7, 0.78], ring * (0.35 + 0.65 * light + 0.2));
}

function shadeRing(distance: number): number {
  const { ringInner, ringOuter } = planet;
  const across = (distance - ringInner) / (ringOuter - ringInner);
  if (across <= 0 || across >= 1) return 0;
  const grooves = 0.35 + 0.65 * noise(across * 14, 3);
  return clamp01(across * 9) * clamp01((1 - across) * 6) * grooves * 0.42;
}
