// Follows the orchestrator's feed. An event is a hint to look, the placement is the truth: so events may come twice,
// late or out of order, and several replicas may follow at once.
//
// The cursor is stored at most once a second: after a crash a second of hints comes again. Every (re)connection makes
// all live sessions due for a comparison, which covers whatever a gap may have swallowed.
import { setTimeout as sleep } from "node:timers/promises";
import { vmEvent } from "../contracts/events.js";
import { orchestratorRoutes } from "../contracts/orchestrator.js";
import { readAs } from "../contracts/read-as.js";
import { backoffMs, type Clock } from "../platform/clock.js";
import type { Log } from "../platform/log.js";
import { readFeed } from "../platform/sse.js";
import { isOver } from "./lifecycle.js";
import type { SessionMetrics } from "./metrics.js";
import type { SessionService } from "./service.js";
import type { SessionStore } from "./session-store.js";

const feedName = "orchestrator";
const cursorSaveMs = 1_000;

export interface FollowerDeps {
  readonly store: SessionStore;
  readonly service: SessionService;
  readonly metrics: Pick<SessionMetrics, "feedIs">;
  readonly orchestratorUrl: () => string;
  readonly serviceKey: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

/** Follows until `signal` fires. */
export async function follow(deps: FollowerDeps, signal: AbortSignal): Promise<void> {
  const { metrics, random, log } = deps;
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      await followOnce(deps, signal, () => {
        attempt = 0;
        metrics.feedIs(true);
      });
    } catch (error) {
      if (signal.aborted) return;
      log.warn({ err: error, attempt }, "the orchestrator's feed broke");
    }
    metrics.feedIs(false);
    await sleep(backoffMs(attempt, random()), undefined, { signal }).catch(() => undefined);
  }
}

async function followOnce(deps: FollowerDeps, signal: AbortSignal, onOpen: () => void): Promise<void> {
  const { store, clock, orchestratorUrl, serviceKey } = deps;
  const broken = new AbortController();
  let checked: Promise<void> | undefined;
  const feed = readFeed({
    url: new URL(orchestratorRoutes.events.path, orchestratorUrl()).href,
    bearer: serviceKey,
    lastEventId: (await store.readCursor(feedName)) ?? undefined,
    signal: AbortSignal.any([signal, broken.signal]),
    onOpen: () => {
      onOpen();
      checked = store.checkAll(clock.now()).catch((error: unknown) => broken.abort(error));
    },
  });
  let unsaved: string | null = null;
  let savedAt = clock.now();
  try {
    for await (const { id, data } of feed) {
      await look(deps, data);
      unsaved = id;
      if (clock.now() - savedAt < cursorSaveMs) continue;
      await store.saveCursor(feedName, id);
      savedAt = clock.now();
      unsaved = null;
    }
    broken.signal.throwIfAborted();
  } finally {
    await checked;
    if (unsaved !== null) await store.saveCursor(feedName, unsaved);
  }
}

async function look({ store, service, log }: FollowerDeps, data: unknown): Promise<void> {
  const event = readAs(vmEvent, data);
  if (!event.success) return log.warn({ err: event.error }, "an event of unknown form is passed over");
  if (event.data.type !== "SessionAssigned" && event.data.type !== "SessionReleased") return;
  const { sessionId, vmId } = event.data.data;
  const session = await store.get(sessionId);
  if (session === null || isOver(session.status)) return;
  const known = event.data.type === "SessionAssigned" && session.seat?.vmId === vmId;
  if (!known) await service.reconcile(sessionId);
}
