// Tells the session service which sessions players wait for here, so that they keep their places in the queue. What does
// not arrive is said again the next time: a place is kept for several of them.
import { renewalsMax } from "../../contracts/orchestrator.js";
import { sessionRoutes } from "../../contracts/session.js";
import type { RouteClient } from "../../platform/client.js";
import type { Log } from "../../platform/log.js";

export async function renewAwaited(
  { sessions, log }: { sessions: RouteClient; log: Log },
  awaited: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  try {
    for (let from = 0; from < awaited.length; from += renewalsMax) {
      const sessionIds = awaited.slice(from, from + renewalsMax);
      await sessions.call(sessionRoutes.renewSessions, { body: { sessionIds }, signal });
    }
  } catch (error) {
    if (!signal.aborted) log.warn({ err: error }, "sessions that players wait for could not be renewed yet");
  }
}
