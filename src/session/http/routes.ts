// The session routes of the contract. Keys of scope `session` see their own tenant's sessions; the others see all.
import { sessionRoutes } from "../../contracts/session.js";
import type { Caller } from "../../platform/auth.js";
import { type HttpServer, serve } from "../../platform/http.js";
import { sendFeed } from "../../platform/sse.js";
import type { SessionFeed } from "../feed.js";
import type { Games } from "../games.js";
import type { Renewals } from "../renewals.js";
import type { SessionService, Tenancy } from "../service.js";

export function serveSessions(
  server: HttpServer,
  {
    service,
    renewals,
    feed,
    games,
  }: {
    service: SessionService;
    renewals: Renewals;
    feed: SessionFeed;
    games: Games;
  },
): void {
  serve(
    server,
    sessionRoutes.createSession,
    async ({ body, caller, effectId }) => {
      const session = await service.create(body, ownTenant(caller), effectId);
      return { status: session.status === "READY" ? 201 : 202, body: session };
    },
    {
      fields: credentials,
      renew: ({ caller }, { sessionId }) => service.ticket(String(sessionId), tenancy(caller)),
    },
  );
  serve(server, sessionRoutes.listSessions, async ({ query, caller }) => {
    const { limit, status = null, cursor = null } = query;
    return { status: 200, body: await service.list({ limit, status, cursor }, tenancy(caller)) };
  });
  serve(server, sessionRoutes.listGames, async () => ({ status: 200, body: { games: [...(await games.list())] } }));
  serve(server, sessionRoutes.tenants, async ({ caller }) => ({
    status: 200,
    body: { tenants: await service.tenants(tenancy(caller)) },
  }));
  serve(server, sessionRoutes.sessionEvents, ({ reply }) => sendFeed(reply, (signal) => feed.subscribe(signal)));
  serve(server, sessionRoutes.renewSessions, async ({ body }) => {
    renewals.awaited(body.sessionIds);
    return { status: 202, body: {} };
  });
  serve(server, sessionRoutes.getSession, async ({ params, caller }) => {
    const session = await service.get(params.sessionId, tenancy(caller));
    if (session.queue !== null && mayOwn(caller)) renewals.awaited([session.sessionId]);
    return { status: 200, body: session };
  });
  serve(server, sessionRoutes.endSession, async ({ params, caller }) => ({
    status: 200,
    body: await service.end(params.sessionId, tenancy(caller)),
  }));
  serve(
    server,
    sessionRoutes.createTicket,
    async ({ params, caller }) => ({
      status: 201,
      body: await service.ticket(params.sessionId, tenancy(caller)),
    }),
    { fields: credentials, renew: ({ caller, params }) => service.ticket(params.sessionId, tenancy(caller)) },
  );
  serve(server, sessionRoutes.reportConnection, async ({ params, body }) => ({
    status: 200,
    body: await service.report(params.sessionId, body),
  }));
}

/** Used once and short-lived, so neither kept nor of use a second time; `urls` may carry TURN credentials. */
const credentials = ["ticket", "expiresAt", "urls"];

const tenancy = (caller: Caller): Tenancy => (caller.kind === "session" ? caller.tenant : null);

/** Whoever creates sessions; a dashboard that reads them waits for none. */
const mayOwn = (caller: Caller) => caller.kind === "session" || caller.kind === "operate";

function ownTenant(caller: Caller): string {
  if (caller.kind === "session" || caller.kind === "operate") return caller.tenant;
  throw new Error(`a caller of kind ${caller.kind} owns no sessions`);
}
