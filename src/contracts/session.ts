// The session service's HTTP surface: what an integrator's backend calls, and what the streaming role reports.
import * as z from "zod";
import { gameSummary, presetId, providerId, regionId, templateId, videoMode } from "./catalog.js";
import { placementRequest, renewalsMax, sessionId, vmId } from "./orchestrator.js";
import { route } from "./route.js";
import { tenantUse } from "./tenants.js";
import { text } from "./text.js";

export const sessionStatus = z.enum(["QUEUED", "PROVISIONING", "READY", "ACTIVE", "DISCONNECTED", "ENDED", "FAILED"]);
export type SessionStatus = z.infer<typeof sessionStatus>;

/** Why a session ended or failed, for programs; `detail` beside it is for people. */
export const endReason = z.enum([
  "ended-by-request",
  "ended-by-player",
  "nobody-joined",
  "player-left",
  "idle",
  "duration-limit",
  "game-exited",
  "no-capacity",
  "wait-abandoned",
  "vm-failed",
  "vm-terminated",
  "stream-failed",
]);
export type EndReason = z.infer<typeof endReason>;

export const iceServer = z.object({
  urls: z.array(z.string().regex(/^(stun|stuns|turn|turns):/, "a stun: or turn: URL")),
  username: z.string().optional().describe("Of TURN: `<expiry, Unix seconds>:<session>`"),
  credential: z.string().optional().describe("Good until then; new ones come as `ice-servers`"),
});
export type IceServer = z.infer<typeof iceServer>;

/** Where a player connects. The URLs name the session, not the VM, so they are valid before there is one. */
export const streamUrls = z
  .object({
    signalling: z.url().describe("WebSocket: offer, answer, candidates, progress (docs/protocol.md)"),
    control: z.url().describe("WebSocket: input, for networks where data channels do not open"),
    others: z
      .array(z.object({ signalling: z.url(), control: z.url() }))
      .optional()
      .describe("The same at other nodes, for when that one cannot be reached"),
    iceServers: z.array(iceServer),
  })
  .meta({ id: "StreamUrls" });
export type StreamUrls = z.infer<typeof streamUrls>;

/** A right to join one session once, within its lifetime. */
export const ticket = z.object({ ticket: z.string(), expiresAt: z.iso.datetime() });
export type Ticket = z.infer<typeof ticket>;

export const session = z
  .object({
    sessionId,
    tenant: z.string(),
    status: sessionStatus,
    gameId: z.string(),
    presetId,
    cap: videoMode.nullable(),
    region: regionId.nullable(),
    vmId: vmId.nullable(),
    templateId: templateId.nullable(),
    provider: providerId.nullable(),
    queue: z
      .object({ position: z.int(), etaSeconds: z.number().nullable(), reason: z.string() })
      .nullable()
      .describe("While it waits for a seat"),
    end: z.object({ reason: endReason, detail: z.string() }).nullable(),
    createdAt: z.iso.datetime(),
    readyAt: z.iso.datetime().nullable(),
    joinedAt: z.iso.datetime().nullable(),
    endedAt: z.iso.datetime().nullable(),
    version: z.int(),
  })
  .describe("One player's session of one game")
  .meta({ id: "Session" });
export type Session = z.infer<typeof session>;

export const createdSession = session.extend({ urls: streamUrls, ...ticket.shape }).meta({ id: "CreatedSession" });
export type CreatedSession = z.infer<typeof createdSession>;

export const sessionRequest = z.strictObject({
  ...placementRequest.shape,
  playerId: text(128).optional().describe("Your own name for the player; kept with the session"),
});
export type SessionRequest = z.infer<typeof sessionRequest>;

/** What the streaming role saw of a session's player; the session's table decides what follows. */
export const connectionReport = z.strictObject({
  vmId: vmId
    .nullable()
    .describe("The VM whose agent says so, null: it has none yet; about an older seat it is ignored"),
  state: z.enum(["connected", "disconnected", "idle", "left", "game-exited", "stream-failed"]),
  detail: text(500).optional(),
});
export type ConnectionReport = z.infer<typeof connectionReport>;

