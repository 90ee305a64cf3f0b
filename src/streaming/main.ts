// The streaming role (streaming-ingest): relays signalling, control input and agent links. Stateless: it may be stopped
// and started at any time, media goes on flowing and both ends come back by themselves.
import { randomBytes } from "node:crypto";
import * as z from "zod";
import { signallingLimits } from "../contracts/signalling.js";
import type { Bus } from "../platform/bus.js";
import { createClient, type RouteClient } from "../platform/client.js";
import type { Clock } from "../platform/clock.js";
import type { HttpServer } from "../platform/http.js";
import { MemoryHub } from "../platform/memory-bus.js";
import type { Registry } from "../platform/metrics.js";
import { NatsBus } from "../platform/nats-bus.js";
import { natsAccess, subjectPrefix } from "../platform/nats-config.js";
import { AgentLinks } from "./agents/links.js";
import { Reports } from "./agents/reports.js";
import { Cluster } from "./cluster/cluster.js";
import { serveStreaming } from "./http/routes.js";
import { haveExpiringCredentials, iceServersConfig, iceServersFor, readIceServers } from "./ice/ice-servers.js";
import { StreamingMetrics } from "./metrics.js";
import { followSessions } from "./sessions/follow-sessions.js";
import { renewAwaited } from "./sessions/renew-awaited.js";
import { Rooms } from "./signalling/rooms.js";

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
  bufferedBytesMax: count(signallingLimits.bufferedBytesMax).describe(
    "A peer that leaves more than this unread is cut off",
  ),
  socketsMax: count(20_000),
  socketsPerSessionMax: count(signallingLimits.socketsPerSessionMax).describe("Of one session and kind"),
  nats: z
    .strictObject({
      ...natsAccess.shape,
      subjectPrefix: subjectPrefix.default("hotseat.streaming").describe("Of one installation's nodes"),
    })
    .optional()
    .describe("Where the other streaming nodes are met; one node needs none"),
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
  // 72 bits, as subjects and connections' ids take them.
  const nodeId = randomBytes(9).toString("base64url");
  const bus: Bus =
    config.nats === undefined
      ? new MemoryHub().open()
      : new NatsBus({ access: config.nats, name: `hotseat-streaming-${nodeId}`, random, log });
  const cluster: Cluster = new Cluster({
    nodeId,
    prefix: config.nats?.subjectPrefix ?? "hotseat",
    bus,
    publicUrl,
    links: {
      send: (vmId, message) => links.send(vmId, message),
      supersede: (vmId) => links.supersede(vmId),
    },
    players: {
      linkChanged: (vmId, up) => rooms.linkChanged(vmId, up),
      agentAnswered: (vmId, message) => rooms.agentAnswered(vmId, message),
      status: (session) => rooms.status(session),
      count: (sessionId) => rooms.count(sessionId),
    },
    sessionSaid: (vmId, { sessionId, state, detail }) => reports.report(sessionId, { vmId, state, detail }),
    monotonicMs: () => performance.now(),
    metrics,
    log,
  });
  const links = new AgentLinks({
    limits: socketLimits(signallingLimits.agentMessagesPerSecondMax),
    clock,
    metrics,
    log,
    listener: cluster,
  });
  const rooms = new Rooms({
    agents: cluster,
    reports,
    sessions,
    authenticator: server.authenticator,
    iceServersFor: iceServers,
    newConnectionId: () => cluster.nameConnection(randomBytes(12).toString("base64url")),
    playsElsewhere: async (sessionId) => {
      if (config.nats === undefined) return false;
      const { answers, whole } = await cluster.playersElsewhere(sessionId);
      return answers.some((players) => players > 0) || (whole ? false : null);
    },
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
  serveStreaming(server, { rooms, links, cluster, sessions, publicUrl, iceServersFor: iceServers, clock, random });

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
      cluster[Symbol.dispose]();
      await Promise.all(running);
      await reports[Symbol.asyncDispose]();
      await bus[Symbol.asyncDispose]();
    },
  };
}
