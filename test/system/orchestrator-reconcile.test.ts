// The whole orchestrator at work: intents become machines, machines become seats, and whatever goes wrong ends well.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { agentRoutes } from "../../src/contracts/agents.js";
import type { EventType, VmEvent } from "../../src/contracts/events.js";
import { orchestratorRoutes as routes } from "../../src/contracts/orchestrator.js";
import { Problem } from "../../src/contracts/problems.js";
import { isAlive, listProcesses } from "../../src/platform/process-identity.js";
import {
  emptyFleet,
  startDatabase,
  startOrchestrator,
  type TestDatabase,
  type TestOrchestrator,
  vmIn,
} from "./orchestrator-fixture.js";

let db: TestDatabase;
/** Serves and stores, but does nothing by itself. */
let idle: TestOrchestrator;

beforeAll(async () => {
  db = await startDatabase();
  idle = await startOrchestrator(db, { idle: true, config: { places: [{ provider: "simulated" }] } });
  writeFileSync(join(db.dir, "agent.mjs"), "setInterval(() => {}, 1000)");
});
afterAll(async () => {
  await idle[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});
beforeEach(() => emptyFleet(idle.database));

const fast = { provisioningMs: 100, bootMs: 50 };
const start = (config: object = {}) =>
  startOrchestrator(db, { config: { places: [{ provider: "simulated" }], simulated: fast, ...config } });

const operator = () => idle.as("operate");
const createVm = async () =>
  (await operator().call(routes.createVm, { body: { templateId: "L4-360", region: "us-east-1" } })).body.vmId;
const assign = async (sessionId: string, request: object = {}) =>
  (
    await operator().call(routes.assign, {
      body: { sessionId, request: { gameId: "demo", client: "api", ...request } },
    })
  ).body;
const placement = async (sessionId: string) =>
  (await operator().call(routes.getPlacement, { params: { sessionId } })).body;
const eventually = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { timeout: 15_000, interval: 20 });
const becomes = (vmId: string, status: string) =>
  eventually(async () => expect((await idle.vms.get(vmId)).status).toBe(status));
const seated = (sessionId: string) =>
  eventually(async () => {
    const body = await placement(sessionId);
    if (body.status !== "ASSIGNED") throw new Error(`${sessionId} is ${body.status}`);
    return body;
  });
const typesFor = async (vmId: string): Promise<EventType[]> =>
  (await idle.events()).filter((event) => "vmId" in event.data && event.data.vmId === vmId).map(({ type }) => type);
const machines = async () =>
  (await idle.database.query<{ id: string }>("select vm_id as id from orchestrator.simulated_instances")).map(
    ({ id }) => id,
  );

describe("a VM", () => {
  test("goes from intent to ready, is drained, and leaves no machine", async () => {
    await using _ = await start();
    const vmId = await createVm();
    await becomes(vmId, "READY");
    expect(await machines()).toEqual([vmId]);
    await operator().call(routes.drain, { params: { vmId }, body: { reason: "rolled" } });
    await becomes(vmId, "TERMINATED");
    await eventually(async () => expect(await machines()).toEqual([]));
    expect(await typesFor(vmId)).toEqual(["VMProvisioned", "VMReady", "VMTerminated"]);
  });

  test("that drains ends when its last session does, or at the deadline", async () => {
    await using _ = await start();
    const vmId = await createVm();
    await becomes(vmId, "READY");
    await assign("s1");
    await operator().call(routes.drain, { params: { vmId }, body: {} });
    await operator().call(routes.release, { params: { vmId }, body: { sessionId: "s1" } });
    await becomes(vmId, "TERMINATED");
    const other = await createVm();
    await becomes(other, "READY");
    await assign("s2");
    await operator().call(routes.drain, { params: { vmId: other }, body: { deadlineSeconds: 0 } });
    await becomes(other, "TERMINATED");
    expect(await typesFor(other)).toEqual([
      "VMProvisioned",
      "VMReady",
      "SessionAssigned",
      "SessionReleased",
      "VMTerminated",
    ]);
  });

  test("whose boot never ends is terminated, not forgotten", async () => {
    const deadlines = { simulated: { bootSecondsMax: 0.3 } };
    await using _ = await start({ simulated: { ...fast, bootFailureShare: 1 }, deadlines });
    const vmId = await createVm();
    await becomes(vmId, "TERMINATED");
    expect((await idle.vms.get(vmId)).error?.code).toBe("boot-timeout");
    await eventually(async () => expect(await machines()).toEqual([]));
  });

  test("whose machine vanishes is failed, and its session gets another seat", async () => {
    await using _ = await start();
    await assign("s1");
    const { vmId } = await seated("s1");
    await idle.database.query("delete from orchestrator.simulated_instances where vm_id = $1", [vmId]);
    await becomes(vmId, "TERMINATED");
    expect((await idle.vms.get(vmId)).error?.code).toBe("vm-lost");
    const next = await seated("s1");
    expect(next.vmId).not.toBe(vmId);
    expect(await typesFor(vmId)).toEqual([
      "VMProvisioned",
      "VMReady",
      "SessionAssigned",
      "VMError",
      "SessionReleased",
      "VMTerminated",
    ]);
  });
});

