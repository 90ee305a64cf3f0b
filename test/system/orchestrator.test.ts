// Every endpoint of the orchestrator over real HTTP and a real database: what it does, what it refuses, and that what
// it refuses leaves no trace.

import { randomUUID } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { agentRoutes } from "../../src/contracts/agents.js";
import { regionId } from "../../src/contracts/catalog.js";
import { type VmEvent, vmEvent } from "../../src/contracts/events.js";
import { orchestratorRoutes as routes, vmStatus } from "../../src/contracts/orchestrator.js";
import { Problem, type ProblemType } from "../../src/contracts/problems.js";
import type { Route } from "../../src/contracts/route.js";
import { PlacementDecisions } from "../../src/orchestrator/placement/decisions-store.js";
import { nextStatus, type VmChange } from "../../src/orchestrator/vm/lifecycle.js";
import { bootstrapPrefix } from "../../src/platform/auth.js";
import { fillPath } from "../../src/platform/client.js";
import { hashKey } from "../../src/platform/secrets.js";
import { readFeed } from "../../src/platform/sse.js";
import {
  emptyFleet,
  startDatabase,
  startOrchestrator,
  type TestDatabase,
  type TestOrchestrator,
  vmIn,
} from "./orchestrator-fixture.js";

let db: TestDatabase;
let orchestrator: TestOrchestrator;

beforeAll(async () => {
  db = await startDatabase();
  orchestrator = await startOrchestrator(db, { idle: true, config: { places: [{ vmsMax: 3 }] } });
});
afterAll(async () => {
  await orchestrator[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});
beforeEach(() => emptyFleet(orchestrator.database));

const operator = () => orchestrator.as("operate");
const refusal = async (call: Promise<unknown>): Promise<ProblemType | null> =>
  call.then(
    () => null,
    (error: unknown) => {
      if (error instanceof Problem) return error.type;
      throw error;
    },
  );

/** Everything a call may have changed. */
const trace = () =>
  orchestrator.database.one(`
    select (select json_agg(v order by vm_id) from orchestrator.vms v) as vms,
           (select json_agg(p order by session_id) from orchestrator.placements p) as placements,
           (select count(*) from orchestrator.outbox) as events`);

/** The same, of calls that must be refused: none of them leaves a trace. */
async function expectRefused(call: () => Promise<unknown>, type: ProblemType): Promise<void> {
  const before = await trace();
  expect(await refusal(call())).toBe(type);
  expect(await trace()).toEqual(before);
}

async function send(route: Route, request: { params?: Record<string, string>; body?: unknown; query?: string } = {}) {
  const { params = { vmId: "vm-0", sessionId: "s-0", region: "us-east-1" }, body, query = "" } = request;
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${orchestrator.url}${fillPath(route.path, params)}${query}`, {
    method: route.method,
    headers: {
      authorization: `Bearer ${orchestrator.key("operate")}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: text }),
  });
  return {
    status: response.status,
    problem: (await response.json()) as { type?: string; errors?: { field: string }[] },
  };
}

