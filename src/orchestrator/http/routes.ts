// The orchestrator's endpoints. Each parses nothing and decides nothing: contracts do the one, stores and allocator the
// other.
import { type ProviderId, type RegionId, regionId } from "../../contracts/catalog.js";
import { type Assignment, orchestratorRoutes as routes } from "../../contracts/orchestrator.js";
import { Problem } from "../../contracts/problems.js";
import { readAs } from "../../contracts/read-as.js";
import type { Caller } from "../../platform/auth.js";
import type { Clock } from "../../platform/clock.js";
import type { Database } from "../../platform/database.js";
import { type HttpServer, serve } from "../../platform/http.js";
import { sendFeed } from "../../platform/sse.js";
import type { TenantMeters } from "../../platform/tenant-meters.js";
import type { Heartbeats } from "../agents/heartbeats.js";
import { gameSummary, games } from "../catalog/games.js";
import { regionIds } from "../catalog/regions.js";
import { parseEventId } from "../events/cursor.js";
import { followEvents } from "../events/feed.js";
import type { Bell } from "../loop.js";
import type { FleetMeters } from "../metrics.js";
import type { Allocator } from "../placement/allocate.js";
import { fleetMetrics, regionCapacity } from "../placement/capacity.js";
import type { FallbackChains } from "../placement/demand.js";
import type { GrowthRules } from "../placement/growth.js";
import type { Enrolments, Holds, Placements, Vms } from "../store.js";
import { serveAgents } from "./agent-routes.js";

/** The newest of them are asked what games they have: machines of one image have the same. */
const describedMachinesMax = 100;

export interface RoutesDeps {
  readonly vms: Vms;
  readonly placements: Placements;
  readonly holds: Holds;
  readonly enrolments: Enrolments;
  readonly heartbeats: Heartbeats;
  readonly allocator: Allocator;
  readonly meters: FleetMeters;
  readonly tenantMeters: TenantMeters<"waiting" | "vms">;
  readonly growth: GrowthRules;
  readonly chains: FallbackChains;
  /** From what is given: the same id from the same text. */
  readonly newVmId: (from: string | null) => string;
  /** How long a VM of the provider may drain. */
  readonly drainMsOf: (provider: ProviderId) => number;
  readonly leaseSeconds: number;
  readonly database: Database;
  readonly eventsBell: Bell;
  readonly clock: Clock;
  /** Fires when the role stops: open feeds end then. */
  readonly stopping: AbortSignal;
}

export function serveOrchestrator(server: HttpServer, deps: RoutesDeps): void {
  serveVms(server, deps);
  servePlacements(server, deps);
  serveReadings(server, deps);
  serveAgents(server, deps);
}

function serveVms(
  server: HttpServer,
  { vms, growth, tenantMeters, newVmId, drainMsOf, clock, allocator, enrolments, meters }: RoutesDeps,
): void {
  serve(server, routes.createVm, async ({ body: { templateId, region }, caller, effectId }) => {
    const { provider } = growth.places(region, templateId);
    const tenant = "tenant" in caller ? caller.tenant : null;
    const vm = { vmId: newVmId(effectId), templateId, region, provider, tenant };
    try {
      return { status: 201, body: await vms.create(vm, growth) };
    } catch (error) {
      countRefusal(error, tenant, tenantMeters);
      throw error;
    }
  });
  serve(server, routes.listVms, async ({ query }) => ({ status: 200, body: await vms.list(query) }));
  /** An agent speaks for its VM as long as the launch it came from counts. */
  const fence = async (caller: Caller): Promise<void> => {
    if (caller.kind === "agent") await enrolments.check(caller.vmId, caller.epoch);
  };
  serve(server, routes.getVm, async ({ params, caller }) => {
    await fence(caller);
    return { status: 200, body: await vms.get(params.vmId) };
  });
  serve(server, routes.markReady, async ({ params, body, caller, expected }) => {
    await fence(caller);
    const vm = await vms.markReady(params.vmId, body.capabilities, expected);
    meters.vmReady(vm);
    return { status: 200, body: vm };
  });
  serve(server, routes.drain, async ({ params, body, expected }) => {
    const { reason = "drained by an operator", deadlineSeconds } = body;
    const { provider } = await vms.get(params.vmId);
    const lasts = deadlineSeconds === undefined ? drainMsOf(provider) : deadlineSeconds * 1000;
    const deadlineAt = new Date(clock.now() + lasts);
    return { status: 200, body: await vms.drain(params.vmId, { reason, deadlineAt, expected }) };
  });
  serve(server, routes.reportError, async ({ params, body: { errorCode, errorMessage }, caller, expected }) => {
    await fence(caller);
    const vm = await vms.fail(params.vmId, { code: errorCode, message: errorMessage }, { expected });
    meters.vmFailed(vm.provider, "reported");
    return { status: 200, body: vm };
  });
  serve(server, routes.terminate, async ({ params, body, expected }) => {
    const { reason = "terminated by an operator", force } = body;
    return { status: 200, body: await vms.terminate(params.vmId, { reason, force, expected }) };
  });
  serve(server, routes.release, async ({ params: { vmId }, body: { sessionId, reason = "released" }, expected }) => {
    await allocator.release(vmId, sessionId, reason, expected);
    return { status: 200, body: await vms.get(vmId) };
  });
}