describe("after a crash", () => {
  test("an intent that was never launched is launched", async () => {
    const vmId = await createVm();
    await using _ = await start();
    await becomes(vmId, "READY");
  });

  test("a launch whose answer was never recorded yields no second machine", async () => {
    const vmId = await createVm();
    await idle.vms.claimLaunch(vmId, { bootstrapHash: "x", expiresAt: new Date(), claimedBefore: new Date(0) });
    await idle.database.query(
      "insert into orchestrator.simulated_instances (vm_id, running_at, ready_at) values ($1, now(), now())",
      [vmId],
    );
    await using _ = await start();
    await becomes(vmId, "READY");
    expect(await machines()).toEqual([vmId]);
  });

  test("a machine nobody knows is ended, and so is one whose VM was terminated meanwhile", async () => {
    const { vmId } = await vmIn(idle, "TERMINATED");
    await idle.database.query(
      `insert into orchestrator.simulated_instances (vm_id, running_at, ready_at)
       select id, now(), now() from unnest($1::text[]) as id`,
      [[vmId, "vm-nobodys"]],
    );
    await using _ = await start();
    await eventually(async () => expect(await machines()).toEqual([]));
  });

  test("sessions keep their seats", async () => {
    let before: Awaited<ReturnType<typeof seated>>;
    {
      await using _ = await start();
      await assign("s1");
      before = await seated("s1");
    }
    await using _ = await start();
    expect(await assign("s1")).toEqual(before);
    expect((await idle.vms.get(before.vmId)).status).toBe("IN_USE");
  });
});

describe("sessions that wait", () => {
  test("are seated when their VM is ready, and the next ones are told when to expect theirs", async () => {
    await using _ = await start();
    expect(await assign("s1")).toMatchObject({ status: "PROVISIONING", position: 1, etaSeconds: null });
    const { vmId } = await seated("s1");
    await operator().call(routes.terminate, { params: { vmId }, body: { force: true } });
    expect(await assign("s2")).toMatchObject({ status: "PROVISIONING", etaSeconds: 1 });
    await seated("s2");
  });

  test("are seated when a seat frees", async () => {
    await using _ = await start({
      places: [
        { provider: "simulated", vmsMax: 0 },
        { region: "us-east-1", templateId: "L4-90", vmsMax: 1 },
      ],
    });
    for (const id of ["s1", "s2"]) await assign(id);
    const { vmId } = await seated("s1");
    await seated("s2");
    await operator().call(routes.withdraw, { params: { sessionId: "s1" } });
    await using other = await start({ places: [{ provider: "simulated", vmsMax: 0 }] });
    const { body } = await other.as("operate").call(routes.assign, {
      body: { sessionId: "s3", request: { gameId: "demo", client: "api" } },
    });
    expect(body).toMatchObject({ status: "ASSIGNED", vmId });
  });

  test("get nothing after too long, and that is told", async () => {
    await using waiting = await start({ places: [{ provider: "simulated", vmsMax: 0 }], waitSecondsMax: 0.2 });
    const { body } = await waiting.as("operate").call(routes.assign, {
      body: { sessionId: "s1", request: { gameId: "demo", client: "api" } },
    });
    expect(body).toMatchObject({ status: "QUEUED", position: 1, etaSeconds: null });
    await eventually(() => expect(placement("s1")).rejects.toThrow(Problem));
    const [event] = (await idle.events()).filter(({ type }) => type === "SessionReleased") as VmEvent[];
    expect(event?.data).toMatchObject({ sessionId: "s1", reason: "not-renewed", next: "none" });
  });

  test("for a browser get no simulated VM, and hear why", async () => {
    await using _ = await start();
    expect(await assign("s1", { client: "browser" })).toMatchObject({
      status: "QUEUED",
      reason: expect.stringContaining("simulated"),
    });
    expect((await operator().call(routes.metrics)).body.vms).toBe(0);
  });

  test("have VMs tried place by place while there is no capacity", async () => {
    await using _ = await start({ simulated: { ...fast, capacityErrorShare: 1 }, capacityHoldSeconds: 60 });
    await assign("s1");
    await eventually(async () => {
      const tried = (await idle.events()).filter(({ type }) => type === "VMError");
      const places = new Set(
        tried.map(({ data }) => ("templateId" in data ? `${data.region}/${data.templateId}` : "")),
      );
      expect(places.size).toBe(tried.length);
      expect(new Set(tried.map(({ data }) => "region" in data && data.region)).size).toBeGreaterThanOrEqual(2);
    });
  });
});

