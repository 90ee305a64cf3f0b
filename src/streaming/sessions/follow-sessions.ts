// Follows the session service's feed, so that waiting players see their place in the queue move and ends arrive.
//
// The feed is not durable: each time it opens, `onOpen` tells the owner to read its open sessions again.
import { setTimeout as sleep } from "node:timers/promises";
import { readAs } from "../../contracts/read-as.js";
import { type Session, session, sessionRoutes } from "../../contracts/session.js";
import { backoffMs } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import { readFeed } from "../../platform/sse.js";

export interface FollowSessionsDeps {
  readonly sessionUrl: () => string;
  readonly serviceKey: string;
  readonly random: () => number;
  readonly log: Log;
  onOpen(): void;
  onBroken(): void;
  onSession(session: Session): void;
}

/** Follows until `signal` fires. */
export async function followSessions(deps: FollowSessionsDeps, signal: AbortSignal): Promise<void> {
  const { sessionUrl, serviceKey, random, log, onOpen, onBroken, onSession } = deps;
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      const feed = readFeed({
        url: new URL(sessionRoutes.sessionEvents.path, sessionUrl()).href,
        bearer: serviceKey,
        signal,
        onOpen: () => {
          attempt = 0;
          onOpen();
        },
      });
      for await (const { data } of feed) {
        const changed = readAs(session, data);
        if (changed.success) onSession(changed.data);
        else log.warn({ err: changed.error }, "a session of unknown form is passed over");
      }
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error, attempt }, "the session service's feed broke");
    }
    onBroken();
    await sleep(backoffMs(attempt, random()), undefined, { signal }).catch(() => undefined);
  }
}
