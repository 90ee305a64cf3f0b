// The session and streaming roles for real (PostgreSQL, HTTP, WebSockets), each on its own server, beside an
// orchestrator that keeps its seats in a map and an agent that keeps its tickets in a set.
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { z } from "zod";
import type { VmEvent } from "../../src/contracts/events.js";
import { type Assignment, orchestratorRoutes, type Vm } from "../../src/contracts/orchestrator.js";
import { Problem } from "../../src/contracts/problems.js";
import { type Session, sessionRoutes, session as sessionSchema } from "../../src/contracts/session.js";
import {
  type FromAgent,
  type FromPlayer,
  type Hello,
  type StreamInfo,
  type ToAgent,
  type ToPlayer,
  toAgent,
  toPlayer,
  unframeControl,
} from "../../src/contracts/signalling.js";
import { streamingSockets } from "../../src/contracts/streaming.js";
import { Authenticator } from "../../src/platform/auth.js";
import { createClient, fillPath, type RouteClient } from "../../src/platform/client.js";
import { systemClock } from "../../src/platform/clock.js";
import { listenConfig } from "../../src/platform/config.js";
import { openDatabase } from "../../src/platform/database.js";
import { startEmbeddedPostgres } from "../../src/platform/embedded-postgres.js";
import { createHttpServer, type HttpServer, listen, serve } from "../../src/platform/http.js";
import { createLog } from "../../src/platform/log.js";
import { createRegistry } from "../../src/platform/metrics.js";
import { addKey, ensureSecrets, loadSecrets, mintKey, plainKey, type Secrets } from "../../src/platform/secrets.js";
import { type FeedItem, readFeed, sendFeed } from "../../src/platform/sse.js";
import { mountSession, sessionConfig } from "../../src/session/main.js";
import { mountStreaming, streamingConfig } from "../../src/streaming/main.js";

export const log = createLog({ name: "test", level: process.env.HOTSEAT_TEST_LOG ?? "silent" });

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

const listening = async (server: HttpServer, port = 0) => {
  const config = listenConfig.parse({ port });
  return `http://127.0.0.1:${await listen(server, config)}`;
};

const newServer = (secrets: Secrets) =>
  createHttpServer({
    config: listenConfig.parse({ port: 0 }),
    authenticator: new Authenticator(secrets, systemClock),
    log,
  });

/** Seats in a map, events in a list: the orchestrator's contract as the session role uses it. */
export class MapOrchestrator {
  readonly vms = new Map<string, { seats: number; error: { code: string; message: string } | null }>();
  readonly placements = new Map<string, { vmId: string | null }>();
  readonly events: VmEvent[] = [];
  /** Called while an assign is under way, before it is answered. */
  beforeAnswer: (sessionId: string) => Promise<void> | void = () => {};
  #server: HttpServer | null = null;
  #port = 0;
  #wake: (() => void)[] = [];

