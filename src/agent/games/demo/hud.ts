// What the player reads: score, clock, chain, shields, the legend of key caps, and the three screens over the game.
//
// The caps are drawn last and opaque, each wholly dark or wholly bright: players see their input arrive, and the
// latency bench reads the same pixels.
import { hold } from "./controls.js";
import { Font } from "./font.js";
import { type CapName, capNames, capRects, field, pixelRect, type Rect } from "./layout.js";
import type { Rgb } from "./paint.js";
import type { Sprites } from "./sprites.js";
import { type Surface, type Yuv, yuv } from "./surface.js";
import { multiplier, rankOf, rules, type World } from "./world.js";

const white: Rgb = [0.96, 1, 1];
const cyan: Rgb = [0.35, 0.92, 1];
const gold: Rgb = [1, 0.84, 0.32];
const ice: Rgb = [0.6, 0.8, 1];
const sea: Rgb = [0.2, 0.68, 0.95];
const amber: Rgb = [1, 0.58, 0.14];
const ink: Rgb = [0.02, 0.09, 0.15];

const capDark = yuv(9, 27, 43);
const capBright = yuv(214, 252, 255);
const capEdge = yuv(38, 104, 124);
const barBack = yuv(10, 34, 52);
const barChain = yuv(255, 205, 80);
const barOverdrive = yuv(80, 250, 140);
const shade = yuv(3, 10, 22);
const rule = yuv(60, 200, 225);

const capHolds: Readonly<Record<CapName, number>> = {
  left: hold.left,
  up: hold.up,
  down: hold.down,
  right: hold.right,
  fire: hold.fire,
};
const capLabels: Readonly<Record<CapName, string>> = { left: "←", up: "↑", down: "↓", right: "→", fire: "FIRE" };
const loudLetters = "0123456789×+-:! GO OVERDRIVE SECONDS PAUSED BEST";
const digits = "0123456789:+-× ";

export interface Fonts {
  readonly title: Font;
  readonly loud: Font;
  readonly clock: Font;
  readonly number: Font;
  readonly plain: Font;
  readonly small: Font;
  readonly capLight: Font;
  readonly capInk: Font;
}

export function makeFonts(scale: number): Fonts {
  const glow = { glow: [0.05, 0.5, 0.62], glowStrength: 0.55 } as const;
  const cap = { size: 18, pixelsMin: 6, glow: ink, glowStrength: 0, letters: "←↑↓→FIRE" } as const;
  return {
    title: new Font(
      {
        size: 118,
        pixelsMin: 24,
        weight: 0.42,
        color: white,
        foot: ice,
        glow: [0.06, 0.72, 0.9],
        glowStrength: 0.95,
        letters: "COMET RUN SABCD",
      },
      scale,
    ),
    loud: new Font(
      {
        size: 58,
        pixelsMin: 15,
        weight: 0.42,
        color: gold,
        foot: amber,
        glow: [0.8, 0.42, 0.05],
        glowStrength: 0.5,
        letters: loudLetters,
      },
      scale,
    ),
    clock: new Font(
      { size: 40, pixelsMin: 13, weight: 0.42, color: white, foot: ice, ...glow, letters: digits },
      scale,
    ),
    number: new Font(
      { size: 30, pixelsMin: 10, weight: 0.42, color: white, foot: ice, ...glow, letters: digits },
      scale,
    ),
    plain: new Font({ size: 24, pixelsMin: 8, weight: 0.42, color: white, foot: ice, ...glow }, scale),
    small: new Font(
      { size: 15, pixelsMin: 7, weight: 0.4, color: cyan, foot: sea, glow: cyan, glowStrength: 0 },
      scale,
    ),
    capLight: new Font({ ...cap, weight: 0.5, color: cyan, foot: sea }, scale),
    capInk: new Font({ ...cap, weight: 0.6, color: ink, foot: ink }, scale),
  };
}