describe("the lifecycle over HTTP", () => {
  const session = (vmId: string) => `on-${vmId}`;
  const operations: Record<string, { change: VmChange; call: (vmId: string) => Promise<unknown> }> = {
    ready: { change: "ready", call: (vmId) => operator().call(routes.markReady, { params: { vmId }, body: {} }) },
    assign: {
      change: "assigned",
      call: (vmId) => operator().call(routes.assign, { body: { sessionId: "another", vmId } }),
    },
    release: {
      change: "emptied",
      call: (vmId) => operator().call(routes.release, { params: { vmId }, body: { sessionId: session(vmId) } }),
    },
    draining: { change: "drained", call: (vmId) => operator().call(routes.drain, { params: { vmId }, body: {} }) },
    error: {
      change: "failed",
      call: (vmId) =>
        operator().call(routes.reportError, {
          params: { vmId },
          body: { errorCode: "gpu-lost", errorMessage: "Gone." },
        }),
    },
    terminate: {
      change: "terminated",
      call: (vmId) => operator().call(routes.terminate, { params: { vmId }, body: { force: true } }),
    },
  };
  const matrix = vmStatus.options.flatMap((status) =>
    Object.entries(operations).map(([name, { change }]) => ({ status, name, next: nextStatus(status, change) })),
  );

  test.each(matrix)("$status + $name → $next", async ({ status, name, next }) => {
    const vm = await vmIn(orchestrator, status);
    const { call } = operations[name]!;
    if (next === null) return expectRefused(() => call(vm.vmId), "illegal-transition");
    await call(vm.vmId);
    const after = await orchestrator.vms.get(vm.vmId);
    expect(after.status).toBe(next);
    expect(after.version).toBe(vm.version + 1);
  });

  test.each(["IN_USE", "DRAINING"] as const)("a %s VM with sessions is terminated by force alone", async (status) => {
    const { vmId } = await vmIn(orchestrator, status);
    await expectRefused(() => operator().call(routes.terminate, { params: { vmId }, body: {} }), "vm-has-sessions");
  });

  test("a template counts in no capacity and in no metric", async () => {
    const { body } = await operator().call(routes.metrics);
    expect(body).toMatchObject({ vms: 0, units: { total: 0, used: 0, free: 0 } });
    expect(body.byStatus.TEMPLATE).toBe(0);
    const { body: page } = await operator().call(routes.listVms, { query: { status: "TEMPLATE" } });
    expect(page.vms.map((vm) => vm.vmId)).toContain("template-A16");
    expect(page.vms).toHaveLength(6);
  });

  test("a VM is made, read, and refused where its place is full", async () => {
    const body = { templateId: "A10", region: "eu-west-1" } as const;
    for (let i = 0; i < 3; i++) {
      const made = await operator().call(routes.createVm, { body });
      expect(made).toMatchObject({ status: 201, body: { ...body, status: "PROVISIONING", sessions: [], version: 1 } });
      expect((await operator().call(routes.getVm, { params: { vmId: made.body.vmId } })).body).toEqual(made.body);
    }
    await expectRefused(() => operator().call(routes.createVm, { body }), "capacity-exhausted");
  });

  test("the list is paged, newest first, and filtered", async () => {
    const made: string[] = [];
    for (const region of ["us-east-1", "eu-west-1", "us-east-1"] as const)
      made.unshift((await vmIn(orchestrator, "READY", { region })).vmId);
    const list = async (query: object) => (await operator().call(routes.listVms, { query })).body;
    const first = await list({ limit: 2 });
    const second = await list({ limit: 2, cursor: first.nextCursor! });
    expect([...first.vms, ...second.vms].map((vm) => vm.vmId).slice(0, 3)).toEqual(made);
    expect((await list({ region: "eu-west-1" })).vms.map((vm) => vm.vmId)).toEqual([made[1]]);
    expect((await list({ status: "READY" })).nextCursor).toBeNull();
    expect((await list({ status: "BOOTING" })).vms).toEqual([]);
  });
});

