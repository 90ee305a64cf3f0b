// Comet Run: the demo game, drawn in this process straight into I420, so that a frame costs a millisecond or two and no
// conversion. This file is the shell: it turns the frame clock into fixed steps, and lets the world, its effects, its
// picture and its sound each see what happened.
//
// Guarantees: a control pressed before a `draw` lights its key cap in that very frame, and the ship answers at the next
// step, 1/240 s later at most. The same seed, inputs and times draw the same pictures.
import type { VideoMode } from "../../../contracts/catalog.js";
import type { GameInput } from "../../../contracts/input.js";
import type { Rumble } from "../../../contracts/rumble.js";
import type { GameSource } from "../game-source.js";
import { paintBackground } from "./background.js";
import { ControlState, hold } from "./controls.js";
import { advanceEffects, createEffects, type Effects, showEvent } from "./effects.js";
import { Hud, makeFonts } from "./hud.js";
import { field } from "./layout.js";
import { drawScene, type Stage } from "./scene.js";
import { Synthesiser } from "./sound.js";
import { paintSprites, type Sprites } from "./sprites.js";
import { type Emit, step, stepsPerSecond, type WorldEventKind } from "./step.js";
import { Surface } from "./surface.js";
import { createWorld, heat, type World } from "./world.js";

/** After a longer silence of the frame clock the game goes on from where it was, not from where it would be. */
const catchUpMsMax = 250;
/** Mouse motion is over as soon as it is felt: its cap stays lit this long. */
const motionLitMs = 120;
const steerDeadZone = 6;
const stepMs = 1000 / stepsPerSecond;
/** What the pilot feels: only what hurts. A loop of small effects is noise in the hands. */
const felts: Partial<Record<WorldEventKind, Omit<Rumble, "index">>> = {
  hit: { strong: 0.5, weak: 0.35, durationMs: 180 },
  breach: { strong: 1, weak: 0.7, durationMs: 420 },
};

/** What is painted once for a size, and only read afterwards. */
export interface DemoArt {
  readonly width: number;
  readonly height: number;
  readonly sprites: Sprites;
  readonly background: Uint8Array;
  readonly fonts: ReturnType<typeof makeFonts>;
}

/** Takes a second at 720p in a process that has just started. */
export function paintArt(width: number, height: number): DemoArt {
  const scale = Math.min(width / field.width, height / field.height);
  return {
    width,
    height,
    sprites: paintSprites(scale),
    background: paintBackground(width, height),
    fonts: makeFonts(scale),
  };
}

export class DemoGame implements GameSource {
  readonly mode: VideoMode;
  /** Nobody ends the demo but the player, by leaving. */
  readonly exited = new Promise<string>(() => {});
  readonly world: World;
  readonly #effects: Effects;
  readonly #controls = new ControlState();
  readonly #stage: Stage;
  readonly #hud: Hud;
  readonly #synthesiser: Synthesiser;
  readonly #emit: Emit;
  #feel: (rumble: Rumble) => void = () => {};
  #lastMs = Number.NaN;
  #owedMs = 0;
  #motionLit = 0;
  #motionLitUntilMs = 0;

  constructor(mode: VideoMode, seed: number, art: DemoArt) {
    this.mode = mode;
    this.world = createWorld(seed);
    this.#effects = createEffects(seed);
    this.#synthesiser = new Synthesiser(seed);
    const surface = new Surface(mode.width, mode.height);
    const { sprites, background, fonts } = art;
    this.#stage = { surface, sprites, background, words: fonts };
    this.#hud = new Hud(surface, sprites, fonts);
    this.#emit = (kind, x, y, amount) => {
      showEvent(this.#effects, kind, x, y, amount);
      this.#synthesiser.play(kind, amount, x / field.width);
      const felt = felts[kind];
      if (felt !== undefined) this.#feel({ index: this.#controls.padUsed, ...felt });
    };
  }

  input(event: GameInput): void {
    this.#controls.apply(event);
  }

  draw(picture: Uint8Array, nowMs: number): void {
    const lit = this.#lit(nowMs);
    this.#advance(nowMs);
    const lead = this.world.phase === "paused" ? 0 : this.#owedMs / 1000;
    drawScene(this.#stage, this.world, this.#effects, lead, nowMs);
    this.#hud.draw(this.world, lit, nowMs);
    this.#stage.surface.copyTo(picture);
  }

  sound(samples: Int16Array): void {
    this.#synthesiser.render(samples);
  }

  onRumble(feel: (rumble: Rumble) => void): void {
    this.#feel = feel;
  }

  async close(): Promise<void> {}

  #advance(nowMs: number): void {
    const elapsedMs = Number.isNaN(this.#lastMs) ? 0 : Math.min(catchUpMsMax, Math.max(0, nowMs - this.#lastMs));
    this.#lastMs = nowMs;
    this.#owedMs += elapsedMs;
    while (this.#owedMs >= stepMs) {
      this.#owedMs -= stepMs;
      step(this.world, this.#controls.controls, this.#emit);
      this.#controls.consume();
    }
    const { phase, leftS } = this.world;
    if (phase !== "paused") advanceEffects(this.#effects, elapsedMs / 1000, this.world.scroll);
    this.#synthesiser.setMood(phase, phase === "playing" && leftS < 15 ? 1 : heat(this.world));
  }

  /** Which caps are bright in this frame. Mouse motion has no key to hold: it lights the caps of its direction. */
  #lit(nowMs: number): number {
    const { held, glideX, glideY, steerX } = this.#controls.controls;
    const steer = Number.isNaN(steerX) ? 0 : steerX - this.world.ship.x;
    const x = glideX + (Math.abs(steer) > steerDeadZone ? steer : 0);
    const motion = (x < 0 ? hold.left : x > 0 ? hold.right : 0) | (glideY < 0 ? hold.up : glideY > 0 ? hold.down : 0);
    if (motion !== 0) {
      this.#motionLit = motion;
      this.#motionLitUntilMs = nowMs + motionLitMs;
    } else if (nowMs >= this.#motionLitUntilMs) this.#motionLit = 0;
    return held | this.#motionLit;
  }
}