export class Hud {
  readonly #surface: Surface;
  readonly #sprites: Sprites;
  readonly #fonts: Fonts;
  readonly #caps: readonly { readonly name: CapName; readonly rect: Rect }[];
  readonly #sx: number;
  readonly #sy: number;
  readonly #score = new Numeral((value) => `${value}`);
  readonly #best = new Numeral((value) => `${value}`);
  readonly #clock = new Numeral((value) => `${Math.floor(value / 60)}:${`${value % 60}`.padStart(2, "0")}`);
  readonly #multiplier = new Numeral((value) => `×${value}`);
  readonly #resultLines: string[] = [];
  #resultOf = -1;

  constructor(surface: Surface, sprites: Sprites, fonts: Fonts) {
    this.#surface = surface;
    this.#sprites = sprites;
    this.#fonts = fonts;
    this.#caps = capNames.map((name) => ({ name, rect: pixelRect(capRects[name], surface) }));
    this.#sx = surface.width / field.width;
    this.#sy = surface.height / field.height;
  }

  /** `lit` has the bits of `hold` whose caps are bright. */
  draw(world: World, lit: number, nowMs: number): void {
    if (world.phase === "title") this.#drawTitle(world, nowMs);
    else this.#drawRun(world);
    if (world.phase === "paused") this.#drawPaused();
    if (world.phase === "result") this.#drawResult(world, nowMs);
    this.#drawStrip(world);
    for (const { name, rect } of this.#caps) this.#drawCap(name, rect, (lit & capHolds[name]) !== 0);
  }

  #text(font: Font, text: string, x: number, y: number, align: number, opacity?: number): void {
    font.draw(this.#surface, text, x * this.#sx, y * this.#sy, align, opacity);
  }

  #panel(x: number, y: number, width: number, height: number, opacity: number): void {
    this.#rect("tint", x, y, width, height, shade, opacity);
  }

  #rect(how: "fill" | "tint", x: number, y: number, width: number, height: number, color: Yuv, opacity = 256): void {
    const [sx, sy] = [this.#sx, this.#sy];
    if (how === "fill") this.#surface.fillRect(x * sx, y * sy, width * sx, Math.max(1, height * sy), color);
    else this.#surface.tintRect(x * sx, y * sy, width * sx, height * sy, color, opacity);
  }