const base = "/api/session/v1";
const sessionParams = z.object({ sessionId });

export const sessionRoutes = {
  createSession: route({
    method: "POST",
    path: base,
    operationId: "createSession",
    tag: "session",
    summary: "Start a session: a seat, and the URLs a player connects to",
    callers: ["session", "operate"],
    body: sessionRequest,
    responses: {
      201: { description: "READY: the seat is held for 60 s", schema: createdSession },
      202: { description: "QUEUED or PROVISIONING: connect already, progress arrives there", schema: createdSession },
    },
  }),
  listSessions: route({
    method: "GET",
    path: base,
    operationId: "listSessions",
    tag: "session",
    summary: "List your sessions, newest first (operators and readers: everyone's)",
    callers: ["session", "operate", "read"],
    query: z.strictObject({
      status: sessionStatus.optional(),
      limit: z.coerce.number().int().min(1).max(500).default(100),
      cursor: text(200).optional(),
    }),
    responses: {
      200: {
        description: "A page",
        schema: z.object({ sessions: z.array(session), nextCursor: z.string().nullable() }),
      },
    },
  }),
  listGames: route({
    method: "GET",
    path: `${base}/games`,
    operationId: "listPlayableGames",
    tag: "session",
    summary: "The games a session may ask for",
    callers: ["session", "operate", "read"],
    responses: { 200: { description: "The games", schema: z.object({ games: z.array(gameSummary) }) } },
  }),
  tenants: route({
    method: "GET",
    path: `${base}/tenants`,
    operationId: "listTenants",
    tag: "session",
    summary:
      "What each tenant has, and may have, of sessions, waiting requests and VMs (a session key: its own tenant)",
    callers: ["session", "operate", "read"],
    responses: {
      200: { description: "Tenants with limits or use", schema: z.object({ tenants: z.array(tenantUse) }) },
    },
  }),
  sessionEvents: route({
    method: "GET",
    path: `${base}/events`,
    operationId: "watchSessions",
    tag: "session",
    summary: "Every session as it changes (text/event-stream); not durable: read the session again after a gap",
    callers: ["service", "operate"],
    responses: { 200: { description: "One session per `data:`", schema: session } },
  }),
  renewSessions: route({
    method: "POST",
    path: `${base}/renew`,
    operationId: "renewSessions",
    tag: "session",
    summary: "Say that players wait at their sockets for these sessions",
    callers: ["service"],
    body: z.strictObject({ sessionIds: z.array(sessionId).max(renewalsMax) }),
    responses: { 202: { description: "They are renewed within a second", schema: z.strictObject({}) } },
  }),
  getSession: route({
    method: "GET",
    path: `${base}/:sessionId`,
    operationId: "getSession",
    tag: "session",
    summary: "Get a session; while it waits for a seat, an integrator's reading keeps its place (2 minutes each time)",
    callers: ["session", "operate", "read", "service"],
    params: sessionParams,
    responses: { 200: { description: "The session", schema: session } },
  }),
  endSession: route({
    method: "DELETE",
    path: `${base}/:sessionId`,
    operationId: "endSession",
    tag: "session",
    summary: "End a session and give its seat back; ending it again answers the same",
    callers: ["session", "operate"],
    params: sessionParams,
    responses: { 200: { description: "The session, ENDED (or FAILED, if it already was)", schema: session } },
  }),
  createTicket: route({
    method: "POST",
    path: `${base}/:sessionId/ticket`,
    operationId: "createTicket",
    tag: "session",
    summary: "A fresh ticket, for a player whose first one ran out",
    callers: ["session", "operate"],
    params: sessionParams,
    responses: {
      201: { description: "The ticket and the URLs", schema: z.object({ urls: streamUrls, ...ticket.shape }) },
    },
  }),
  reportConnection: route({
    method: "POST",
    path: `${base}/:sessionId/connection`,
    operationId: "reportConnection",
    tag: "session",
    summary: "What the streaming role saw of the session's player",
    callers: ["service"],
    params: sessionParams,
    body: connectionReport,
    responses: { 200: { description: "The session after it", schema: session } },
  }),
} as const;
