// Says to the orchestrator whom somebody waits for: players at their sockets (the streaming role reports them every 20 s)
// and integrators who read their session. A session in the queue that nobody waits for is let go there, so a closed page
// leaves the queue by itself.
//
// In memory: what is lost with this process is said again. Bounded; past it the ones that come are not taken.
import { orchestratorRoutes, renewalsMax } from "../contracts/orchestrator.js";
import type { RouteClient } from "../platform/client.js";

const sessionsMax = 20_000;

export class Renewals {
  readonly #awaited = new Set<string>();

  constructor(private readonly orchestrator: RouteClient) {}

  awaited(sessionIds: readonly string[]): void {
    for (const sessionId of sessionIds) if (this.#awaited.size < sessionsMax) this.#awaited.add(sessionId);
  }

  /** Those that could not be said are said the next time. @throws Problem unavailable */
  async say(): Promise<void> {
    while (this.#awaited.size > 0) {
      const sessionIds = [...this.#awaited].slice(0, renewalsMax);
      await this.orchestrator.call(orchestratorRoutes.renewPlacements, { body: { sessionIds } });
      for (const sessionId of sessionIds) this.#awaited.delete(sessionId);
    }
  }
}
