// The streaming routes of the contract, and the three WebSockets.
//
// The player's sockets prove themselves by their first message, the agent's by its bearer token before the upgrade.
// What a page of another site may do is decided for all of them in platform/http.ts.
import { randomBytes } from "node:crypto";
import { sessionId } from "../../contracts/orchestrator.js";
import { Problem } from "../../contracts/problems.js";
import { type IceServer, type Session, sessionRoutes } from "../../contracts/session.js";
import { closeCodes, protocolVersions, versionHeader } from "../../contracts/signalling.js";
import { streamingRoutes, streamingSockets } from "../../contracts/streaming.js";
import { fillPath, type RouteClient } from "../../platform/client.js";
import { type HttpServer, serve } from "../../platform/http.js";
import type { AgentLinks } from "../agents/links.js";
import type { Rooms } from "../signalling/rooms.js";

export interface StreamingRoutesDeps {
  readonly rooms: Rooms;
  readonly links: AgentLinks;
  readonly sessions: RouteClient;
  readonly publicUrl: () => string;
  readonly iceServersFor: (sessionId: string) => IceServer[];
}

export function serveStreaming(server: HttpServer, deps: StreamingRoutesDeps): void {
  const { rooms, sessions, publicUrl, iceServersFor } = deps;
  const read = async (id: string): Promise<Session> =>
    (await sessions.call(sessionRoutes.getSession, { params: { sessionId: id } })).body;

  serve(server, streamingRoutes.streamUrl, async ({ params }) => {
    const session = await read(params.sessionId);
    if (session.end !== null) throw new Problem("illegal-transition", "The session is over.");
    const { ticket, expiresAt } = await server.authenticator.mintTicket(
      session.sessionId,
      randomBytes(16).toString("base64url"),
    );
    const urls = {
      signalling: socketUrl(publicUrl(), streamingSockets.signalling, session.sessionId),
      control: socketUrl(publicUrl(), streamingSockets.control, session.sessionId),
      iceServers: iceServersFor(session.sessionId),
    };
    return { status: 200, body: { urls, ticket, expiresAt } };
  });
  serve(server, streamingRoutes.streamStatus, async ({ params }) => ({
    status: 200,
    body: rooms.status(await read(params.sessionId)),
  }));

  serveSockets(server, deps);
}

function serveSockets({ app }: HttpServer, { rooms, links }: StreamingRoutesDeps): void {
  for (const channel of ["signalling", "control"] as const)
    app.get<{ Params: { sessionId: string } }>(streamingSockets[channel], { websocket: true }, (socket, request) => {
      const id = sessionId.safeParse(request.params.sessionId);
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
    (socket, { caller }) => {
      if (caller.kind === "agent") links.attach(caller, socket);
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

/** `https://host` → `wss://host/api/…`. */
function socketUrl(publicUrl: string, path: string, id: string): string {
  const url = new URL(fillPath(path, { sessionId: id }), publicUrl);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
