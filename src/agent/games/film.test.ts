import { describe, expect, it } from "vitest";
import { Film, recordFilm } from "./film.js";
import { games } from "./games.js";

const mode = { width: 320, height: 180, fps: 60 };
const bytes = (mode.width * mode.height * 3) / 2;

describe("a film", () => {
  it("shows its frames in order, over and over, whatever the clock says, in silence", () => {
    const film = new Film(
      mode,
      [1, 2, 3].map((shade) => new Uint8Array(bytes).fill(shade)),
    );
    const picture = new Uint8Array(bytes);
    const shown = [0, 1, 2, 3, 4].map(() => {
      film.draw(picture);
      return picture[bytes - 1];
    });
    expect(shown).toEqual([1, 2, 3, 1, 2]);
    const samples = new Int16Array(8).fill(9);
    film.sound(samples);
    expect(samples.every((sample) => sample === 0)).toBe(true);
  });

  it("refuses frames of another size, and none at all", () => {
    expect(() => new Film(mode, [])).toThrow(RangeError);
    expect(() => new Film(mode, [new Uint8Array(bytes - 1)])).toThrow(/bytes/);
  });

  it("records what a source draws, each frame a picture of its own", async () => {
    const demo = await games.demo!.open({ mode, seed: 1 });
    const frames = await recordFilm(demo, 5, (frame) =>
      frame === 0 ? { kind: "key", code: "ArrowLeft", down: true } : undefined,
    );
    expect(new Set(frames.map((frame) => Buffer.from(frame).toString("latin1"))).size).toBe(5);
  });
});

describe("the table of games", () => {
  it.each(Object.keys(games))("%s opens, draws and sounds", async (gameId) => {
    const game = await games[gameId]!.open({ mode, seed: 1 });
    const picture = new Uint8Array(bytes);
    await game.draw(picture, 0);
    expect(new Set(picture).size).toBeGreaterThan(20);
    const samples = new Int16Array(960);
    game.sound(samples);
    expect(samples.some((sample) => sample !== 0)).toBe(gameId === "demo");
    await game.close();
  });

  it("draws the same whether it was prepared for that size, for another, or not at all", async () => {
    const { demo } = games;
    const first = async () => {
      const picture = new Uint8Array(bytes);
      await (await demo!.open({ mode, seed: 1 })).draw(picture, 0);
      return Buffer.from(picture);
    };
    demo!.prepare!({ width: mode.width * 2, height: mode.height * 2 });
    const unprepared = await first();
    demo!.prepare!(mode);
    expect(await first()).toEqual(unprepared);
  });
});
