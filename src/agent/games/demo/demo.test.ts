import { describe, expect, it } from "vitest";
import type { VideoMode } from "../../../contracts/catalog.js";
import type { GameInput, KeyCode } from "../../../contracts/input.js";
import type { Rumble } from "../../../contracts/rumble.js";
import { DemoGame, paintArt } from "./demo.js";
import { type CapName, capNames, capRects, isShipPixel, pixelRect } from "./layout.js";

const small: VideoMode = { width: 320, height: 180, fps: 60 };
const key = (code: KeyCode, down: boolean): GameInput => ({ kind: "key", code, down });

/** A game at a synthetic clock of its mode's rate, and what can be read off its picture. */
class Screen {
  readonly game: DemoGame;
  readonly picture: Uint8Array;
  #nowMs = 1000;

  constructor(readonly mode: VideoMode = small) {
    this.game = new DemoGame(mode, 5, paintArt(mode.width, mode.height));
    this.picture = new Uint8Array((mode.width * mode.height * 3) / 2);
    this.show(1);
  }

  show(frames: number): this {
    for (let i = 0; i < frames; i++) {
      this.#nowMs += 1000 / this.mode.fps;
      this.game.draw(this.picture, this.#nowMs);
    }
    return this;
  }

  input(...events: GameInput[]): this {
    for (const event of events) this.game.input(event);
    return this;
  }

  /** Where the ship's pixels are, how far apart at most, and how much of the picture they are. */
  ship() {
    const { width, height } = this.mode;
    const halfWidth = width / 2;
    let [count, sumX, sumY, left, right] = [0, 0, 0, width, 0];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const chroma = (y >> 1) * halfWidth + (x >> 1);
        const luma = ((this.picture[y * width + x]! - 16) * 255) / 219;
        const u = ((this.picture[width * height + chroma]! - 128) * 255) / 224;
        const v = ((this.picture[(width * height * 5) / 4 + chroma]! - 128) * 255) / 224;
        const clip = (code: number) => Math.max(0, Math.min(255, code));
        if (!isShipPixel(clip(luma + 1.5748 * v), clip(luma - 0.1873 * u - 0.4681 * v), clip(luma + 1.8556 * u)))
          continue;
        count++;
        sumX += x;
        sumY += y;
        left = Math.min(left, x);
        right = Math.max(right, x);
      }
    }
    const share = count / (width * height);
    return { x: sumX / count / width, y: sumY / count / height, share, spread: (right - left) / width };
  }

  /** A cap's mean luma. */
  cap(name: CapName): number {
    const { x, y, width, height } = pixelRect(capRects[name], this.mode);
    let sum = 0;
    for (let row = y; row < y + height; row++) {
      for (let column = x; column < x + width; column++) sum += this.picture[row * this.mode.width + column]!;
    }
    return sum / (width * height);
  }

  litCaps(): CapName[] {
    return capNames.filter((name) => this.cap(name) > 130);
  }
}

describe("a hit", () => {
  it("is felt in the gamepad that was touched last, and nothing else is", () => {
    const screen = new Screen();
    const felt: Rumble[] = [];
    screen.game.onRumble((rumble) => felt.push(rumble));
    const still = { leftTrigger: 0, rightTrigger: 0, axes: [0, 0, 0, 0] } as const;
    screen.input(
      { kind: "gamepad", index: 2, buttons: 8, ...still },
      { kind: "gamepad", index: 3, buttons: 0, ...still },
    );
    screen.show(30);
    expect(felt).toEqual([]);
    const { ship, meteors } = screen.game.world;
    Object.assign(meteors[0]!, { alive: true, x: ship.x, y: ship.y, vx: 0, vy: 0, size: 1, hits: 1, passed: false });
    screen.show(1);
    expect(felt).toEqual([{ index: 2, strong: 0.5, weak: 0.35, durationMs: 180 }]);
  });
});

