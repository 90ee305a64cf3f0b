// The orchestrator's HTTP surface: the seed's twelve endpoints at the seed's paths, lists and feeds. The agents' own are in agents.ts.
import * as z from "zod";
import { regionCapacity } from "./capacity.js";
import {
  capabilities,
  encoding,
  gameId,
  gameSummary,
  pointerMode,
  presetId,
  providerId,
  regionId,
  templateId,
  videoMode,
  x11Program,
} from "./catalog.js";
import { vmEvent } from "./events.js";
import { route } from "./route.js";
import { placementUse, tenantName } from "./tenants.js";
import { anyOf, text } from "./text.js";

export const vmStatus = z.enum([
  "TEMPLATE",
  "PROVISIONING",
  "BOOTING",
  "READY",
  "IN_USE",
  "DRAINING",
  "ERROR",
  "TERMINATED",
]);
export type VmStatus = z.infer<typeof vmStatus>;

const id = (what: string) =>
  z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/, `a ${what}: letters, digits, - and _`);
export const vmId = id("VM id");
export const sessionId = id("session id");
const reason = text(200, 1);
const instant = z.iso.datetime().describe("UTC, RFC 3339");

export const vm = z
  .object({
    vmId,
    templateId,
    region: regionId,
    provider: providerId,
    tenant: z.string().nullable().describe("Whose request, or operator's key, had it made; null: the warm pool"),
    status: vmStatus,
    reachable: z.boolean().describe("False while its agent's lease has run out: a condition beside the state"),
    units: z.object({
      total: z.literal(60),
      used: z.int().min(0).max(60),
    }),
    sessions: z.array(sessionId),
    capabilities: capabilities.nullable(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    reason: z.string().nullable().describe("Why it drains or was terminated"),
    createdAt: instant,
    readyAt: instant.nullable(),
    terminatedAt: instant.nullable(),
    version: z.int(),
  })
  .describe("One GPU VM. A VM is 60 units; a session takes 60 / min(template's, preset's, agent's sessions)")
  .meta({ id: "Vm" });
export type Vm = z.infer<typeof vm>;

/** Who will use the seat: a browser needs a VM that really streams, `api` also takes a simulated one. */
export const sessionClient = z.enum(["browser", "api"]);
export type SessionClient = z.infer<typeof sessionClient>;

/** What a session asks of placement. Latencies are the player's own measurements, in ms, by region. */
export const placementRequest = z.object({
  gameId,
  presetId: presetId.optional().describe("Default: the game's own"),
  region: regionId.optional().describe("Where to look first; default: the lowest latency, else us-east-1"),
  latencies: z.partialRecord(regionId, z.number().min(0).max(10_000)).optional(),
  rttMsMax: z.number().min(1).max(10_000).optional().describe("Regions farther than this are left out; default 150"),
  policy: z.enum(["soonest", "nearest"]).optional(),
  cap: videoMode.optional().describe("An upper bound on the picture; the session runs at it or below"),
  client: sessionClient.default("browser"),
});
export type PlacementRequest = z.infer<typeof placementRequest>;

export const assignRequest = z.union([
  z.strictObject({ sessionId, vmId }).describe("The seed's form: this VM, or a 409"),
  z.strictObject({ sessionId, request: placementRequest, tenant: tenantName.default("default") }),
]);

/** The seat of one session, or its place in the queue. Asking again with the same sessionId answers the same. */
export const assignment = z
  .discriminatedUnion("status", [
    z.object({
      status: z.literal("ASSIGNED"),
      sessionId,
      vmId,
      region: regionId,
      templateId,
      provider: providerId,
    }),
    z.object({
      status: z.enum(["PROVISIONING", "QUEUED"]),
      sessionId,
      region: regionId.describe("The region it waits for first"),
      position: z.int().min(1).describe("1 is next"),
      etaSeconds: z
        .number()
        .nullable()
        .describe("Until its seat, by VMs under way and sessions' usual durations; null: unknown"),
      reason: z.string().describe("Why there is no seat now, in words"),
    }),
  ])
  .meta({ id: "Assignment" });
export type Assignment = z.infer<typeof assignment>;

/** What the agent must be running now: its heartbeat's answer, level-triggered. */
export const seatSpec = z
  .object({
    sessionId,
    gameId,
    title: z.string().describe("The game's, for people"),
    pointer: pointerMode,
    presetId,
    mode: videoMode.describe("The preset's mode, cut by the request's cap; the agent may run below it"),
    bitrateKbpsMin: z.int(),
    bitrateKbpsMax: z.int(),
    encoding: encoding.optional().describe("Absent, as of a seat given before there was such: moderate, one frame"),
    program: x11Program.optional().describe("What to run; none: the game is one of the agent's own"),
    idleMs: z.number().positive().describe("A player who touches nothing for so long is idle: the session ends"),
  })
  .meta({ id: "Seat" });
export type SeatSpec = z.infer<typeof seatSpec>;

export const fleetMetrics = z
  .object({
    vms: z.int().describe("Not TERMINATED, without TEMPLATE rows"),
    byStatus: z.record(vmStatus, z.int()),
    byRegion: z.record(regionId, z.int()),
    units: z.object({ total: z.int(), used: z.int(), free: z.int() }),
    sessions: z.object({ total: z.int(), used: z.int(), free: z.int() }),
    waiting: z.int(),
    regions: z.array(regionCapacity),
  })
  .meta({ id: "FleetMetrics" });
export type FleetMetrics = z.infer<typeof fleetMetrics>;

export const rejectionCounts = z.record(z.string(), z.int()).describe("How many VMs were passed over, by reason");

/** Why a session got its VM and not another. Kept for 7 days after the seat was given. */
export const placementExplanation = z
  .object({
    sessionId: sessionId.nullable().describe("null: a question of find-vm, no session"),
    decidedAt: instant.describe("When it was decided; for a session without a VM, now"),
    vm: z.object({ vmId, region: regionId, templateId }).nullable().describe("null: it has none yet"),
    how: z
      .enum(["free", "queue", "named"])
      .nullable()
      .describe("free: there was a free seat at once; queue: it waited for it; named: the caller named the VM"),
    text: z.string().describe("Why this VM, in words"),
    reasons: z
      .array(z.object({ reason: z.string(), vms: z.int(), text: z.string() }))
      .describe("How many VMs were passed over and why, the most frequent reason first"),
    runnersUp: z
      .array(z.object({ vmId, region: regionId, usedUnits: z.int(), text: z.string() }))
      .describe("The five that would have been next, and why they were not first"),
  })
  .meta({ id: "PlacementExplanation" });
export type PlacementExplanation = z.infer<typeof placementExplanation>;

const found = z.object({
  vm: vm.nullable().describe("The seat's VM; null: none is free"),
  region: regionId.nullable(),
  fallbackUsed: z.boolean(),
  rejected: rejectionCounts,
  explanation: placementExplanation.optional().describe("If the request asked to explain"),
});
export type FindVmAnswer = z.infer<typeof found>;

const base = "/api/orchestrator/v1";
const vmParams = z.object({ vmId });
const ok = (description: string) => ({ 200: { description, schema: vm } });

/** Sessions a single call renews. */
export const renewalsMax = 1_000;

export const orchestratorRoutes = {
  createVm: route({
    method: "POST",
    path: `${base}/vm`,
    operationId: "createVm",
    tag: "orchestrator",
    summary: "Create a VM from a template in a region",
    callers: ["operate"],
    body: z.strictObject({ templateId, region: regionId }),
    responses: { 201: { description: "The VM, PROVISIONING", schema: vm } },
  }),
  listVms: route({
    method: "GET",
    path: `${base}/vm`,
    operationId: "listVms",
    tag: "orchestrator",
    summary: "List VMs, newest first",
    callers: ["operate", "read"],
    query: z.strictObject({
      status: anyOf(vmStatus).optional().describe("One or several, by commas: `READY,IN_USE`"),
      region: regionId.optional(),
      templateId: templateId.optional(),
      provider: providerId.optional(),
      tenant: tenantName.optional().describe("Made for this tenant"),
      reachable: z.enum(["true", "false"]).optional(),
      sessionId: sessionId.optional().describe("The VM this session has its seat on"),
      limit: z.coerce.number().int().min(1).max(500).default(100),
      cursor: text(200).optional().describe("`nextCursor` of the page before; keep the filters the same"),
    }),
    responses: {
      200: { description: "A page", schema: z.object({ vms: z.array(vm), nextCursor: z.string().nullable() }) },
    },
  }),
  assign: route({
    method: "POST",
    path: `${base}/vm/assign`,
    operationId: "assign",
    tag: "orchestrator",
    summary: "Give a session a seat: on the VM named, or find (or create) one and assign in one atomic step",
    callers: ["operate", "service"],
    body: assignRequest,
    responses: {
      200: { description: "The seat", schema: assignment },
      202: { description: "No free seat yet: the place in the queue", schema: assignment },
    },
  }),
  getVm: route({
    method: "GET",
    path: `${base}/vm/:vmId`,
    operationId: "getVm",
    versioned: true,
    tag: "orchestrator",
    summary: "Get a VM",
    callers: ["operate", "read", "service", "agent"],
    params: vmParams,
    responses: ok("The VM"),
  }),
  markReady: route({
    method: "POST",
    path: `${base}/vm/:vmId/ready`,
    operationId: "markReady",
    versioned: true,
    tag: "orchestrator",
    summary: "Mark a booting VM ready for sessions",
    callers: ["operate", "agent"],
    params: vmParams,
    body: z.strictObject({ capabilities: capabilities.optional() }).default({}),
    responses: ok("The VM, READY"),
  }),
  drain: route({
    method: "POST",
    path: `${base}/vm/:vmId/draining`,
    operationId: "drain",
    versioned: true,
    tag: "orchestrator",
    summary: "Take no new sessions; terminate when the last one ends or the deadline passes",
    callers: ["operate"],
    params: vmParams,
    body: z
      .strictObject({ reason: reason.optional(), deadlineSeconds: z.number().min(0).max(86_400).optional() })
      .default({}),
    responses: ok("The VM, DRAINING"),
  }),
  reportError: route({
    method: "POST",
    path: `${base}/vm/:vmId/error`,
    operationId: "reportError",
    versioned: true,
    tag: "orchestrator",
    summary: "Report a VM as broken: its sessions are placed once more, and it is terminated",
    callers: ["operate", "agent"],
    params: vmParams,
    body: z.strictObject({
      errorCode: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, "an error code: small letters, digits and dashes"),
      errorMessage: text(500, 1),
    }),
    responses: ok("The VM, ERROR"),
  }),
  terminate: route({
    method: "POST",
    path: `${base}/vm/:vmId/terminate`,
    operationId: "terminate",
    versioned: true,
    tag: "orchestrator",
    summary: "Destroy a VM; with live sessions only by force",
    callers: ["operate"],
    params: vmParams,
    body: z.strictObject({ reason: reason.optional(), force: z.boolean().default(false) }).default({ force: false }),
    responses: ok("The VM, TERMINATED"),
  }),
  release: route({
    method: "POST",
    path: `${base}/vm/:vmId/release`,
    operationId: "release",
    versioned: true,
    tag: "orchestrator",
    summary: "Give a session's seat back",
    callers: ["operate", "service"],
    params: vmParams,
    body: z.strictObject({ sessionId, reason: reason.optional() }),
    responses: ok("The VM without the session"),
  }),
  withdraw: route({
    method: "DELETE",
    path: `${base}/placements/:sessionId`,
    operationId: "withdraw",
    tag: "orchestrator",
    summary: "Leave the queue, or give the seat back wherever it is; a session unknown here is a success too",
    callers: ["operate", "service"],
    params: z.object({ sessionId }),
    responses: {
      200: { description: "It holds nothing now", schema: z.object({ sessionId, released: z.boolean() }) },
    },
  }),
  renewPlacements: route({
    method: "POST",
    path: `${base}/placements/renew`,
    operationId: "renewPlacements",
    tag: "orchestrator",
    summary: "Say that somebody still waits for these sessions: one that is not renewed leaves the queue",
    callers: ["operate", "service"],
    body: z.strictObject({ sessionIds: z.array(sessionId).max(renewalsMax) }),
    responses: {
      200: { description: "Those that wait", schema: z.object({ waiting: z.array(sessionId) }) },
    },
  }),
  getPlacement: route({
    method: "GET",
    path: `${base}/placements/:sessionId`,
    operationId: "getPlacement",
    tag: "orchestrator",
    summary: "The seat of a session, or its place in the queue",
    callers: ["operate", "read", "service"],
    params: z.object({ sessionId }),
    responses: { 200: { description: "Its seat or place", schema: assignment } },
  }),
  explainPlacement: route({
    method: "GET",
    path: `${base}/placements/:sessionId/explain`,
    operationId: "explainPlacement",
    tag: "orchestrator",
    summary: "Why a session got its VM and not another, in words; or what stands in the way of one that waits",
    callers: ["operate", "read", "service"],
    params: z.object({ sessionId }),
    responses: { 200: { description: "The decision", schema: placementExplanation } },
  }),
  findVm: route({
    method: "POST",
    path: `${base}/find-vm`,
    operationId: "findVm",
    tag: "orchestrator",
    summary: "Which VM a request would get now, walking the region's fallback chain; changes nothing",
    callers: ["operate", "service", "read"],
    body: z.strictObject({
      ...placementRequest.shape,
      explain: z.boolean().default(false).describe("Also say in words why this VM and not the others"),
    }),
    responses: { 200: { description: "The choice, or none", schema: found } },
  }),
  regionCapacity: route({
    method: "GET",
    path: `${base}/regions/:region/capacity`,
    operationId: "regionCapacity",
    tag: "orchestrator",
    summary: "Capacity of one region",
    callers: ["operate", "read", "service", "session"],
    params: z.object({ region: text(64) }),
    responses: { 200: { description: "Its capacity", schema: regionCapacity } },
  }),
  regionCapacities: route({
    method: "GET",
    path: `${base}/regions/capacity`,
    operationId: "regionCapacities",
    tag: "orchestrator",
    summary: "Capacity of every region",
    callers: ["operate", "read", "service", "session"],
    responses: { 200: { description: "All six", schema: z.object({ regions: z.array(regionCapacity) }) } },
  }),
  tenants: route({
    method: "GET",
    path: `${base}/tenants`,
    operationId: "listTenantPlacements",
    tag: "orchestrator",
    summary: "What each tenant has, and may have, of waiting requests and VMs; with its sessions: the session service",
    callers: ["operate", "read", "service"],
    responses: {
      200: { description: "Tenants with limits or use", schema: z.object({ tenants: z.array(placementUse) }) },
    },
  }),
  metrics: route({
    method: "GET",
    path: `${base}/metrics`,
    operationId: "fleetMetrics",
    tag: "orchestrator",
    summary: "Fleet figures as JSON; Prometheus reads /metrics",
    callers: ["operate", "read"],
    responses: { 200: { description: "The figures", schema: fleetMetrics } },
  }),
  games: route({
    method: "GET",
    path: `${base}/games`,
    operationId: "listGames",
    tag: "orchestrator",
    summary: "The games a session may ask for",
    callers: ["operate", "read", "service", "session"],
    responses: { 200: { description: "The games", schema: z.object({ games: z.array(gameSummary) }) } },
  }),
  events: route({
    method: "GET",
    path: `${base}/events`,
    operationId: "watchEvents",
    tag: "orchestrator",
    summary: "VM and seat events as they are committed (text/event-stream; resume with Last-Event-ID)",
    callers: ["operate", "read", "service"],
    query: z.strictObject({ after: text(100).optional().describe("An event id; default: from now on") }),
    responses: { 200: { description: "CloudEvents 1.0, one per `data:`", schema: vmEvent } },
  }),
} as const;