describe("what is asked wrongly", () => {
  const withVm = Object.values(routes).filter((route) => route.path.includes(":vmId"));
  const bodies: Record<string, unknown> = {
    reportError: { errorCode: "x", errorMessage: "x" },
    release: { sessionId: "s-0" },
  };
  test.each(
    withVm
      .filter((route) => (route.callers as readonly string[]).includes("operate"))
      .map((route) => [route.operationId, route] as const),
  )("%s of a VM that is not there: 404", async (operationId, route) => {
    for (const vmId of ["vm-0", "not an id!", "x".repeat(100)]) {
      const { status, problem } = await send(route, { params: { vmId }, body: bodies[operationId] });
      expect([status, problem.type]).toEqual([404, "urn:hotseat:problem:not-found"]);
    }
  });

  test("other unknown ids: 404, except that leaving twice is a success", async () => {
    expect((await send(routes.getPlacement)).status).toBe(404);
    expect((await send(routes.regionCapacity, { params: { region: "mars-1" } })).status).toBe(404);
    expect((await send(routes.assign, { body: { sessionId: "s", vmId: "vm-0" } })).status).toBe(404);
    const { body } = await operator().call(routes.withdraw, { params: { sessionId: "s-0" } });
    expect(body).toEqual({ sessionId: "s-0", released: false });
  });

  test.each([
    ["createVm", {}, "templateId"],
    ["createVm", { templateId: "L4-360", region: "mars-1" }, "region"],
    ["createVm", { templateId: "L4-360", region: "us-east-1", extra: 1 }, "extra"],
    ["createVm", { templateId: 7, region: "us-east-1" }, "templateId"],
    ["assign", { vmId: "vm-0" }, "sessionId"],
    ["assign", { sessionId: "a b", vmId: "vm-0" }, "sessionId"],
    ["assign", { sessionId: "s", request: {} }, "request.gameId"],
    [
      "assign",
      { sessionId: "s", request: { gameId: "demo", cap: { width: 1281, height: 720, fps: 60 } } },
      "request.cap.width",
    ],
    [
      "assign",
      { sessionId: "s", request: { gameId: "demo", latencies: { "us-east-1": -1 } } },
      "request.latencies.us-east-1",
    ],
    ["assign", { sessionId: "s", request: { gameId: "no-such-game" } }, "gameId"],
    ["assign", { sessionId: "s", request: { gameId: "demo", region: "us-east-1", rttMsMax: 1 } }, "rttMsMax"],
    ["findVm", { gameId: "demo", policy: "cheapest" }, "policy"],
    ["findVm", { gameId: "demo", nonsense: true }, "nonsense"],
    ["reportError", { errorMessage: "x" }, "errorCode"],
    ["reportError", { errorCode: "Not A Code", errorMessage: "x" }, "errorCode"],
    ["drain", { deadlineSeconds: -1 }, "deadlineSeconds"],
    ["terminate", { force: "yes" }, "force"],
    ["release", {}, "sessionId"],
    ["markReady", { capabilities: { encoder: "libx264" } }, "capabilities.pixelsPerSecond"],
  ] as const)("%s with %j: 400 naming %s", async (name, body, field) => {
    const before = await trace();
    const { status, problem } = await send(routes[name], { body });
    expect(status).toBe(400);
    expect(problem.errors?.map((error) => error.field)).toContain(field);
    expect(await trace()).toEqual(before);
  });

  test.each([
    ["?limit=0", "limit"],
    ["?limit=x", "limit"],
    ["?status=SLEEPING", "status"],
    ["?cursor=nonsense", "cursor"],
    ["?cursor=9999999999999999_vm-1", null],
    ["?page=2", "page"],
  ])("a list with %s names %s", async (query, field) => {
    const { status, problem } = await send(routes.listVms, { query });
    expect([status, problem.errors?.[0]?.field ?? null]).toEqual([field === null ? 200 : 400, field]);
  });

  test("what is not JSON, or not an object, is a 400", async () => {
    for (const body of [undefined, "{", "[]", "null", '"x"', "7"])
      expect((await send(routes.createVm, { body })).status).toBe(400);
  });

  test("a feed from a position that is none is a 400 naming it", async () => {
    const { status, problem } = await send(routes.events, { query: "?after=yesterday" });
    expect([status, problem.errors?.[0]?.field]).toEqual([400, "after"]);
  });
});

