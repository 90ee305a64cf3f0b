// The endpoints that are the agents' own: enrolling, tokens, heartbeats.
import { agentRoutes as routes } from "../../contracts/agents.js";
import { Problem } from "../../contracts/problems.js";
import { agentTokenSeconds } from "../../platform/auth.js";
import type { Clock } from "../../platform/clock.js";
import { type HttpServer, serve } from "../../platform/http.js";
import { hashKey } from "../../platform/secrets.js";
import type { Heartbeats } from "../agents/heartbeats.js";
import { checkProof } from "../agents/proof.js";
import { programs } from "../catalog/games.js";
import type { Enrolments } from "../store.js";

export function serveAgents(
  server: HttpServer,
  deps: { enrolments: Enrolments; heartbeats: Heartbeats; leaseSeconds: number; clock: Clock },
): void {
  const { enrolments, heartbeats, leaseSeconds, clock } = deps;
  const token = async (vmId: string, epoch: number) => ({
    status: 200 as const,
    body: {
      token: await server.authenticator.mintAgentToken(vmId, epoch),
      expiresInSeconds: agentTokenSeconds,
    },
  });
  serve(server, routes.enrol, async ({ params: { vmId }, body, caller }) => {
    if (caller.kind !== "bootstrap") throw new Problem("forbidden");
    return token(vmId, await enrolments.enrol(vmId, hashKey(caller.token), body.publicKey, body.epoch));
  });
  serve(server, routes.renew, async ({ params: { vmId }, body }) => {
    const { key, epoch } = await enrolments.keyOf(vmId, body.epoch);
    await checkProof(body.proof, { key, vmId, nowMs: clock.now() });
    return token(vmId, epoch);
  });
  serve(server, routes.programs, async () => ({ status: 200, body: { programs: programs() } }));
  serve(server, routes.heartbeat, async ({ params: { vmId }, body, caller }) => {
    if (caller.kind !== "agent") throw new Problem("forbidden");
    const { epoch } = caller;
    const { seats, ...state } = await heartbeats.renew({ vmId, epoch, version: body.version ?? null });
    return { status: 200, body: { ...state, leaseSeconds, ...(seats && { seats }) } };
  });
}