  constructor(private readonly secrets: Secrets) {}

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const server = await newServer(this.secrets);
    this.#serve(server);
    this.#port = Number(new URL(await listening(server, this.#port)).port);
    this.#server = server;
  }

  async stop(): Promise<void> {
    await this.#server?.app.close();
    this.#server = null;
  }

  /** Makes a VM, and seats those who wait. */
  addVm(vmId: string, seats: number): void {
    this.vms.set(vmId, { seats, error: null });
    for (const [sessionId, placement] of this.placements) if (placement.vmId === null) this.#place(sessionId);
  }

  /** Its VM breaks: its sessions are placed once more, or wait. */
  breakVm(vmId: string, next: "waiting" | "none"): void {
    this.vms.set(vmId, { seats: 0, error: { code: "broken", message: "It broke." } });
    for (const [sessionId, placement] of this.placements) {
      if (placement.vmId !== vmId) continue;
      this.#emit("SessionReleased", vmId, sessionId, { reason: "vm-error", next });
      if (next === "none") this.placements.delete(sessionId);
      else {
        placement.vmId = null;
        this.#place(sessionId);
      }
    }
  }

  /** A session's place in the queue runs out. */
  expire(sessionId: string): void {
    this.placements.delete(sessionId);
  }

  seated(vmId: string): string[] {
    return [...this.placements].filter(([, placement]) => placement.vmId === vmId).map(([sessionId]) => sessionId);
  }

  #place(sessionId: string): void {
    const free = [...this.vms].find(([vmId, { seats }]) => this.seated(vmId).length < seats);
    this.placements.set(sessionId, { vmId: free?.[0] ?? null });
    if (free !== undefined) this.#emit("SessionAssigned", free[0], sessionId, {});
  }

  #emit(type: "SessionAssigned" | "SessionReleased", vmId: string, sessionId: string, data: object): void {
    this.events.push({
      specversion: "1.0",
      id: `${this.events.length + 1}`,
      source: "/hotseat/orchestrator",
      type,
      subject: vmId,
      time: new Date().toISOString(),
      datacontenttype: "application/json",
      data: { vmId, region: "us-east-1", templateId: "L4-90", sessionId, ...data },
    } as VmEvent);
    for (const wake of this.#wake.splice(0)) wake();
  }

  #assignment(sessionId: string): Assignment {
    const placement = this.placements.get(sessionId);
    if (placement === undefined) throw new Problem("not-found");
    if (placement.vmId !== null)
      return {
        status: "ASSIGNED",
        sessionId,
        vmId: placement.vmId,
        region: "us-east-1",
        templateId: "L4-90",
        provider: "local",
      };
    const waiting = [...this.placements].filter(([, { vmId }]) => vmId === null).map(([id]) => id);
    const position = waiting.indexOf(sessionId) + 1;
    return { status: "QUEUED", sessionId, region: "us-east-1", position, etaSeconds: position * 10, reason: "full" };
  }

  #vm(vmId: string): Vm {
    const vm = this.vms.get(vmId);
    if (vm === undefined) throw new Problem("not-found");
    return {
      vmId,
      templateId: "L4-90",
      region: "us-east-1",
      provider: "local",
      status: vm.error === null ? "READY" : "TERMINATED",
      reachable: true,
      units: { total: 60, used: 0 },
      sessions: this.seated(vmId),
      capabilities: null,
      error: vm.error,
      reason: null,
      createdAt: new Date(0).toISOString(),
      readyAt: null,
      terminatedAt: null,
      version: 1,
    };
  }

  #serve(server: HttpServer): void {
    const demo = { gameId: "demo", title: "Demo", tagline: "Play.", controls: [], presetId: "default-standard" } as const;
    serve(server, orchestratorRoutes.games, async () => ({ status: 200, body: { games: [{ ...demo, controls: [] }] } }));
    serve(server, orchestratorRoutes.assign, async ({ body }) => {
      if ("request" in body && body.request.gameId === "unknown-game")
        throw new Problem("invalid-request", "There is no such game.", {
          errors: [{ field: "request.gameId", message: "is not a game" }],
        });
      const { sessionId } = body;
      if (!this.placements.has(sessionId)) this.#place(sessionId);
      await this.beforeAnswer(sessionId);
      const answer = this.#assignment(sessionId);
      return { status: answer.status === "ASSIGNED" ? 200 : 202, body: answer };
    });
    serve(server, orchestratorRoutes.getPlacement, async ({ params }) => ({
      status: 200,
      body: this.#assignment(params.sessionId),
    }));
    serve(server, orchestratorRoutes.withdraw, async ({ params: { sessionId } }) => {
      const held = this.placements.get(sessionId);
      this.placements.delete(sessionId);
      if (held?.vmId) this.#emit("SessionReleased", held.vmId, sessionId, { reason: "withdrawn", next: "none" });
      for (const [waiting, { vmId }] of this.placements) if (vmId === null) this.#place(waiting);
      for (const wake of this.#wake.splice(0)) wake();
      return { status: 200, body: { sessionId, released: held !== undefined } };
    });
    serve(server, orchestratorRoutes.getVm, async ({ params }) => ({ status: 200, body: this.#vm(params.vmId) }));
    serve(server, orchestratorRoutes.events, ({ raw, reply }) =>
      sendFeed(reply, (signal) => this.#feed(Number(raw.headers["last-event-id"] ?? this.events.length), signal)),
    );
  }

  async *#feed(after: number, signal: AbortSignal): AsyncGenerator<FeedItem> {
    for (let next = after; !signal.aborted; ) {
      const event = this.events[next];
      if (event !== undefined) {
        next++;
        yield { id: event.id, data: event };
      } else
        await new Promise<void>((resolve) => {
          this.#wake.push(resolve);
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
    }
  }

  /** Resolves once `done` holds; looked at after each change. */
  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }
}

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

/** One end of a WebSocket whose messages can be awaited. */
export class Line<Said extends { type: string }, Says> {
  readonly closed: Promise<number>;
  readonly said: Said[] = [];
  #taken = 0;
  #wake: (() => void)[] = [];

  constructor(
    readonly socket: WebSocket,
    schema: z.ZodType<Said>,
    onBinary: (bytes: Uint8Array) => void = () => {},
  ) {
    this.closed = once(socket, "close").then(([code]) => code as number);
    socket.on("error", () => {});
    socket.on("message", (bytes: Buffer, isBinary) => {
      if (isBinary) return onBinary(bytes);
      this.said.push(schema.parse(JSON.parse(bytes.toString())));
      for (const wake of this.#wake.splice(0)) wake();
    });
  }

  say(message: Says): void {
    this.socket.send(JSON.stringify(message));
  }

  /** The next message of that type; others before it are passed over. */
  async next<T extends Said["type"]>(type: T, also: (message: Said) => boolean = () => true) {
    for (;;) {
      const at = this.said.findIndex((message, i) => i >= this.#taken && message.type === type && also(message));
      if (at !== -1) {
        this.#taken = at + 1;
        return this.said[at] as Extract<Said, { type: T }>;
      }
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  async leave(): Promise<void> {
    this.socket.close();
    await this.closed;
  }
}

export type PlayerLine = Line<ToPlayer, FromPlayer | Hello>;

const stream: StreamInfo = {
  gameId: "demo",
  title: "Demo",
  asked: { width: 1280, height: 720, fps: 60 },
  mode: { width: 1280, height: 720, fps: 60 },
  encoder: "libx264",
  why: null,
  pointer: "relative",
};

/** An agent as ingest sees it: consumes tickets once, hands out resume secrets, lets the newest connection take over. */
export class TestAgent {
  line!: Line<ToAgent, FromAgent>;
  readonly inputs: Uint8Array[] = [];
  readonly #usedJtis = new Set<string>();
  readonly #resumes = new Map<string, string>();
  readonly #signalling = new Map<string, string>();
  #secrets = 0;

  constructor(
    readonly vmId: string,
    private readonly streamingUrl: string,
    private readonly authenticator: Authenticator,
  ) {}

  async link(): Promise<void> {
    const url = this.streamingUrl.replace("http", "ws") + fillPath(streamingSockets.agent, { vmId: this.vmId });
    const authorization = `Bearer ${await this.authenticator.mintAgentToken(this.vmId)}`;
    const socket = new WebSocket(url, { headers: { authorization } });
    this.line = new Line(socket, toAgent, (bytes) => {
      const framed = unframeControl(bytes);
      if (framed !== null) this.inputs.push(Uint8Array.from(framed.input));
    });
    socket.on("message", (bytes: Buffer, isBinary) => {
      if (!isBinary) this.#hear(toAgent.parse(JSON.parse(bytes.toString())));
    });
    await once(socket, "open");
  }

  report(sessionId: string, state: Extract<FromAgent, { type: "session" }>["state"]): void {
    this.line.say({ type: "session", sessionId, state });
  }

  #hear(message: ToAgent): void {
    if (message.type === "ping") this.line.say({ type: "pong" });
    else if (message.type === "join") this.#join(message);
    else if (message.type === "bye") this.report(message.sessionId, "left");
    else if (message.type === "signal" && message.message.type === "offer") {
      const { connectionId } = message;
      this.line.say({ type: "signal", connectionId, message: { type: "answer", sdp: "the answer" } });
    }
  }

  #join({ sessionId, connectionId, channel, proof }: Extract<ToAgent, { type: "join" }>): void {
    const refuse = (id: string, reason: Extract<FromAgent, { type: "refused" }>["reason"]) =>
      this.line.say({ type: "refused", connectionId: id, reason, detail: reason });
    if ("jti" in proof) {
      if (this.#usedJtis.has(proof.jti)) return refuse(connectionId, "ticket-used");
      this.#usedJtis.add(proof.jti);
    } else if (this.#resumes.get(sessionId) !== proof.resume) return refuse(connectionId, "resume-wrong");
    if (channel === "signalling") {
      const older = this.#signalling.get(sessionId);
      if (older !== undefined && older !== connectionId) refuse(older, "taken-over");
      this.#signalling.set(sessionId, connectionId);
      this.#resumes.set(sessionId, `resume-${this.vmId}-${++this.#secrets}`);
    }
    this.line.say({ type: "joined", connectionId, resume: this.#resumes.get(sessionId)!, stream });
  }
}

export interface StageOptions {
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
  const registry = createRegistry();
  const random = Math.random;
  const common = { serviceKey, registry, clock: systemClock, random };

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
  const sessionServer = await newServer(secrets);
  const session = await mountSession(sessionServer, {
    ...common,
    registry,
    config: sessionConfig.parse({ sweepMs: 20, queueRefreshMs: 50, gamesCacheMs: 0, ...options.session }),
    database,
    orchestratorUrl: () => orchestrator.url,
    streamingUrl: () => streamingUrl,
  });
  closers.push(
    () => sessionServer.app.close(),
    () => session[Symbol.asyncDispose](),
  );
  sessionUrl = await listening(sessionServer);
  streamingUrl = await listening(streamingServer);

  const watcher = await new Promise<Watcher>((resolve) => {
    const watcher: Watcher = new Watcher(sessionUrl, serviceKey, () => setImmediate(() => resolve(watcher)));
  });
  closers.push(() => watcher[Symbol.asyncDispose]());
  const client = (bearer: string): RouteClient => createClient({ baseUrl: sessionUrl, bearer });
  return {
    orchestrator,
    database,
    watcher,
    registry,
    sessionUrl,
    streamingUrl,
    authenticator,
    integrator: client(plainKey(secrets, "session")),
    operator: client(plainKey(secrets, "operate")),
    otherTenant: client(ground.otherTenantKey),
    service: client(serviceKey),
    streaming: createClient({ baseUrl: streamingUrl, bearer: serviceKey }),
    agent: async (vmId: string) => {
      const agent = new TestAgent(vmId, streamingUrl, authenticator);
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