function servePlacements(server: HttpServer, { allocator, placements, meters, tenantMeters, clock }: RoutesDeps): void {
  serve(server, routes.assign, async ({ body }) => {
    const startedMs = clock.now();
    const count = (outcome: Parameters<FleetMeters["allocated"]>[0]) =>
      meters.allocated(outcome, (clock.now() - startedMs) / 1000);
    try {
      const answer =
        "vmId" in body
          ? await allocator.assignTo(body.sessionId, body.vmId)
          : await allocator.assign(body.sessionId, body.request, body.tenant);
      count(answer.status.toLowerCase() as Lowercase<Assignment["status"]>);
      return { status: answer.status === "ASSIGNED" ? 200 : 202, body: answer };
    } catch (error) {
      count(error instanceof Problem && error.status < 500 ? "refused" : "failed");
      if ("tenant" in body) countRefusal(error, body.tenant, tenantMeters);
      throw error;
    }
  });
  serve(server, routes.withdraw, async ({ params: { sessionId } }) => ({
    status: 200,
    body: { sessionId, released: await allocator.withdraw(sessionId, "withdrawn") },
  }));
  serve(server, routes.renewPlacements, async ({ body }) => ({
    status: 200,
    body: { waiting: await placements.renew(body.sessionIds) },
  }));
  serve(server, routes.getPlacement, async ({ params }) => ({
    status: 200,
    body: await allocator.get(params.sessionId),
  }));
  serve(server, routes.explainPlacement, async ({ params }) => ({
    status: 200,
    body: await allocator.explain(params.sessionId),
  }));
  serve(server, routes.findVm, async ({ body }) => ({ status: 200, body: await allocator.findVm(body) }));
}

/** Of what a tenant has as many of as it may. */
function countRefusal(error: unknown, tenant: string | null, meters: RoutesDeps["tenantMeters"]): void {
  if (!(error instanceof Problem) || tenant === null) return;
  const limit = error.extra.quota?.limit;
  if (limit === "waiting" || limit === "vms") meters.refused(limit, tenant);
}

function serveReadings(server: HttpServer, deps: RoutesDeps): void {
  const { vms, placements, holds, growth, chains, clock, database, eventsBell, stopping } = deps;
  const read = async () => ({
    fleet: await placements.readFleet(),
    holds: await holds.read(),
    waiting: await placements.waitingByRegion(),
    chains,
    nowMs: clock.now(),
  });
  serve(server, routes.regionCapacities, async () => {
    const readings = await read();
    return { status: 200, body: { regions: regionIds.map((region) => regionCapacity({ ...readings, region })) } };
  });
  serve(server, routes.regionCapacity, async ({ params }) => ({
    status: 200,
    body: regionCapacity({ ...(await read()), region: knownRegion(params.region) }),
  }));
  serve(server, routes.metrics, async () => ({ status: 200, body: fleetMetrics(await read()) }));
  serve(server, routes.tenants, async () => {
    const uses = await placements.useByTenant();
    const { quotas } = growth;
    const tenants = [...new Set([...quotas.named, ...uses.keys()])].sort().map((tenant) => ({
      tenant,
      waiting: { used: uses.get(tenant)?.waiting ?? 0, max: quotas.max(tenant, "waiting") },
      vms: { used: uses.get(tenant)?.vms ?? 0, max: quotas.max(tenant, "vms") },
    }));
    return { status: 200, body: { tenants } };
  });
  serve(server, routes.games, async () => {
    const { vms: machines } = await vms.list({ status: ["READY", "IN_USE"], limit: describedMachinesMax });
    const listed = games.filter(({ listed }) => listed).map((game) => gameSummary(game, machines));
    return { status: 200, body: { games: listed } };
  });
  serve(server, routes.events, async ({ query, raw, reply }) => {
    const header = raw.headers["last-event-id"];
    const after = typeof header === "string" ? header : query.after;
    const last = after === undefined ? null : parseEventId(after);
    if (after !== undefined && last === null)
      throw new Problem("invalid-request", "That is not the id of an event.", {
        errors: [{ field: "after", message: "must be the id of an event" }],
      });
    return sendFeed(reply, (signal) =>
      followEvents({ db: database, last, bell: eventsBell, signal: AbortSignal.any([signal, stopping]) }),
    );
  });
}

function knownRegion(text: string): RegionId {
  const region = readAs(regionId, text);
  if (region.success) return region.data;
  throw new Problem("not-found", `There is no region ${text}.`);
}
