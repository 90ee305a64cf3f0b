// The streaming role's surface: two HTTP endpoints, and three WebSockets whose messages are signalling.ts.
import * as z from "zod";
import { latencyReport } from "./latency.js";
import { verdict } from "./latency-verdict.js";
import { sessionId } from "./orchestrator.js";
import { route } from "./route.js";
import { streamUrls, ticket } from "./session.js";

const base = "/api/streaming/v1";
const sessionParams = z.object({ sessionId });

/** As the player's page reports it: figures are its word, the verdict is drawn from them here. */
export const streamLatency = z
  .object({
    reportedAt: z.iso.datetime(),
    ageMs: z.int().describe("Since then; the page reports every 5 s while media flows"),
    verdict,
    ...latencyReport.shape,
  })
  .meta({ id: "StreamLatency" });
export type StreamLatency = z.infer<typeof streamLatency>;

export const streamStatus = z
  .object({
    sessionId,
    connection: z
      .enum(["none", "waiting", "joining", "connected", "disconnected"])
      .describe("none: no player at any node that answered; waiting: for a seat; joining: signalling under way"),
    vmId: z.string().nullable(),
    players: z.int().describe("Signalling sockets open for the session, at all nodes that answered"),
    since: z.iso.datetime().nullable(),
    latency: streamLatency
      .nullable()
      .describe("From input to picture; null: no player has reported yet, at any node that answered"),
  })
  .meta({ id: "StreamStatus" });
export type StreamStatus = z.infer<typeof streamStatus>;

export const streamingRoutes = {
  streamUrl: route({
    method: "POST",
    path: `${base}/session/:sessionId/stream-url`,
    operationId: "createStreamUrl",
    tag: "streaming",
    summary: "Get WebRTC URLs and a ticket for a session",
    callers: ["service"],
    params: sessionParams,
    responses: {
      200: {
        description: "Where a player connects, and with what",
        schema: z.object({ urls: streamUrls, ...ticket.shape }),
      },
    },
  }),
  streamStatus: route({
    method: "GET",
    path: `${base}/session/:sessionId/status`,
    operationId: "getStreamStatus",
    tag: "streaming",
    summary: "Get connection status",
    callers: ["service", "operate", "read", "player"],
    params: sessionParams,
    responses: { 200: { description: "The connection", schema: streamStatus } },
  }),
} as const;

/** Header of an agent's link: when it dialled, in ms by its own clock. The latest of its links counts, at any node. */
export const dialledAtHeader = "hotseat-dialled-at";

/** WebSocket paths. The player's sockets authenticate by their first message, the agent's by its bearer token. */
export const streamingSockets = {
  signalling: `${base}/session/:sessionId/signalling`,
  control: `${base}/session/:sessionId/control`,
  agent: `${base}/agent/:vmId`,
} as const;
