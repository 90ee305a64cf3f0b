// The games this agent can run without anything installed, by the catalogue's game id.
import type { VideoMode } from "../../contracts/catalog.js";
import type { GameInput } from "../../contracts/input.js";
import { type DemoArt, DemoGame, paintArt } from "./demo/demo.js";
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
function filmInput(frame: number): GameInput | undefined {
  if (frame === 0) return { kind: "key", code: "Space", down: true };
  if (frame % 60 === 10) return { kind: "key", code: "ArrowLeft", down: frame % 120 === 10 };
  if (frame % 60 === 40) return { kind: "key", code: "ArrowRight", down: frame % 120 === 40 };
  return undefined;
}

export interface Game {
  open(options: GameOptions): Promise<GameSource>;
  /** Does ahead, for the next `open` at this size, what takes longer than a player likes to wait. */
  prepare?(size: Pick<VideoMode, "width" | "height">): void;
}

/** Its art is painted for one size, and takes a second to paint. */
class Demo implements Game {
  #art: DemoArt | null = null;

  prepare({ width, height }: Pick<VideoMode, "width" | "height">): void {
    if (this.#art?.width !== width || this.#art.height !== height) this.#art = paintArt(width, height);
  }

  async open({ mode, seed }: GameOptions): Promise<GameSource> {
    this.prepare(mode);
    return new DemoGame(mode, seed, this.#art!);
  }
}

const film: Game = {
  async open({ mode }) {
    const demo = new DemoGame(mode, filmSeed, paintArt(mode.width, mode.height));
    return new Film(mode, await recordFilm(demo, filmFrames, filmInput));
  },
};

export const games: Readonly<Record<string, Game>> = { demo: new Demo(), film };