describe("seats", () => {
  const assign = (sessionId: string, request: object = {}) =>
    operator().call(routes.assign, { body: { sessionId, request: { gameId: "demo", ...request } } });

  test("a request gets a free seat at once, and the same one when it asks again", async () => {
    const vm = await vmIn(orchestrator, "READY");
    const first = await assign("s1");
    expect(first).toMatchObject({ status: 200, body: { status: "ASSIGNED", vmId: vm.vmId, region: "us-east-1" } });
    expect(await assign("s1")).toEqual(first);
    expect((await operator().call(routes.getPlacement, { params: { sessionId: "s1" } })).body).toEqual(first.body);
    expect(await orchestrator.vms.get(vm.vmId)).toMatchObject({
      status: "IN_USE",
      sessions: ["s1"],
      units: { total: 60, used: 15 },
    });
    const assigned = (await orchestrator.events()).filter((event) => event.type === "SessionAssigned");
    expect(assigned.map((event) => event.data)).toMatchObject([{ sessionId: "s1", vmId: vm.vmId }]);
  });

  test("presets mix to the last unit, and the next one is refused by that VM", async () => {
    const { vmId } = await vmIn(orchestrator, "READY");
    await assign("high", { presetId: "default-high" });
    await assign("one");
    await assign("two");
    expect((await orchestrator.vms.get(vmId)).units.used).toBe(60);
    await expectRefused(() => operator().call(routes.assign, { body: { sessionId: "three", vmId } }), "no-free-seat");
    const { body: full } = await operator().call(routes.findVm, { body: { gameId: "demo" } });
    expect(full).toEqual({ vm: null, region: null, fallbackUsed: false, rejected: { full: 1 } });
  });

  test("a seat on one VM is none on another", async () => {
    const [one, two] = [await vmIn(orchestrator, "READY"), await vmIn(orchestrator, "READY")];
    const take = (vmId: string) => operator().call(routes.assign, { body: { sessionId: "s", vmId } });
    await take(one.vmId);
    expect(await refusal(take(one.vmId))).toBeNull();
    await expectRefused(() => take(two.vmId), "session-elsewhere");
  });

  test("releasing gives the seat back; a session that is not there is a 404", async () => {
    const { vmId } = await vmIn(orchestrator, "READY");
    await assign("s1");
    await assign("s2");
    const release = (sessionId: string) => operator().call(routes.release, { params: { vmId }, body: { sessionId } });
    expect((await release("s1")).body).toMatchObject({ status: "IN_USE", sessions: ["s2"] });
    await expectRefused(() => release("s1"), "not-found");
    const { body } = await operator().call(routes.withdraw, { params: { sessionId: "s2" } });
    expect(body.released).toBe(true);
    expect(await orchestrator.vms.get(vmId)).toMatchObject({ status: "READY", sessions: [], units: { used: 0 } });
  });

  test("without a free seat a VM is made, and waiting sessions share it", async () => {
    const answers = [];
    for (let i = 1; i <= 5; i++) answers.push(await assign(`s${i}`));
    expect(answers.map(({ status, body }) => [status, body.status, "position" in body && body.position])).toEqual([
      [202, "PROVISIONING", 1],
      [202, "PROVISIONING", 2],
      [202, "PROVISIONING", 3],
      [202, "PROVISIONING", 4],
      [202, "PROVISIONING", 5],
    ]);
    const { body } = await operator().call(routes.listVms, { query: { status: "PROVISIONING" } });
    expect(body.vms).toHaveLength(2);
    expect(await assign("s3")).toEqual(answers[2]);
    await operator().call(routes.withdraw, { params: { sessionId: "s1" } });
    await expect.poll(async () => (await assign("s3")).body).toMatchObject({ position: 2 });
  });

  test("nobody overtakes who waits, and a seat goes to the first", async () => {
    const { vmId } = await vmIn(orchestrator, "READY", { templateId: "L4-90" });
    await assign("a", { presetId: "default-standard" });
    await assign("b");
    await assign("first");
    await assign("second");
    await operator().call(routes.release, { params: { vmId }, body: { sessionId: "a" } });
    const late = await assign("late");
    expect((await operator().call(routes.getPlacement, { params: { sessionId: "first" } })).body).toMatchObject({
      status: "ASSIGNED",
      vmId,
    });
    expect(late.body.status).toBe("PROVISIONING");
  });

  test("find-vm says which VM and where, and changes nothing", async () => {
    await vmIn(orchestrator, "READY", { region: "us-west-2" });
    const far = await vmIn(orchestrator, "READY", { region: "ap-southeast-1" });
    const before = await trace();
    const { body } = await operator().call(routes.findVm, { body: { gameId: "demo", region: "us-east-1" } });
    expect(body).toMatchObject({ region: "us-west-2", fallbackUsed: true, rejected: { "too-far": 1 } });
    const near = { gameId: "demo", latencies: { "ap-southeast-1": 20, "us-west-2": 180 } };
    const { body: measured } = await operator().call(routes.findVm, { body: near });
    expect(measured).toMatchObject({ vm: { vmId: far.vmId }, fallbackUsed: false });
    expect(await trace()).toEqual(before);
  });

  test("explain says why this VM and why not the others", async () => {
    const explain = async (sessionId: string) =>
      (await operator().call(routes.explainPlacement, { params: { sessionId } })).body;
    const first = await vmIn(orchestrator, "READY");
    await assign("s1");
    const full = await vmIn(orchestrator, "READY");
    const competitive = { body: { sessionId: "whole", vmId: full.vmId } };
    await operator().call(routes.assign, competitive);
    expect(await explain("whole")).toMatchObject({ how: "named", vm: { vmId: full.vmId } });
    await vmIn(orchestrator, "READY", { region: "ap-southeast-1" });
    const empty = await vmIn(orchestrator, "READY", { templateId: "A10" });
    // A notification later the replica's memory is as new as the database.
    await vi.waitFor(async () => {
      await assign("s2");
      const told = await explain("s2");
      await operator().call(routes.withdraw, { params: { sessionId: "s2" } });
      expect(told).toMatchObject({ how: "free", reasons: [{ reason: "too-far", vms: 1 }] });
      expect([first.vmId, full.vmId]).toContain(told.vm?.vmId);
      expect(told.text).toContain("the fullest VM that could take it in us-east-1");
      expect(told.runnersUp.find(({ vmId }) => vmId === empty.vmId)?.text).toContain("Less full");
    });
    const { size } = await orchestrator.database.one<{ size: number }>(
      "select max(octet_length(why)) as size from orchestrator.decisions",
    );
    expect(size).toBeLessThanOrEqual(500);
  });

  test("explain says what stands in the way of a session that waits, and forgets after a week", async () => {
    const { vmId } = await vmIn(orchestrator, "IN_USE");
    await operator().call(routes.drain, { params: { vmId }, body: {} });
    await assign("s1");
    const explain = operator().call(routes.explainPlacement, { params: { sessionId: "s1" } });
    expect((await explain).body).toMatchObject({
      vm: null,
      how: null,
      text: "It waits. A VM is starting for it.",
      reasons: [{ reason: "not-ready", vms: 2 }],
    });
    const { body } = await operator().call(routes.explainPlacement, { params: { sessionId: `on-${vmId}` } });
    expect(body.vm?.vmId).toBe(vmId);
    await orchestrator.database.query("update orchestrator.decisions set decided_at = now() - interval '8 days'");
    await new PlacementDecisions(orchestrator.database).forget(new Date(Date.now() - 7 * 24 * 3_600_000));
    const gone = operator().call(routes.explainPlacement, { params: { sessionId: `on-${vmId}` } });
    expect(await refusal(gone)).toBe("not-found");
  });

  test("find-vm explains itself when asked to", async () => {
    const { vmId } = await vmIn(orchestrator, "READY");
    const asked = { gameId: "demo", explain: true };
    const { body } = await operator().call(routes.findVm, { body: asked });
    expect(body.explanation).toMatchObject({ sessionId: null, vm: { vmId }, how: "free" });
    await operator().call(routes.drain, { params: { vmId }, body: {} });
    const { body: none } = await operator().call(routes.findVm, { body: asked });
    expect(none.explanation).toMatchObject({ vm: null, reasons: [{ reason: "not-ready", vms: 1 }] });
  });

  test("capacity follows the seats", async () => {
    await vmIn(orchestrator, "READY");
    await vmIn(orchestrator, "PROVISIONING", { region: "eu-west-1" });
    await assign("s1");
    const { body } = await operator().call(routes.regionCapacity, { params: { region: "us-east-1" } });
    expect(body).toMatchObject({ freeUnits: 45, usedUnits: 15, totalUnits: 60, freeSessions: 3, queueSeconds: 0 });
    const { body: all } = await operator().call(routes.regionCapacities);
    expect(all.regions).toHaveLength(6);
    expect(all.regions.find(({ region }) => region === "eu-west-1")).toMatchObject({
      provisioningVms: 1,
    });
    const { body: metrics } = await operator().call(routes.metrics);
    expect(metrics).toMatchObject({ vms: 2, sessions: { used: 1 }, regions: all.regions });
    const text = await orchestrator.registry.metrics();
    expect(text).toContain('hotseat_vms{status="IN_USE",region="us-east-1",template="L4-360",provider="local"} 1');
    expect(text).toContain('hotseat_seat_units{use="used",region="us-east-1",template="L4-360"} 15');
  });

  test("the games say how they are played; what is for measuring is not listed", async () => {
    const { body } = await operator().call(routes.games);
    expect(body.games.map((game) => game.gameId)).toEqual(["demo", "chromium-bsu", "neverball"]);
    expect(body.games[0]?.controls.map(({ input }) => input)).toEqual(["keyboard", "mouse", "gamepad"]);
  });
});