describe("events", () => {
  test("say once that a pool runs low, until it has recovered", async () => {
    await using _ = await start({ reconcileSeconds: 0.05 });
    const low = async () =>
      (await idle.events()).filter(({ type }) => type === "VMPoolLowCapacity").map(({ data }) => data);
    const vmId = await createVm();
    await becomes(vmId, "READY");
    await assign("s1");
    await eventually(async () =>
      expect(await low()).toEqual([{ region: "us-east-1", templateId: "L4-360", freeSessions: 3, threshold: 4 }]),
    );
    await assign("s2");
    for (let i = 0; i < 2; i++) await becomes(await createVm(), "READY");
    await eventually(async () =>
      expect(await idle.database.query("select from orchestrator.low_pools")).toHaveLength(0),
    );
    expect(await low()).toHaveLength(1);
  });
});

describe("a local VM", () => {
  const local = (fields: object = {}) => ({
    places: [{ provider: "local" }],
    localSeats: 8,
    agentCommand: [process.execPath, join(db.dir, "agent.mjs")],
    ...fields,
  });
  const agents = () => listProcesses().filter(({ pid }) => processes.includes(pid));
  let processes: number[] = [];
  async function booting(orchestrator: TestOrchestrator): Promise<string> {
    const { body } = await orchestrator.as("operate").call(routes.createVm, {
      body: { templateId: "L4-360", region: "us-east-1" },
    });
    await becomes(body.vmId, "BOOTING");
    return body.vmId;
  }
  const pidOf = async (vmId: string) => {
    const { default: fs } = await import("node:fs");
    return JSON.parse(fs.readFileSync(join(db.dir, "vms", vmId, "process.json"), "utf8")) as {
      pid: number;
      startedAt: string;
    };
  };

  test("survives its orchestrator, is adopted by the next one, and ends with it when told to", async () => {
    let vmId: string;
    {
      await using first = await startOrchestrator(db, { config: local(), deps: { endLocalVms: false } });
      vmId = await booting(first);
      await operator().call(routes.markReady, { params: { vmId }, body: {} });
    }
    const identity = await pidOf(vmId);
    processes = [identity.pid];
    expect(isAlive(identity)).toBe(true);
    {
      await using _second = await startOrchestrator(db, { config: local() });
      await operator().call(routes.assign, { body: { sessionId: "s1", vmId } });
      expect((await idle.vms.get(vmId)).status).toBe("IN_USE");
    }
    expect(agents()).toEqual([]);
    expect(await idle.vms.get(vmId)).toMatchObject({
      status: "TERMINATED",
      reason: "orchestrator-stopped",
      sessions: [],
    });
  });

  test("whose process dies is failed at once", async () => {
    await using orchestrator = await startOrchestrator(db, { config: local() });
    const vmId = await booting(orchestrator);
    process.kill((await pidOf(vmId)).pid, "SIGKILL");
    await becomes(vmId, "TERMINATED");
    expect((await idle.vms.get(vmId)).error?.code).toBe("vm-lost");
  });

  test("whose agent falls silent takes no sessions, and is failed when it stays silent", async () => {
    const deadlines = { local: { silentSecondsMax: 0.5, lostSecondsMax: 2 } };
    await using orchestrator = await startOrchestrator(db, { config: local({ deadlines, reconcileSeconds: 0.1 }) });
    const vmId = await booting(orchestrator);
    await operator().call(routes.markReady, { params: { vmId }, body: {} });
    await eventually(async () => expect((await idle.vms.get(vmId)).reachable).toBe(false));
    await expect(operator().call(routes.assign, { body: { sessionId: "s1", vmId } })).rejects.toThrow("no-free-seat");
    const agent = orchestrator.bearer(await orchestrator.authenticator.mintAgentToken(vmId, 1));
    await agent.call(agentRoutes.heartbeat, { params: { vmId }, body: { sessions: [] } });
    expect((await idle.vms.get(vmId)).reachable).toBe(true);
    await becomes(vmId, "TERMINATED");
    expect((await idle.vms.get(vmId)).error?.code).toBe("agent-lost");
  });

  test("is not made beyond what the machine carries: the session waits", async () => {
    await using orchestrator = await startOrchestrator(db, {
      config: local({ localSeats: 4, capacityHoldSeconds: 60 }),
    });
    await booting(orchestrator);
    const body = { sessionId: "whole", request: { gameId: "demo", region: "eu-west-1", rttMsMax: 30 } } as const;
    await orchestrator.as("operate").call(routes.assign, { body });
    await eventually(async () => {
      const { body } = await orchestrator.as("operate").call(routes.getPlacement, { params: { sessionId: "whole" } });
      expect(body).toMatchObject({ status: "QUEUED", reason: expect.stringContaining("no capacity") });
    });
  });
});
