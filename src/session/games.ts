// The catalogue of games, as the orchestrator has it, remembered for a few seconds: the page asks for it at every visit.
import type { GameSummary, PresetId } from "../contracts/catalog.js";
import { orchestratorRoutes } from "../contracts/orchestrator.js";
import { Problem } from "../contracts/problems.js";
import type { RouteClient } from "../platform/client.js";
import type { Clock } from "../platform/clock.js";

// A game need not be listed to be played; whether there is one, the orchestrator says when it is asked for a seat.
const unlistedPreset: PresetId = "default-standard";

export class Games {
  /** Null: never read. */
  #games: readonly GameSummary[] | null = null;
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly orchestrator: RouteClient,
    private readonly clock: Clock,
    private readonly cacheMs: number,
  ) {}

  async list(): Promise<readonly GameSummary[]> {
    if (this.#games !== null && this.clock.now() - this.#readAt < this.cacheMs) return this.#games;
    const { body } = await this.orchestrator.call(orchestratorRoutes.games);
    this.#games = body.games;
    this.#readAt = this.clock.now();
    return this.#games;
  }

  /**
   * The preset a session runs at: the one its creator names, else the game's. While the orchestrator is away what was
   * read last counts: it is asked for a seat next anyway.
   * @throws Problem game-unavailable when no machine can run it
   */
  async presetFor({ gameId, presetId }: { gameId: string; presetId?: PresetId | undefined }): Promise<PresetId> {
    const games = await this.list().catch((error: unknown) => {
      if (presetId === undefined && this.#games === null) throw error;
      return this.#games ?? [];
    });
    const game = games.find((game) => game.gameId === gameId);
    if (game?.unavailable) throw new Problem("game-unavailable", `${game.title}: ${game.unavailable}.`);
    return presetId ?? game?.presetId ?? unlistedPreset;
  }
}