describe("what becomes of live sessions", () => {
  const released = async () =>
    (await orchestrator.events()).flatMap((event: VmEvent) =>
      event.type === "SessionReleased" ? [[event.data.sessionId, event.data.reason, event.data.next]] : [],
    );

  test("a VM that breaks sends its sessions back to the queue, each once", async () => {
    const { vmId } = await vmIn(orchestrator, "IN_USE");
    const sessionId = `on-${vmId}`;
    const breaks = (id: string) =>
      operator().call(routes.reportError, {
        params: { vmId: id },
        body: { errorCode: "gpu-lost", errorMessage: "Gone." },
      });
    const { body: broken } = await breaks(vmId);
    expect(broken).toMatchObject({ status: "ERROR", sessions: [], units: { used: 0 }, error: { code: "gpu-lost" } });
    expect((await operator().call(routes.getPlacement, { params: { sessionId } })).body).toMatchObject({
      status: "PROVISIONING",
      position: 1,
    });
    const next = await vmIn(orchestrator, "READY");
    await operator().call(routes.assign, { body: { sessionId, vmId: next.vmId } });
    await breaks(next.vmId);
    expect(await refusal(operator().call(routes.getPlacement, { params: { sessionId } }))).toBe("not-found");
    expect(await released()).toEqual([
      [sessionId, "vm-failed", "waiting"],
      [sessionId, "vm-failed", "none"],
    ]);
  });

  test("a VM terminated by force ends its sessions, and says so before its own end", async () => {
    const { vmId } = await vmIn(orchestrator, "IN_USE");
    await operator().call(routes.terminate, { params: { vmId }, body: { force: true, reason: "rolled" } });
    expect(await released()).toEqual([[`on-${vmId}`, "vm-terminated", "none"]]);
    const types = (await orchestrator.events()).map((event) => event.type);
    expect(types).toEqual(["VMProvisioned", "VMReady", "SessionAssigned", "SessionReleased", "VMTerminated"]);
    expect((await orchestrator.vms.get(vmId)).reason).toBe("rolled");
  });

  test("a draining VM keeps its sessions and takes none", async () => {
    const { vmId } = await vmIn(orchestrator, "DRAINING");
    expect((await orchestrator.vms.get(vmId)).sessions).toEqual([`on-${vmId}`]);
    const { body } = await operator().call(routes.findVm, { body: { gameId: "demo" } });
    expect(body.rejected).toEqual({ "not-ready": 1 });
  });
});