  #drawTitle(world: World, nowMs: number): void {
    const { title, plain, small, loud } = this.#fonts;
    this.#text(title, "COMET RUN", 640, 112, 0.5);
    this.#rect("fill", 400, 268, 480, 3, rule);
    this.#text(small, "CATCH THE DUST · DODGE THE ROCK · TWO MINUTES", 640, 286, 0.5);
    const pulse = 150 + Math.round(106 * Math.abs(Math.sin(nowMs / 650)));
    this.#text(plain, "PRESS ANY KEY · CLICK · A", 640, 330, 0.5, pulse);
    this.#text(small, "FLY: ARROWS · WASD · MOUSE · STICK", 640, 386, 0.5);
    this.#text(small, "FIRE: SPACE · CLICK · A    PAUSE: P · START", 640, 428, 0.5);
    if (world.bestScore > 0) this.#text(loud, `BEST ${this.#best.text(world.bestScore)}`, 640, 30, 0.5);
  }

  #drawRun(world: World): void {
    const { clock, number, plain, small, loud } = this.#fonts;
    this.#text(small, "SCORE", 28, 18, 0);
    this.#text(number, this.#score.text(world.score), 28, 48, 0);
    this.#text(small, "BEST", 1252, 18, 1);
    this.#text(number, this.#best.text(Math.max(world.bestScore, world.score)), 1252, 48, 1);
    const left = Math.ceil(world.leftS);
    const urgent = left <= 10 && world.phase === "playing";
    this.#text(urgent ? loud : clock, this.#clock.text(left), 640, urgent ? 20 : 26, 0.5);
    this.#rect("fill", 540, 88, 200, 4, barBack);
    this.#rect("fill", 540, 88, (200 * world.leftS) / rules.runS, 4, rule);
    if (world.ship.overdriveS > 0 && world.phase === "playing") {
      this.#text(plain, "OVERDRIVE", 640, 108, 0.5);
      this.#rect("fill", 540, 146, (200 * world.ship.overdriveS) / rules.overdriveS, 6, barOverdrive);
    }
  }

  #drawPaused(): void {
    const { loud, plain } = this.#fonts;
    this.#panel(0, 220, field.width, 210, 190);
    this.#text(loud, "PAUSED", 640, 258, 0.5);
    this.#text(plain, "P / START / FIRE TO GO ON · R TO RESTART", 640, 362, 0.5);
  }

  #drawResult(world: World, nowMs: number): void {
    const { loud, number, plain, title, small } = this.#fonts;
    const { rank, title: rankTitle } = rankOf(world.score);
    this.#panel(300, 104, 680, 352, 205);
    this.#rect("fill", 300, 104, 680, 3, rule);
    this.#rect("fill", 300, 453, 680, 3, rule);
    this.#text(small, "RANK", 420, 130, 0.5);
    this.#text(title, rank, 420, 168, 0.5);
    this.#text(plain, rankTitle, 540, 130, 0);
    this.#text(loud, this.#score.text(world.score), 540, 172, 0);
    this.#text(plain, world.isBest ? "NEW BEST!" : `BEST ${this.#best.text(world.bestScore)}`, 540, 254, 0);
    if (this.#resultOf !== world.runS) this.#writeResult(world);
    for (let i = 0; i < this.#resultLines.length; i += 2) {
      const x = 400 + i * 80;
      this.#text(number, this.#resultLines[i + 1]!, x, 318, 0.5);
      this.#text(small, this.#resultLines[i]!, x, 362, 0.5);
    }
    if (world.resultS < rules.resultPauseS) return;
    const pulse = 150 + Math.round(106 * Math.abs(Math.sin(nowMs / 650)));
    this.#text(plain, "FIRE TO FLY AGAIN", 640, 406, 0.5, pulse);
  }

  #writeResult({ tally, runS }: World): void {
    const lines: readonly (readonly [string, number])[] = [
      ["SPARKS", tally.sparks],
      ["BEST CHAIN", tally.longestStreak],
      ["METEORS", tally.meteors],
      ["CLOSE CALLS", tally.nearMisses],
    ];
    this.#resultLines.splice(0, this.#resultLines.length, ...lines.flatMap(([label, count]) => [label, `${count}`]));
    this.#resultOf = runS;
  }

  #drawStrip(world: World): void {
    const { small, number } = this.#fonts;
    this.#text(small, "CHAIN", 500, 664, 0);
    const level = multiplier(world);
    const held = world.chain > 0 && world.phase === "playing" ? Math.max(0, world.chainLeftS / rules.chainHoldS) : 0;
    this.#rect("fill", 500, 690, 140, 12, barBack);
    this.#rect("fill", 500, 690, 140 * held, 12, barChain);
    this.#text(number, this.#multiplier.text(level), 664, 670, 0);
    this.#text(small, "SHIELDS", 1080, 679, 1);
    for (let i = 0; i < rules.shields; i++) {
      const icon = i < world.ship.shields ? this.#sprites.shieldIcon : this.#sprites.shieldIconSpent;
      this.#surface.blit(icon, (1116 + i * 50) * this.#sx, 686 * this.#sy);
    }
  }

  #drawCap(name: CapName, { x, y, width, height }: Rect, lit: boolean): void {
    const surface = this.#surface;
    const edge = Math.max(1, Math.round(2 * this.#sy));
    surface.fillRect(x, y, width, height, lit ? capBright : capEdge);
    if (!lit) surface.fillRect(x + edge, y + edge, width - 2 * edge, height - 2 * edge, capDark);
    const font = lit ? this.#fonts.capInk : this.#fonts.capLight;
    font.draw(surface, capLabels[name], x + width / 2, y + (height - font.height) / 2, 0.5);
  }
}

/** A number's text, made anew only when the number changes. */
class Numeral {
  readonly #format: (value: number) => string;
  #value = Number.NaN;
  #text = "";

  constructor(format: (value: number) => string) {
    this.#format = format;
  }

  text(value: number): string {
    if (value !== this.#value) {
      this.#value = value;
      this.#text = this.#format(value);
    }
    return this.#text;
  }
}