describe("the ship", () => {
  it.each([
    [320, 180],
    [640, 360],
    [854, 480],
    [1280, 720],
  ])("is the only thing of its hue, and at least 1.2 percent of the picture, at %i×%i", (width, height) => {
    const screen = new Screen({ width, height, fps: 60 });
    const title = screen.ship();
    screen.input(key("Space", true)).show(150);
    const run = screen.ship();
    for (const { share, spread } of [title, run]) {
      expect(share).toBeGreaterThan(0.012);
      expect(spread).toBeLessThan(0.2);
    }
  });

  it("stays the only thing of its hue through a whole run, results and restart", () => {
    const screen = new Screen();
    screen.input(key("Space", true));
    for (let part = 0; part < 42; part++) {
      screen.input(key("ArrowLeft", part % 4 === 0), key("ArrowRight", part % 4 === 2)).show(180);
      const { spread, share } = screen.ship();
      expect(spread).toBeLessThan(0.2);
      expect(share).toBeGreaterThan(0.012);
    }
    expect(screen.game.world.phase).toBe("result");
  });

  it("moves left and right with its keys, from the very first press", () => {
    for (const [code, way] of [
      ["ArrowLeft", -1],
      ["ArrowRight", 1],
    ] as const) {
      const screen = new Screen();
      const before = screen.ship().x;
      screen.input(key(code, true)).show(12);
      expect((screen.ship().x - before) * way).toBeGreaterThan(0.05);
    }
  });

  it("is already on its way one frame after the key", () => {
    const screen = new Screen({ width: 1280, height: 720, fps: 60 });
    const before = screen.ship().x;
    screen.input(key("ArrowRight", true)).show(1);
    expect(screen.ship().x - before).toBeGreaterThan(1 / 1280);
  });

  it("moves up and down, by the stick, and by the mouse either way", () => {
    const moves: [GameInput, "x" | "y", number][] = [
      [key("ArrowUp", true), "y", -1],
      [{ kind: "mouse-move", dx: 90, dy: 0 }, "x", 1],
      [{ kind: "mouse-position", x: 0.2, y: 0.5 }, "x", -1],
      [{ kind: "gamepad", index: 0, buttons: 0, leftTrigger: 0, rightTrigger: 0, axes: [1, 0, 0, 0] }, "x", 1],
    ];
    for (const [event, axis, way] of moves) {
      const screen = new Screen();
      const before = screen.ship()[axis];
      screen.input(event).show(15);
      expect((screen.ship()[axis] - before) * way).toBeGreaterThan(0.03);
    }
  });

  it("stays where it is when no key is held, on the title and in a run", () => {
    const screen = new Screen();
    const title = screen.ship();
    screen.show(120);
    expect(Math.abs(screen.ship().x - title.x)).toBeLessThan(0.004);
    screen.input(key("KeyQ", true), key("KeyQ", false)).show(30);
    const run = screen.ship();
    screen.show(90);
    expect(Math.abs(screen.ship().x - run.x)).toBeLessThan(0.004);
    expect(Math.abs(run.x - title.x)).toBeLessThan(0.004);
  });

  it("stops when everything held is released at once", () => {
    const screen = new Screen().input(key("ArrowLeft", true)).show(8).input({ kind: "reset" }).show(12);
    const before = screen.ship().x;
    expect(Math.abs(screen.show(20).ship().x - before)).toBeLessThan(0.004);
    expect(screen.litCaps()).toEqual([]);
  });
});

describe("the legend", () => {
  it("has caps of at least 24×24 pixels at 720p, inside the picture at every size", () => {
    for (const name of capNames) {
      const { width, height } = pixelRect(capRects[name], { width: 1280, height: 720 });
      expect(Math.min(width, height)).toBeGreaterThanOrEqual(24);
      const { x, y, ...tiny } = pixelRect(capRects[name], small);
      expect(x + tiny.width <= small.width && y + tiny.height <= small.height).toBe(true);
    }
  });

  it.each([
    ["left", key("ArrowLeft", true), key("ArrowLeft", false)],
    ["right", key("KeyD", true), key("KeyD", false)],
    ["up", key("ArrowUp", true), key("ArrowUp", false)],
    ["down", key("KeyS", true), key("KeyS", false)],
    ["fire", key("Space", true), key("Space", false)],
    ["fire", { kind: "mouse-button", button: 0, down: true }, { kind: "mouse-button", button: 0, down: false }],
    [
      "left",
      { kind: "gamepad", index: 1, buttons: 1 << 14, leftTrigger: 0, rightTrigger: 0, axes: [0, 0, 0, 0] },
      { kind: "gamepad", index: 1, buttons: 0, leftTrigger: 0, rightTrigger: 0, axes: [0, 0, 0, 0] },
    ],
  ] as [CapName, GameInput, GameInput][])("turns %s bright on the next frame and dark again", (name, down, up) => {
    const screen = new Screen();
    const dark = screen.cap(name);
    expect(screen.litCaps()).toEqual([]);
    screen.input(down).show(1);
    expect(screen.litCaps()).toEqual([name]);
    expect(screen.cap(name) - dark).toBeGreaterThan(100);
    screen.input(up).show(1);
    expect(screen.litCaps()).toEqual([]);
  });

  it("answers on the next frame at 240 frames a second too, also to a tap shorter than a frame", () => {
    const screen = new Screen({ ...small, fps: 240 });
    for (let i = 0; i < 20; i++) {
      screen.input(key("Space", true), key("Space", false)).show(1);
      expect(screen.litCaps()).toEqual(["fire"]);
      screen.show(3);
      expect(screen.litCaps()).toEqual([]);
    }
  });

  it("shows the way the mouse moves", () => {
    expect(new Screen().input({ kind: "mouse-move", dx: -5, dy: 0 }).show(1).litCaps()).toEqual(["left"]);
  });
});

describe("the game", () => {
  it("draws the same pictures for the same seed, inputs and times", () => {
    const [one, other] = [new Screen(), new Screen()];
    for (const screen of [one, other]) screen.input(key("Space", true)).show(60).input(key("KeyA", true)).show(60);
    expect(Buffer.compare(one.picture, other.picture)).toBe(0);
  });

  it("draws every even size, also ones that are not 16:9", () => {
    for (const [width, height] of [
      [320, 200],
      [480, 640],
      [322, 182],
    ] as const) {
      const screen = new Screen({ width, height, fps: 30 });
      expect(screen.input(key("Space", true)).show(30).litCaps()).toEqual(["fire"]);
    }
  });

  it("survives a clock that stands still, jumps ahead or runs backwards", () => {
    const { game, picture } = new Screen();
    for (const nowMs of [1000, 1000, 90_000, 500, 501]) game.draw(picture, nowMs);
    expect(game.world.ship.x).toBe(640);
  });
});
