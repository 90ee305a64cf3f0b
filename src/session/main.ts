// The session role: owns sessions, follows the orchestrator. Any number of replicas may run on one database.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import * as z from "zod";
import { anyOf, createClient, type RouteClient } from "../platform/client.js";
import type { Clock } from "../platform/clock.js";
import type { Database } from "../platform/database.js";
import type { HttpServer } from "../platform/http.js";
import { Answers } from "../platform/idempotency.js";
import type { Registry } from "../platform/metrics.js";
import { migrate } from "../platform/migrations.js";
import { migratePlatform } from "../platform/platform-schema.js";
import { Quotas, tenantsConfig } from "../platform/quotas.js";
import { sessionLimits } from "./deadlines.js";
import { SessionFeed } from "./feed.js";
import { follow } from "./follower.js";
import { Games } from "./games.js";
import { serveSessions } from "./http/routes.js";
import { SessionMetrics } from "./metrics.js";
import { Renewals } from "./renewals.js";
import { SessionService } from "./service.js";
import { changedChannel, SessionStore } from "./session-store.js";
import { sweep } from "./sweeper.js";

// Of one call, less than a stopping process is given. Streaming nodes that are silent take as long each, one after the
// other: one limit for all would be used up by the first.
const callMsMax = 4_000;

export const sessionConfig = z.strictObject({
  ...sessionLimits.shape,
  sweepMs: z.number().int().min(10).default(500).describe("How often the limits are looked at"),
  gamesCacheMs: z.number().int().min(0).default(10_000),
  tenants: tenantsConfig,
});
export type SessionConfig = z.infer<typeof sessionConfig>;

export interface SessionDeps {
  readonly config: SessionConfig;
  readonly database: Database;
  /** Asked at each use, since a port may be known only once it is taken. */
  readonly orchestratorUrl: () => string;
  /** One or more streaming nodes. */
  readonly streamingUrls: () => readonly string[];
  readonly serviceKey: string;
  readonly registry: Registry;
  readonly clock: Clock;
  /** In [0, 1): jitter. */
  readonly random: () => number;
}

/** Migrates, registers the role's routes, and once the server listens sweeps and follows, until disposed. */
export async function mountSession(server: HttpServer, deps: SessionDeps): Promise<AsyncDisposable> {
  const { config, database, orchestratorUrl, streamingUrls, serviceKey, registry, clock, random } = deps;
  const log = server.log.child({ role: "session" });
  await migratePlatform(database, log);
  await migrate(database, { schema: "session", directory: join(import.meta.dirname, "migrations"), log });

  const store = new SessionStore(database);
  const clientOf = (baseUrl: string): RouteClient =>
    createClient({ baseUrl, bearer: serviceKey, timeoutMs: callMsMax });
  const orchestrator: RouteClient = { call: (route, request) => clientOf(orchestratorUrl()).call(route, request) };
  const streaming = anyOf(() => streamingUrls().map(clientOf), random);
  const games = new Games(orchestrator, clock, config.gamesCacheMs);
  const quotas = new Quotas(config.tenants);
  const metrics = new SessionMetrics({ registry, store, quotas, log });
  const service = new SessionService({
    store,
    orchestrator,
    streaming,
    games,
    quotas,
    metrics,
    limits: config,
    clock,
    newSessionId: (from) => `s_${from ?? randomBytes(15).toString("base64url")}`,
    log,
  });
  const feed = new SessionFeed(store);
  const renewals = new Renewals(orchestrator);
  serveSessions({ ...server, answers: new Answers(database, clock, log) }, { service, renewals, feed, games });

  const stop = new AbortController();
  const running = new Set<Promise<void>>();
  const run = (work: Promise<void>) => {
    const settled = work.finally(() => running.delete(settled));
    running.add(settled);
  };
  const tell = async (sessionId: string) => {
    try {
      await feed.changed(sessionId);
    } catch (error) {
      log.warn({ err: error }, "a change could not be told: the feed's readers read again");
      feed.gap();
    }
  };
  let listening: AsyncDisposable | undefined;
  await new Promise<void>((heard) => {
    listening = database.listen(changedChannel, (notice) => {
      if (notice.kind === "notified") run(tell(notice.payload));
      else {
        feed.gap();
        heard();
      }
    });
  });
  server.onceListening.push(async () => {
    run(sweep({ store, service, renewals, limits: config, sweepMs: config.sweepMs, clock, log }, stop.signal));
    run(follow({ store, service, metrics, orchestratorUrl, serviceKey, clock, random, log }, stop.signal));
  });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await listening?.[Symbol.asyncDispose]();
      await Promise.all(running);
    },
  };
}