describe("the events feed", () => {
  async function read(count: number, from: { lastEventId?: string; query?: string }): Promise<VmEvent[]> {
    const stop = new AbortController();
    const seen: VmEvent[] = [];
    const { lastEventId, query = "" } = from;
    const url = `${orchestrator.url}${routes.events.path}${query}`;
    const bearer = orchestrator.key("service");
    for await (const item of readFeed({ url, bearer, ...(lastEventId && { lastEventId }), signal: stop.signal })) {
      const event = vmEvent.parse(item.data);
      expect(item.id).toBe(event.id);
      if (seen.push(event) === count) stop.abort();
    }
    return seen;
  }

  test("tells every change in order, and goes on after the last one seen", async () => {
    const start = String(
      (await orchestrator.database.one<{ n: number }>("select last_value as n from orchestrator.outbox_seq_seq")).n,
    );
    await vmIn(orchestrator, "IN_USE");
    const all = await read(3, { query: `?after=${start}` });
    expect(all.map((event) => event.type)).toEqual(["VMProvisioned", "VMReady", "SessionAssigned"]);
    expect(await read(2, { lastEventId: all[0]!.id })).toEqual(all.slice(1));
  });

  test("tells what happens while it is read, though nothing reconciles here", async () => {
    const reading = read(1, { query: "?after=0" });
    await vmIn(orchestrator, "PROVISIONING");
    expect((await reading)[0]?.type).toBe("VMProvisioned");
  });
});

