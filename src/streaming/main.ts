// The streaming role (streaming-ingest): relays signalling, control input and agent links. Stateless: it may be stopped
// and started at any time, media goes on flowing and both ends come back by themselves.
import { randomBytes } from "node:crypto";
import * as z from "zod";
import { signallingLimits } from "../contracts/signalling.js";
import { createClient, type RouteClient } from "../platform/client.js";
import type { Clock } from "../platform/clock.js";
import type { HttpServer } from "../platform/http.js";
import type { Registry } from "../platform/metrics.js";
import { AgentLinks } from "./agents/links.js";
import { Reports } from "./agents/reports.js";
import { serveStreaming } from "./http/routes.js";
import { haveExpiringCredentials, iceServersConfig, iceServersFor, readIceServers } from "./ice/ice-servers.js";
import { StreamingMetrics } from "./metrics.js";
import { followSessions } from "./sessions/follow-sessions.js";
import { renewAwaited } from "./sessions/renew-awaited.js";
import { Rooms } from "./signalling/rooms.js";

const agentMessagesPerSecondMax = 2_000;

// Less than a stopping process is given.
const callMsMax = 4_000;

const count = (standard: number) => z.number().int().min(1).default(standard);

export const streamingConfig = z.strictObject({
  iceServers: iceServersConfig,
  turnCredentialSeconds: count(300).describe("New ones are sent at half of it"),
  helloMs: count(signallingLimits.helloMsMax),
  waiterGoneMs: count(15_000).describe("A player who leaves while waiting for a seat keeps the place for so long"),
  renewMs: count(20_000).describe("How often the sessions are renewed that players wait for here"),
  pingMs: count(signallingLimits.pingMs),
  silenceMs: count(signallingLimits.silenceMsMax),
  messagesPerSecond: count(signallingLimits.messagesPerSecondMax),
  controlMessagesPerSecond: count(signallingLimits.controlMessagesPerSecondMax),
  bufferedBytesMax: count(1024 * 1024).describe("A peer that leaves more than this unread is cut off"),
  socketsMax: count(20_000),
  socketsPerSessionMax: count(8).describe("Of one session and kind"),
});
export type StreamingConfig = z.infer<typeof streamingConfig>;

export interface StreamingDeps {
  readonly config: StreamingConfig;
  /** How browsers reach this role; asked at each use, since a port may be known only once it is taken. */
  readonly publicUrl: () => string;
  readonly sessionUrl: () => string;
  readonly serviceKey: string;
  readonly registry: Registry;
  readonly clock: Clock;
  /** In [0, 1): jitter. */
  readonly random: () => number;
}

/** Registers the role's routes and sockets; once the server listens it follows the session service, until disposed. */
export async function mountStreaming(server: HttpServer, deps: StreamingDeps): Promise<AsyncDisposable> {
  const { config, publicUrl, sessionUrl, serviceKey, registry, clock, random } = deps;
  const log = server.log.child({ role: "streaming" });
  const metrics = new StreamingMetrics(registry);
  const sessions: RouteClient = {
    call: (route, request) =>
      createClient({ baseUrl: sessionUrl(), bearer: serviceKey, timeoutMs: callMsMax }).call(route, request),
  };
  const reports = new Reports({ sessions, random, log });
  const servers = await readIceServers(config.iceServers);
  const lifeSeconds = config.turnCredentialSeconds;
  const iceServers = (sessionId: string) => iceServersFor(servers, { sessionId, lifeSeconds, now: clock.now() });
  const socketLimits = (messagesPerSecond: number) => ({
    messagesPerSecond,
    pingMs: config.pingMs,
    silenceMs: config.silenceMs,
    bufferedBytesMax: config.bufferedBytesMax,
  });
  const links = new AgentLinks({
    limits: socketLimits(agentMessagesPerSecondMax),
    clock,
    metrics,
    log,
    listener: {
      linkChanged: (vmId, up) => rooms.linkChanged(vmId, up),
      agentSaid: (vmId, message) => {
        if (message.type === "session") {
          const { sessionId, state, detail } = message;
          reports.report(sessionId, { vmId, state, detail });
        } else rooms.agentAnswered(vmId, message);
      },
    },
  });
  const rooms = new Rooms({
    agents: links,
    reports,
    sessions,
    authenticator: server.authenticator,
    iceServersFor: iceServers,
    newConnectionId: () => randomBytes(12).toString("base64url"),
    limits: {
      helloMs: config.helloMs,
      waiterGoneMs: config.waiterGoneMs,
      credentialsRenewMs: haveExpiringCredentials(servers) ? (lifeSeconds * 1000) / 2 : null,
      socketsMax: config.socketsMax,
      socketsPerSessionMax: config.socketsPerSessionMax,
      signalling: socketLimits(config.messagesPerSecond),
      control: socketLimits(config.controlMessagesPerSecond),
    },
    metrics,
    clock,
    log,
  });
  serveStreaming(server, { rooms, links, sessions, publicUrl, iceServersFor: iceServers });

  const stop = new AbortController();
  const running = new Set<Promise<void>>();
  const run = (work: Promise<void>) => {
    const settled = work.finally(() => running.delete(settled));
    running.add(settled);
  };
  const renew = () => run(renewAwaited({ sessions, log }, rooms.awaited(), stop.signal));
  const renewing = setInterval(renew, config.renewMs);
  server.onceListening.push(async () => {
    run(
      followSessions(
        {
          sessionUrl,
          serviceKey,
          random,
          log,
          onOpen: () => {
            metrics.feedUp.set(1);
            run(rooms.readAgain(stop.signal));
            renew();
          },
          onBroken: () => metrics.feedUp.set(0),
          onSession: (session) => rooms.sessionChanged(session),
        },
        stop.signal,
      ),
    );
  });
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      clearInterval(renewing);
      rooms[Symbol.dispose]();
      await Promise.all(running);
      await reports[Symbol.asyncDispose]();
    },
  };
}
