// Gathers how long seats were held until it is written down (store.ts, `learnSeatTimes`): beside the commits that give
// them back, which would wait for each other at a game's row. What is lost with this process is learnt from the next ones.
import type { SeatTimes } from "../store.js";

export class GatheredTimes {
  readonly #games = new Map<string, SeatTimes>();

  add(times: readonly SeatTimes[]): void {
    for (const { gameId, seats, averageMs } of times) {
      const known = this.#games.get(gameId) ?? { gameId, seats: 0, averageMs: 0 };
      const sum = known.seats + seats;
      const mean = (known.averageMs * known.seats + averageMs * seats) / sum;
      this.#games.set(gameId, { gameId, seats: sum, averageMs: mean });
    }
  }

  take(): SeatTimes[] {
    const times = [...this.#games.values()];
    this.#games.clear();
    return times;
  }
}
