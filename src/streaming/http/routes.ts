// The streaming routes of the contract, and the three WebSockets.
//
// The player's sockets prove themselves by their first message, the agent's by its bearer token before the upgrade.
// What a page of another site may do is decided for all of them in platform/http.ts.
import { randomBytes } from "node:crypto";
import { sessionId } from "../../contracts/orchestrator.js";
import { Problem } from "../../contracts/problems.js";
import { readAs } from "../../contracts/read-as.js";
import { type IceServer, type Session, sessionRoutes } from "../../contracts/session.js";
import { closeCodes, protocolVersions, versionHeader } from "../../contracts/signalling.js";
import { dialledAtHeader, streamingRoutes, streamingSockets } from "../../contracts/streaming.js";
import { fillPath, type RouteClient } from "../../platform/client.js";
import type { Clock } from "../../platform/clock.js";
import { type HttpServer, serve } from "../../platform/http.js";
import type { AgentLinks } from "../agents/links.js";
import type { Cluster } from "../cluster/cluster.js";
import { wholeStatus } from "../cluster/whole-status.js";
import type { Rooms } from "../signalling/rooms.js";

export interface StreamingRoutesDeps {
  readonly rooms: Rooms;
  readonly links: AgentLinks;
  readonly cluster: Cluster;
  readonly sessions: RouteClient;
  readonly publicUrl: () => string;
  readonly iceServersFor: (sessionId: string) => IceServer[];
  readonly clock: Clock;
  /** In [0, 1): which other nodes a player is told of. */
  readonly random: () => number;
}

// What a page may try when a node is gone: more than a few would only be more of the same.
const otherNodesMax = 3;

export function serveStreaming(server: HttpServer, deps: StreamingRoutesDeps): void {
  const { rooms, cluster, sessions, publicUrl, iceServersFor, random } = deps;
  const read = async (id: string): Promise<Session> =>
    (await sessions.call(sessionRoutes.getSession, { params: { sessionId: id } })).body;

  serve(server, streamingRoutes.streamUrl, async ({ params }) => {
    const session = await read(params.sessionId);
    if (session.end !== null) throw new Problem("illegal-transition", "The session is over.");
    const { ticket, expiresAt } = await server.authenticator.mintTicket(
      session.sessionId,
      randomBytes(16).toString("base64url"),
    );
    const socketsAt = (url: string) => ({
      signalling: socketUrl(url, streamingSockets.signalling, session.sessionId),
      control: socketUrl(url, streamingSockets.control, session.sessionId),
    });
    const own = publicUrl();
    const others = [...new Set(cluster.urls())].filter((url) => url !== own);
    const urls = {
      ...socketsAt(own),
      others: chooseSome(others, otherNodesMax, random).map(socketsAt),
      iceServers: iceServersFor(session.sessionId),
    };
    return { status: 200, body: { urls, ticket, expiresAt } };
  });
  serve(server, streamingRoutes.streamStatus, async ({ params }) => {
    const session = await read(params.sessionId);
    const { answers } = await cluster.statusElsewhere(session);
    return { status: 200, body: wholeStatus([rooms.status(session), ...answers]) };
  });

  serveSockets(server, deps);
}

function serveSockets({ app }: HttpServer, { rooms, links, clock }: StreamingRoutesDeps): void {
  for (const channel of ["signalling", "control"] as const)
    app.get<{ Params: { sessionId: string } }>(streamingSockets[channel], { websocket: true }, (socket, request) => {
      const id = readAs(sessionId, request.params.sessionId);
      if (id.success) rooms.enter(id.data, channel, socket);
      else socket.close(closeCodes.notFound, "That id does not have the form of an id.");
    });
  app.get<{ Params: { vmId: string } }>(
    streamingSockets.agent,
    {
      websocket: true,
      onRequest: async ({ caller, params, headers }) => {
        if (caller.kind === "anyone") throw new Problem("unauthenticated", "Send the agent's token.");
        if (caller.kind !== "agent" || caller.vmId !== params.vmId)
          throw new Problem("forbidden", "An agent links only its own VM.");
        requireSpoken(headers[versionHeader]);
      },
    },
    (socket, { caller, headers }) => {
      if (caller.kind !== "agent") return;
      // An agent of an earlier version does not say when it dialled.
      const dialledAt = Number(headers[dialledAtHeader]);
      links.attach({ ...caller, dialledAtMs: Number.isSafeInteger(dialledAt) ? dialledAt : clock.now() }, socket);
    },
  );
}

/** An agent that names no version is of one that had none to name. */
function requireSpoken(version: string | string[] | undefined): void {
  const { oldest, newest } = protocolVersions;
  const number = version === undefined ? oldest : Number(version);
  if (!(number >= oldest && number <= newest))
    throw new Problem(
      "unsupported-version",
      `Versions ${oldest} to ${newest} are spoken here: bring the agent up to date.`,
    );
}

/** So many at most, each as likely as the others. */
function chooseSome<T>(from: readonly T[], max: number, random: () => number): T[] {
  const keyed = from.map((item) => ({ item, key: random() })).sort((a, b) => a.key - b.key);
  return keyed.slice(0, max).map(({ item }) => item);
}

/** `https://host` → `wss://host/api/…`. */
function socketUrl(publicUrl: string, path: string, id: string): string {
  const url = new URL(fillPath(path, { sessionId: id }), publicUrl);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
