// The session and streaming roles for real (PostgreSQL, HTTP, WebSockets), each on its own server, beside an
// orchestrator (a map, or the real one) and agents of the test's.
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import type { z } from "zod";
import { orchestratorRoutes } from "../../src/contracts/orchestrator.js";
import { type Session, sessionRoutes, session as sessionSchema } from "../../src/contracts/session.js";
import { type Hello, toPlayer } from "../../src/contracts/signalling.js";
import { mountOrchestrator, orchestratorConfig } from "../../src/orchestrator/main.js";
import { Authenticator } from "../../src/platform/auth.js";
import { createClient, type RouteClient } from "../../src/platform/client.js";
import { systemClock } from "../../src/platform/clock.js";
import { openDatabase } from "../../src/platform/database.js";
import { startEmbeddedPostgres } from "../../src/platform/embedded-postgres.js";
import { createRegistry } from "../../src/platform/metrics.js";
import { addKey, ensureSecrets, loadSecrets, mintKey, plainKey } from "../../src/platform/secrets.js";
import { readFeed } from "../../src/platform/sse.js";
import { mountSession, sessionConfig } from "../../src/session/main.js";
import { mountStreaming, streamingConfig } from "../../src/streaming/main.js";
import { MapOrchestrator } from "./session-map-orchestrator.js";
import { listening, log, newServer } from "./session-servers.js";
import { Line, type PlayerLine, TestAgent } from "./streaming-ends.js";

