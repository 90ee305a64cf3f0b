// The catalogue of games, as the orchestrator has it, remembered for a few seconds: the page asks for it at every visit.
import type { GameSummary, PresetId } from "../contracts/catalog.js";
import { orchestratorRoutes } from "../contracts/orchestrator.js";
import { Problem } from "../contracts/problems.js";
import type { RouteClient } from "../platform/client.js";
import type { Clock } from "../platform/clock.js";

// A game need not be listed to be played; whether there is one, the orchestrator says when it is asked for a seat.
const unlistedPreset: PresetId = "default-standard";

export class Games {
  #games: readonly GameSummary[] = [];
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly orchestrator: RouteClient,
    private readonly clock: Clock,
    private readonly cacheMs: number,
  ) {}

  async list(): Promise<readonly GameSummary[]> {
    if (this.clock.now() - this.#readAt >= this.cacheMs) {
      const { body } = await this.orchestrator.call(orchestratorRoutes.games);
      this.#games = body.games;
      this.#readAt = this.clock.now();
    }
    return this.#games;
  }

  /**
   * The preset a session of the game runs at when its creator names none.
   * @throws Problem game-unavailable when no machine can run it
   */
  async presetOf(gameId: string): Promise<PresetId> {
    const game = (await this.list()).find((game) => game.gameId === gameId);
    if (game?.unavailable) throw new Problem("game-unavailable", `${game.title}: ${game.unavailable}.`);
    return game?.presetId ?? unlistedPreset;
  }
}