describe("an agent", () => {
  const bootstrap = () => `${bootstrapPrefix}${randomUUID()}`;
  async function launched(token: string, lastsMs = 60_000): Promise<string> {
    const { vmId } = await vmIn(orchestrator, "PROVISIONING");
    const claim = {
      bootstrapHash: hashKey(token),
      expiresAt: new Date(Date.now() + lastsMs),
      claimedBefore: new Date(0),
    };
    expect(await orchestrator.vms.claimLaunch(vmId, claim)).toBe(1);
    expect(await orchestrator.vms.claimLaunch(vmId, claim)).toBeNull();
    await orchestrator.vms.markLaunched(vmId);
    return vmId;
  }
  async function newKey() {
    const { privateKey, publicKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });
    const { x } = await exportJWK(publicKey);
    return { privateKey, publicKey: { kty: "OKP" as const, crv: "Ed25519" as const, x: x! } };
  }
  const enrol = (token: string, vmId: string, publicKey: Awaited<ReturnType<typeof newKey>>["publicKey"]) =>
    orchestrator.bearer(token).call(agentRoutes.enrol, { params: { vmId }, body: { publicKey } });
  const proof = (key: CryptoKey, vmId: string, { audience = "hotseat-renew", seconds = 30 } = {}) =>
    new SignJWT()
      .setProtectedHeader({ alg: "EdDSA" })
      .setSubject(vmId)
      .setAudience(audience)
      .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
      .sign(key);
  const renew = async (vmId: string, given: Promise<string>) =>
    orchestrator.bearer("").call(agentRoutes.renew, { params: { vmId }, body: { proof: await given } });

  test("enrols once, is ready, and hears in its heartbeat what to run", async () => {
    const token = bootstrap();
    const vmId = await launched(token);
    const { publicKey } = await newKey();
    const { body } = await enrol(token, vmId, publicKey);
    const agent = orchestrator.bearer(body.token);
    const capabilities = {
      encoder: "libx264",
      pixelsPerSecond: 5e7,
      sustains: { width: 1280, height: 720, fps: 60 },
      sessionsMax: 1,
    };
    const ready = await agent.call(routes.markReady, { params: { vmId }, body: { capabilities } });
    expect(ready.body).toMatchObject({ status: "READY", capabilities });
    await operator().call(routes.assign, {
      body: { sessionId: "s", request: { gameId: "demo", cap: { width: 1000, height: 600, fps: 30 } } },
    });
    const beat = await agent.call(agentRoutes.heartbeat, { params: { vmId }, body: { sessions: [] } });
    expect(beat.body).toEqual({
      status: "IN_USE",
      leaseSeconds: 15,
      version: (await orchestrator.vms.get(vmId)).version,
      seats: [
        {
          sessionId: "s",
          gameId: "demo",
          presetId: "default-standard",
          mode: { width: 1000, height: 562, fps: 30 },
          title: "Comet Run",
          pointer: "relative",
          bitrateKbpsMin: 1_084,
          bitrateKbpsMax: 15_000,
          encoding: { effort: "moderate", vbvFrames: 1 },
          idleMs: 600_000,
        },
      ],
    });
    expect((await orchestrator.vms.get(vmId)).units.used).toBe(60);
    const other = await vmIn(orchestrator, "BOOTING");
    expect(await refusal(agent.call(routes.markReady, { params: { vmId: other.vmId }, body: {} }))).toBe("forbidden");
  });

  test("is refused with a token that is wrong, used, expired or another VM's", async () => {
    const token = bootstrap();
    const vmId = await launched(token);
    const other = await launched(bootstrap());
    const old = bootstrap();
    const expired = await launched(old, -1);
    const { publicKey } = await newKey();
    await expectRefused(() => enrol(bootstrap(), vmId, publicKey), "forbidden");
    await expectRefused(() => enrol(token, other, publicKey), "forbidden");
    await expectRefused(() => enrol(old, expired, publicKey), "forbidden");
    await expectRefused(() => enrol(token, "vm-0", publicKey), "not-found");
    await enrol(token, vmId, publicKey);
    await expectRefused(() => enrol(token, vmId, publicKey), "forbidden");
  });

  test("gets fresh tokens by proof of its key alone", async () => {
    const token = bootstrap();
    const vmId = await launched(token);
    const { privateKey, publicKey } = await newKey();
    expect(await refusal(renew(vmId, proof(privateKey, vmId)))).not.toBeNull();
    await enrol(token, vmId, publicKey);
    const response = await fetch(`${orchestrator.url}${fillPath(agentRoutes.renew.path, { vmId })}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ proof: await proof(privateKey, vmId) }),
    });
    const { token: fresh } = (await response.json()) as { token: string };
    const beat = await orchestrator
      .bearer(fresh)
      .call(agentRoutes.heartbeat, { params: { vmId }, body: { sessions: [] } });
    expect(beat.body.status).toBe("BOOTING");
    const thief = await newKey();
    for (const bad of [
      proof(thief.privateKey, vmId),
      proof(privateKey, "vm-0"),
      proof(privateKey, vmId, { audience: "hotseat-agent" }),
      proof(privateKey, vmId, { seconds: 3_600 }),
      proof(privateKey, vmId, { seconds: -60 }),
      Promise.resolve("nonsense"),
    ]) {
      const answer = await fetch(`${orchestrator.url}${fillPath(agentRoutes.renew.path, { vmId })}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ proof: await bad }),
      });
      expect(answer.status).toBe(403);
    }
  });

  test("is fenced when its VM is over, whatever it calls", async () => {
    const token = bootstrap();
    const vmId = await launched(token);
    const { publicKey, privateKey } = await newKey();
    const { body } = await enrol(token, vmId, publicKey);
    await operator().call(routes.terminate, { params: { vmId }, body: {} });
    const agent = orchestrator.bearer(body.token);
    const params = { vmId };
    await expectRefused(() => agent.call(agentRoutes.heartbeat, { params, body: { sessions: [] } }), "agent-fenced");
    await expectRefused(() => agent.call(routes.markReady, { params, body: {} }), "agent-fenced");
    await expectRefused(() => agent.call(routes.getVm, { params }), "agent-fenced");
    await expectRefused(() => renew(vmId, proof(privateKey, vmId)), "unauthenticated");
    const late = { errorCode: "late", errorMessage: "Late." };
    await expectRefused(() => agent.call(routes.reportError, { params, body: late }), "agent-fenced");
    const unanswered = bootstrap();
    const given = await launched(unanswered);
    await operator().call(routes.terminate, { params: { vmId: given }, body: {} });
    await expectRefused(() => enrol(unanswered, given, publicKey), "agent-fenced");
  });

  test("of a launch that gave no answer is fenced once the next launch's agent has enrolled, and the other way round", async () => {
    for (const winner of [1, 2]) {
      const { vmId } = await vmIn(orchestrator, "PROVISIONING");
      const tokens = [bootstrap(), bootstrap()];
      const claim = { expiresAt: new Date(Date.now() + 60_000), claimedBefore: new Date(Date.now() + 60_000) };
      for (const [i, token] of tokens.entries())
        expect(await orchestrator.vms.claimLaunch(vmId, { ...claim, bootstrapHash: hashKey(token) })).toBe(i + 1);
      const { publicKey } = await newKey();
      const { body } = await enrol(tokens[winner - 1]!, vmId, publicKey);
      const beat = { params: { vmId }, body: { sessions: [] } };
      expect((await orchestrator.bearer(body.token).call(agentRoutes.heartbeat, beat)).body.status).toBe(
        "PROVISIONING",
      );
      const loser = orchestrator.bearer(tokens[2 - winner]!);
      const enrolment = { params: { vmId }, body: { publicKey, epoch: 3 - winner } };
      await expectRefused(() => loser.call(agentRoutes.enrol, enrolment), "agent-fenced");
      const stale = orchestrator.bearer(await orchestrator.authenticator.mintAgentToken(vmId, 3 - winner));
      await expectRefused(() => stale.call(agentRoutes.heartbeat, beat), "agent-fenced");
      expect(
        await orchestrator.vms.claimLaunch(vmId, { ...claim, bootstrapHash: "x" }),
        "there is a machine",
      ).toBeNull();
    }
  });

  test("is one of many whose heartbeats are taken together, each with its own answer", async () => {
    const some = await Promise.all(regionId.options.map((region) => vmIn(orchestrator, "IN_USE", { region })));
    const commits = async () =>
      Number(
        /commits_total (\d+)/.exec(
          await orchestrator.registry.getSingleMetricAsString("hotseat_heartbeat_commits_total"),
        )?.[1] ?? 0,
      );
    const before = await commits();
    const beat = async (vmId: string, epoch = 0) =>
      orchestrator
        .bearer(await orchestrator.authenticator.mintAgentToken(vmId, epoch))
        .call(agentRoutes.heartbeat, { params: { vmId }, body: { sessions: [] } });
    const beats = Array.from({ length: 5 }, () => some)
      .flat()
      .map(async ({ vmId }) => [vmId, await beat(vmId)] as const);
    const stale = some.map(({ vmId }) => refusal(beat(vmId, 7)));
    const unknown = refusal(beat("vm-unknown"));
    for (const [vmId, { body }] of await Promise.all(beats))
      expect(body).toMatchObject({ status: "IN_USE", seats: [{ sessionId: `on-${vmId}` }] });
    expect(new Set(await Promise.all(stale))).toEqual(new Set(["agent-fenced"]));
    expect(await unknown).toBe("not-found");
    expect((await commits()) - before).toBeLessThan(37);
  });
});
