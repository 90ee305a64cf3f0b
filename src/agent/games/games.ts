// The games this agent can run without anything installed, by the catalogue's game id.
import type { VideoMode } from "../../contracts/catalog.js";
import type { InputEvent } from "../../contracts/input.js";
import { DemoGame } from "./demo/demo.js";
import { Film, recordFilm } from "./film.js";
import type { GameSource } from "./game-source.js";

export interface GameOptions {
  readonly mode: VideoMode;
  readonly seed: number;
}

const filmFrames = 120;
/** The same film each time, so that what is measured by it can be compared. */
const filmSeed = 7;

/** The film's player: fires all the time and flies from side to side. */
function filmInput(frame: number): InputEvent | undefined {
  if (frame === 0) return { kind: "key", code: "Space", down: true };
  if (frame % 60 === 10) return { kind: "key", code: "ArrowLeft", down: frame % 120 === 10 };
  if (frame % 60 === 40) return { kind: "key", code: "ArrowRight", down: frame % 120 === 40 };
  return undefined;
}

export const games: Readonly<Record<string, (options: GameOptions) => Promise<GameSource>>> = {
  demo: async ({ mode, seed }) => new DemoGame(mode, seed),
  film: async ({ mode }) => new Film(mode, await recordFilm(new DemoGame(mode, filmSeed), filmFrames, filmInput)),
};