/** A folder, a database and the keys: made once for a file of tests. */
export async function openGround() {
  const folder = await mkdtemp(join(tmpdir(), "hotseat-session-"));
  const postgres = await startEmbeddedPostgres({ dataDir: join(folder, "database"), log });
  const secretsPath = join(folder, "secrets.json");
  await ensureSecrets(secretsPath);
  const other = mintKey("session", "other", "another-tenant");
  await addKey(secretsPath, other);
  const secrets = await loadSecrets(secretsPath);
  return {
    folder,
    secretsPath,
    url: postgres.url,
    secrets,
    otherTenantKey: other.key,
    async [Symbol.asyncDispose]() {
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
export type Ground = Awaited<ReturnType<typeof openGround>>;

/** Sessions as their feed tells them. */
export class Watcher implements AsyncDisposable {
  readonly #newest = new Map<string, Session>();
  readonly #stop = new AbortController();
  #wake: (() => void)[] = [];
  readonly #reading: Promise<void>;

  constructor(baseUrl: string, bearer: string, onOpen: () => void) {
    this.#reading = this.#read(baseUrl, bearer, onOpen);
  }

  async until(sessionId: string, status: Session["status"], also: (session: Session) => boolean = () => true) {
    for (;;) {
      const session = this.#newest.get(sessionId);
      if (session?.status === status && also(session)) return session;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  async #read(baseUrl: string, bearer: string, onOpen: () => void): Promise<void> {
    const url = new URL(sessionRoutes.sessionEvents.path, baseUrl).href;
    for await (const { data } of readFeed({ url, bearer, signal: this.#stop.signal, onOpen })) {
      const session = sessionSchema.parse(data);
      this.#newest.set(session.sessionId, session);
      for (const wake of this.#wake.splice(0)) wake();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#reading;
  }
}

export interface StageOptions {
  /** The real orchestrator's configuration: it is then used in place of the map. */
  readonly orchestrator?: z.input<typeof orchestratorConfig>;
  readonly session?: z.input<typeof sessionConfig>;
  readonly streaming?: z.input<typeof streamingConfig>;
}

/** Everything, started; a fresh schema each time. */
export async function openStage(ground: Ground, options: StageOptions = {}) {
  const { secrets } = ground;
  const serviceKey = plainKey(secrets, "service");
  const authenticator = new Authenticator(secrets, systemClock);
  const orchestrator = new MapOrchestrator(secrets);
  await orchestrator.start();
  const database = openDatabase({ url: ground.url, applicationName: "session-test", log });
  await database.query("drop schema if exists session cascade");
  const closers: (() => unknown)[] = [() => database[Symbol.asyncDispose](), () => orchestrator.stop()];

  let sessionUrl = "";
  let streamingUrl = "";
  /** The nodes the session role may ask. */
  const nodes: string[] = [];
  const registry = createRegistry();
  const random = Math.random;
  const common = { serviceKey, registry, clock: systemClock, random };
  let orchestratorUrl = () => orchestrator.url;
  if (options.orchestrator !== undefined) {
    await database.query("drop schema if exists orchestrator cascade");
    const server = await newServer(secrets);
    const role = await mountOrchestrator(server, {
      ...common,
      config: orchestratorConfig.parse(options.orchestrator),
      database,
      dataDir: join(ground.folder, "vms"),
      orchestratorUrl: () => orchestratorUrl(),
      streamingUrls: () => [streamingUrl],
      endLocalVms: true,
    });
    const url = await listening(server);
    orchestratorUrl = () => url;
    closers.push(
      () => server.app.close(),
      () => role[Symbol.asyncDispose](),
    );
  }

  const streamingServer = await newServer(secrets);
  const streaming = await mountStreaming(streamingServer, {
    ...common,
    config: streamingConfig.parse(options.streaming ?? {}),
    publicUrl: () => streamingUrl,
    sessionUrl: () => sessionUrl,
  });
  closers.push(
    () => streamingServer.app.close(),
    () => streaming[Symbol.asyncDispose](),
  );
  const startSession = async (port: number, own = createRegistry()) => {
    const server = await newServer(secrets);
    const role = await mountSession(server, {
      ...common,
      registry: own,
      config: sessionConfig.parse({ sweepMs: 20, queueRefreshMs: 50, gamesCacheMs: 0, ...options.session }),
      database,
      orchestratorUrl,
      streamingUrls: () => nodes,
    });
    const url = await listening(server, port);
    const stop = async () => {
      await role[Symbol.asyncDispose]();
      await server.app.close();
    };
    return { url, stop };
  };
  const session = await startSession(0, registry);
  let stopSession = session.stop;
  closers.push(() => stopSession());
  sessionUrl = session.url;
  streamingUrl = await listening(streamingServer);
  nodes.push(streamingUrl);

  const watch = async () => {
    const watcher = await new Promise<Watcher>((resolve) => {
      const watcher: Watcher = new Watcher(sessionUrl, serviceKey, () => setImmediate(() => resolve(watcher)));
    });
    closers.push(() => watcher[Symbol.asyncDispose]());
    return watcher;
  };
  const watcher = await watch();
  const client = (bearer: string): RouteClient => createClient({ baseUrl: sessionUrl, bearer });
  return {
    orchestrator,
    database,
    watcher,
    registry,
    sessionUrl,
    streamingUrl,
    nodes,
    streamingServer,
    authenticator,
    integrator: client(plainKey(secrets, "session")),
    operator: client(plainKey(secrets, "operate")),
    otherTenant: client(ground.otherTenantKey),
    service: client(serviceKey),
    streaming: createClient({ baseUrl: streamingUrl, bearer: serviceKey }),
    placementOf: (sessionId: string) =>
      createClient({ baseUrl: orchestratorUrl(), bearer: serviceKey }).call(orchestratorRoutes.getPlacement, {
        params: { sessionId },
      }),
    /** Stops the session role; what it returns starts another in its place. */
    stopSession: async () => {
      await watcher[Symbol.asyncDispose]();
      await session.stop();
      return async () => {
        stopSession = (await startSession(Number(new URL(sessionUrl).port))).stop;
        return watch();
      };
    },
    /** Another session role on the same database. */
    startReplica: async () => {
      const replica = await startSession(0);
      closers.push(replica.stop);
      return replica.url;
    },
    agent: async (vmId: string, at = streamingUrl) => {
      const agent = new TestAgent(vmId, at, authenticator);
      await agent.link();
      closers.push(() => agent.line.leave());
      return agent;
    },
    /** Opens a player's socket and says hello. */
    player: async (url: string, hello?: Hello): Promise<PlayerLine> => {
      const line: PlayerLine = new Line(new WebSocket(url), toPlayer);
      await once(line.socket, "open");
      closers.push(() => line.leave());
      if (hello !== undefined) line.say(hello);
      return line;
    },
    async [Symbol.asyncDispose]() {
      for (const close of closers.toReversed()) await close();
    },
  };
}
export type Stage = Awaited<ReturnType<typeof openStage>>;
