// A picture for every game, drawn from its id: a night scene with its own colours, stars, hills and a guest in the sky.
// Pure geometry in, SVG out; no image files, and the same game always looks the same.
import { svg } from "./element.js";

const width = 640;
const height = 400;
const horizon = 288;

interface Palette {
  readonly top: string;
  readonly glow: string;
  readonly light: string;
  readonly ground: string;
}

const palettes: readonly Palette[] = [
  { top: "#1a1038", glow: "#ff4f7b", light: "#ffd08a", ground: "#120a26" },
  { top: "#06283d", glow: "#21b6a8", light: "#d9ffd1", ground: "#04161f" },
  { top: "#261447", glow: "#ff6c11", light: "#fff0b0", ground: "#170b2e" },
  { top: "#0b1d51", glow: "#725ac1", light: "#ffc2e2", ground: "#071033" },
  { top: "#2b0f2f", glow: "#e0357a", light: "#9fe8ff", ground: "#190819" },
];

/** `place` keeps the ids of two pictures of one game apart: gradients of a hidden picture do not paint. */
export function artwork(gameId: string, place: "card" | "stage"): SVGSVGElement {
  const random = seeded(gameId);
  const palette = palettes[Math.floor(random() * palettes.length)]!;
  const name = `art-${place}-${gameId}`;
  const guest = [comet, sun, planet][Math.floor(random() * 3)]!;
  return svg(
    "svg",
    {
      class: "artwork",
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: "xMidYMid slice",
      "aria-hidden": "true",
    },
    svg("defs", {}, skyGradient(`${name}-sky`, palette), lightGradient(`${name}-light`, palette)),
    svg("rect", { width, height, fill: `url(#${name}-sky)` }),
    ...stars(random, palette),
    ...guest(random, palette, `url(#${name}-light)`),
    hills(random, horizon - 26, 34, palette.top, 0.85),
    hills(random, horizon + 4, 20, palette.ground, 1),
    svg("rect", { y: horizon, width, height: height - horizon, fill: palette.ground }),
    grid(palette),
  );
}

function skyGradient(id: string, { top, glow }: Palette) {
  return svg(
    "linearGradient",
    { id, x1: 0, y1: 0, x2: 0, y2: horizon / height },
    svg("stop", { offset: 0, "stop-color": top }),
    svg("stop", { offset: 0.55, "stop-color": top }),
    svg("stop", { offset: 1, "stop-color": glow }),
  );
}

function lightGradient(id: string, { light, glow }: Palette) {
  return svg(
    "linearGradient",
    { id, x1: 0, y1: 0, x2: 0, y2: 1 },
    svg("stop", { offset: 0, "stop-color": light }),
    svg("stop", { offset: 1, "stop-color": glow }),
  );
}

function stars(random: () => number, { light }: Palette) {
  return Array.from({ length: 46 }, () =>
    svg("circle", {
      cx: round(random() * width),
      cy: round(random() * (horizon - 70)),
      r: round(0.6 + random() ** 3 * 1.8),
      fill: light,
      opacity: round(0.3 + random() * 0.7),
    }),
  );
}

function comet(random: () => number, { light }: Palette, fill: string) {
  const x = 430 + random() * 70;
  const y = 150 + random() * 30;
  // Falling to the right: the tail points back up along (−0.88, −0.47), its sides stand across that.
  const tail = (length: number, half: number, opacity: number) => {
    const side = (sign: number) => `${round(x + sign * half * 0.47)} ${round(y - sign * half * 0.88)}`;
    const tip = `${round(x - length * 0.88)} ${round(y - length * 0.47)}`;
    return svg("path", { d: `M${side(1)}L${tip}L${side(-1)}z`, fill: light, opacity });
  };
  return [
    tail(420, 30, 0.14),
    tail(320, 22, 0.2),
    tail(210, 13, 0.4),
    svg("circle", { cx: round(x), cy: round(y), r: 48, fill: light, opacity: 0.14 }),
    svg("circle", { cx: round(x), cy: round(y), r: 29, fill }),
    svg("circle", { cx: round(x + 9), cy: round(y - 8), r: 8, fill: "#fff", opacity: 0.8 }),
  ];
}

function sun(random: () => number, { top }: Palette, fill: string) {
  const x = round(width * (0.35 + random() * 0.3));
  const y = horizon - 74;
  const bands = [22, 44, 62, 78, 92].map((below, i) =>
    svg("rect", { x: x - 130, y: y + below, width: 260, height: 4 + i * 2, fill: top, opacity: 0.55 }),
  );
  return [svg("circle", { cx: x, cy: y, r: 112, fill }), ...bands];
}

function planet(random: () => number, { light }: Palette, fill: string) {
  const x = round(width * (0.55 + random() * 0.25));
  const y = round(120 + random() * 40);
  const tilt = `rotate(${round(-24 + random() * 12)} ${x} ${y})`;
  const ring = (attributes: Record<string, string | number>) =>
    svg("path", { fill: "none", stroke: light, "stroke-width": 7, opacity: 0.8, transform: tilt, ...attributes });
  return [
    ring({ d: `M${x - 122} ${y}A122 30 0 0 1 ${x + 122} ${y}` }),
    svg("circle", { cx: x, cy: y, r: 70, fill }),
    ring({ d: `M${x - 122} ${y}A122 30 0 0 0 ${x + 122} ${y}` }),
  ];
}

function hills(random: () => number, baseline: number, amplitude: number, fill: string, opacity: number) {
  const count = 9;
  const ridge = Array.from({ length: count + 1 }, (_, i) => ({
    x: (i * width) / count,
    y: baseline - random() * amplitude * (i % 2 === 0 ? 1 : 2.1),
  }));
  const line = ridge.map(({ x, y }) => `L${round(x)} ${round(y)}`).join("");
  return svg("path", { d: `M0 ${height}${line}L${width} ${height}z`, fill, opacity });
}

// A floor in perspective: rays from the vanishing point, rows closer together the farther they are.
function grid({ glow }: Palette) {
  const rays = Array.from({ length: 23 }, (_, i) => {
    const spread = (i - 11) * 26;
    return `M${width / 2 + spread} ${horizon}L${width / 2 + spread * 5.2} ${height}`;
  });
  const rows = Array.from({ length: 8 }, (_, i) => `M0 ${round(horizon + 112 * (i / 8) ** 1.9)}H${width}`);
  return svg("path", {
    d: [...rays, ...rows].join(""),
    stroke: glow,
    "stroke-width": 1.4,
    opacity: 0.55,
    fill: "none",
  });
}

const round = (value: number) => Math.round(value * 10) / 10;

// FNV-1a over the id seeds a mulberry32 generator.
function seeded(text: string): () => number {
  let state = 0x811c9dc5;
  for (const char of text) state = Math.imul(state ^ char.charCodeAt(0), 0x01000193);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
