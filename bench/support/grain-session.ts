// A session's process whose game is noise, so that an encoder fills whatever rate it is given.
import { rateSteps } from "../../src/agent/encode/rate-steps.js";
import { Film } from "../../src/agent/games/film.js";
import type { VideoMode } from "../../src/contracts/catalog.js";
import { runSessionProcess } from "./bench-session.js";

const films = 8;

/** Blocks of 4 × 4 of random brightness, another film of them each frame. */
function grain({ width, height }: VideoMode): Uint8Array[] {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return Array.from({ length: films }, () => {
    const picture = new Uint8Array((width * height * 3) / 2).fill(128);
    for (let y = 0; y < height; y += 4) {
      const row = new Uint8Array(width);
      for (let x = 0; x < width; x += 4) row.fill(100 + 60 * random(), x, x + 4);
      for (let line = 0; line < 4; line++) picture.set(row, (y + line) * width);
    }
    return picture;
  });
}

/** Resolves when it was told to stop. */
export const runGrainSession = (): Promise<void> =>
  runSessionProcess({
    games: {
      prepare() {},
      missing: async () => ({}),
      open: async (_seat, mode) => new Film(mode, grain(mode)),
    },
    // As with the presets, half of the most is what the picture is worth at least: below that it steps down.
    steps: (mode, kbpsMin) => rateSteps(mode, kbpsMin / 2),
    cores: 2,
  });
