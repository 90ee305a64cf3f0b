// How a session's process comes by its game: one of the agent's own, or a program of the catalogue.
import type { GameProgram, VideoMode } from "../../contracts/catalog.js";
import type { SeatSpec } from "../../contracts/orchestrator.js";
import type { GameSource } from "./game-source.js";
import { games } from "./games.js";
import { missingPrograms } from "./x11/missing-programs.js";
import { X11Game } from "./x11/x11-game.js";

export interface GameOpener {
  /** @throws when the game cannot run here, in words. */
  open(seat: Pick<SeatSpec, "gameId" | "title" | "program">, mode: VideoMode): Promise<GameSource>;
  /** Does ahead what can be done for the next `open` of this game. */
  prepare(gameId: string, mode: VideoMode): void;
  /** Which of the programs cannot run here, and why. */
  missing(programs: readonly GameProgram[]): Promise<Record<string, string>>;
}

/** `inRoom`: this process has a room of its own (supervisor/room.ts); programs are refused without. */
export function openerOfGames(options: { inRoom: boolean; seed: number; random: () => number }): GameOpener {
  const { inRoom, seed, random } = options;
  const ownGame = (gameId: string) => (Object.hasOwn(games, gameId) ? games[gameId] : undefined);
  return {
    open: async ({ gameId, title, program }, mode) => {
      if (program === undefined) {
        const game = ownGame(gameId);
        if (game === undefined) throw new Error(`this agent has no game "${gameId}"`);
        return game.open({ mode, seed });
      }
      if (!inRoom) throw new Error(`${title} cannot run here: its process has no room of its own`);
      return X11Game.open({ title, program, mode, random });
    },
    prepare: (gameId, mode) => ownGame(gameId)?.prepare?.(mode),
    missing: missingPrograms,
  };
}
