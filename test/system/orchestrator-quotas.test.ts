// What a tenant may have of waiting requests and VMs: exact whoever asks at once, on real PostgreSQL and real HTTP.
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Assignment, orchestratorRoutes as routes, type Vm } from "../../src/contracts/orchestrator.js";
import { Problem } from "../../src/contracts/problems.js";
import type { TenantsConfig } from "../../src/platform/quotas.js";
import { addKey, ensureSecrets, mintKey } from "../../src/platform/secrets.js";
import {
  emptyFleet,
  startDatabase,
  startOrchestrator,
  type TestDatabase,
  type TestOrchestrator,
  vmIn,
} from "./orchestrator-fixture.js";

const acme = mintKey("operate", "acme-operator", "acme");
const beta = mintKey("operate", "beta-operator", "beta");
let db: TestDatabase;
const started: TestOrchestrator[] = [];

beforeAll(async () => {
  db = await startDatabase();
  const secrets = join(db.dir, "secrets.json");
  await ensureSecrets(secrets);
  for (const key of [acme, beta]) await addKey(secrets, key);
});
afterAll(() => db?.[Symbol.asyncDispose]());
beforeEach(() => {
  started.length = 0;
});
afterEach(async () => {
  for (const orchestrator of started) await orchestrator[Symbol.asyncDispose]();
});

/** Replicas that hold still, on an empty fleet. */
async function start(tenants: TenantsConfig, replicas = 1): Promise<TestOrchestrator> {
  const config = { tenants, places: [{ provider: "simulated", vmsMax: 1_000 }] };
  for (let i = 0; i < replicas; i++) started.push(await startOrchestrator(db, { idle: true, config }));
  const [first] = started as [TestOrchestrator];
  await emptyFleet(first.database);
  await first.database.query("truncate platform.answers");
  return first;
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly body: Vm & { readonly limit?: string; readonly detail?: string };
}

async function makeVm(at: TestOrchestrator, key = acme.key, once = ""): Promise<Answer> {
  const response = await fetch(at.url + routes.createVm.path, {
    method: "POST",
    headers: {
      authorization: `Bearer ${key}`,
      "content-type": "application/json",
      ...(once === "" ? {} : { "idempotency-key": once }),
    },
    body: JSON.stringify({ templateId: "L4-90", region: "us-east-1" }),
  });
  return {
    status: response.status,
    retryAfter: response.headers.get("retry-after"),
    body: (await response.json()) as Answer["body"],
  };
}

async function assign(
  at: TestOrchestrator,
  sessionId: string,
  tenant: string,
  fields: object = {},
): Promise<Assignment> {
  const request = { gameId: "demo", client: "api" as const, ...fields };
  return (await at.as("service").call(routes.assign, { body: { sessionId, tenant, request } })).body;
}

const counted = (values: (string | number)[]) => {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
};
const vms = async (at: TestOrchestrator, query: { tenant?: string } = {}) =>
  (await at.as("read").call(routes.listVms, { query: { limit: 500, ...query } })).body.vms.filter(
    ({ status }) => status !== "TEMPLATE" && status !== "TERMINATED",
  );
const tenants = async (at: TestOrchestrator) => (await at.as("read").call(routes.tenants)).body.tenants;
const metric = async (at: TestOrchestrator, line: string) =>
  (await at.registry.metrics()).split("\n").filter((other) => other.startsWith(line));

describe("VMs that a tenant's operator makes", () => {
  test("are never more than it may have: of fifty asked of two replicas at once seven are made", async () => {
    const first = await start({ acme: { vmsMax: 7 } }, 2);
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => makeVm(started[i % 2]!)));
    expect(counted(answers.map(({ status }) => status))).toEqual({ 201: 7, 429: 43 });
    expect(await vms(first)).toHaveLength(7);
    const refused = await Promise.all(
      started.map((at) => metric(at, 'hotseat_tenant_vms_refused_total{tenant="acme"}')),
    );
    expect(refused.flat().map((line) => Number(line.split(" ")[1]))).toEqual([
      expect.toSatisfy((count: number) => count > 0),
      expect.toSatisfy((count: number) => count > 0),
    ]);
    expect(await metric(first, 'hotseat_tenant_vms{tenant="acme"}')).toEqual(['hotseat_tenant_vms{tenant="acme"} 7']);
  });

  test("past the limit are refused with the numbers and no time, and may be made once one is gone", async () => {
    const at = await start({ "*": { vmsMax: 1 } });
    const { body: vm } = await makeVm(at);
    expect(vm).toMatchObject({ tenant: "acme" });
    expect(await makeVm(at)).toEqual({
      status: 429,
      retryAfter: null,
      body: {
        type: "urn:hotseat:problem:quota-exceeded",
        title: "The tenant has as many as it may",
        status: 429,
        retryable: true,
        detail: "VMs of the tenant: 1 of 1. Terminate one, or ask the operator for a higher limit.",
        limit: "vms",
        max: 1,
        used: 1,
      },
    });
    expect((await makeVm(at, beta.key)).status).toBe(201);
    await at.as("operate").call(routes.terminate, { params: { vmId: vm.vmId }, body: {} });
    expect((await makeVm(at)).status).toBe(201);
  });

  test("are counted once when the call is repeated with its key, answered before or not", async () => {
    const at = await start({ "*": { vmsMax: 1 } });
    const first = await makeVm(at, acme.key, "k");
    expect((await makeVm(at, acme.key, "k")).body).toEqual(first.body);
    await at.database.query(
      "update platform.answers set status = null, body = null, content_type = null, claimed_until = '-infinity'",
    );
    expect((await makeVm(at, acme.key, "k")).body.vmId).toBe(first.body.vmId);
    expect(await vms(at)).toHaveLength(1);
  });

  test("are found by their tenant", async () => {
    const at = await start({});
    await makeVm(at);
    await makeVm(at, beta.key);
    expect((await vms(at)).map(({ tenant }) => tenant)).toEqual(["beta", "acme"]);
    expect((await vms(at, { tenant: "acme" })).map(({ tenant }) => tenant)).toEqual(["acme"]);
  });
});

describe("VMs for a tenant's waiting requests", () => {
  test("are never more than it may have: the others wait, say why, and take what seats there are", async () => {
    const at = await start({ acme: { vmsMax: 2 } });
    const whole = { presetId: "default-competitive" };
    const answers: Assignment[] = [];
    for (let i = 0; i < 5; i++) answers.push(await assign(at, `a-${i}`, "acme", whole));
    expect(counted(answers.map(({ status }) => status))).toEqual({ PROVISIONING: 2, QUEUED: 3 });
    expect(answers[4]).toMatchObject({
      reason: "Every seat is taken, and the tenant has all the VMs it may have (2).",
    });
    expect(await vms(at, { tenant: "acme" })).toHaveLength(2);
    // A seat is not its VM's tenant's: whose turn it is takes the next one, and has another made.
    for (const id of ["b-0", "b-1"])
      expect(await assign(at, id, "beta", whole)).toMatchObject({ status: "PROVISIONING" });
    expect(counted((await vms(at)).map(({ tenant }) => tenant ?? ""))).toEqual({ acme: 2, beta: 1 });

    const { vmId, tenant } = await vmIn(at, "READY");
    expect(tenant).toBe("default");
    // Any pass over the queue does: another request's here.
    await assign(at, "b-2", "beta", whole);
    expect((await at.vms.get(vmId)).sessions).toEqual(["a-0"]);
  });

  test("count with those of its operator, and until they are gone", async () => {
    const at = await start({ acme: { vmsMax: 1 } });
    const { body: vm } = await makeVm(at);
    expect(
      await assign(at, "s", "acme", { presetId: "default-high", region: "eu-west-1", rttMsMax: 20 }),
    ).toMatchObject({
      status: "QUEUED",
      reason: expect.stringContaining("all the VMs it may have (1)"),
    });
    await at.as("operate").call(routes.terminate, { params: { vmId: vm.vmId }, body: {} });
    await assign(at, "other", "beta", { region: "us-east-1" });
    expect((await vms(at, { tenant: "acme" })).map(({ region }) => region)).toEqual(["eu-west-1"]);
  });
});

describe("a tenant's waiting requests", () => {
  const whole = { presetId: "default-competitive", region: "us-east-1", rttMsMax: 10 };
  const noVms = { "*": { vmsMax: 0 } };
  const refusalOf = (answer: Promise<Assignment>): Promise<Problem | null> =>
    answer.then(
      () => null,
      (error: unknown) => {
        if (error instanceof Problem) return error;
        throw error;
      },
    );
  const waitingOf = async (at: TestOrchestrator, tenant: string) =>
    (await tenants(at)).find((use) => use.tenant === tenant)?.waiting.used ?? 0;

  test("are never more than may wait: of fifty asked of two replicas at once seven wait", async () => {
    const first = await start({ ...noVms, acme: { waitingMax: 7 } }, 2);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => refusalOf(assign(started[i % 2]!, `s-${i}`, "acme", whole))),
    );
    expect(counted(answers.map((refusal) => refusal?.type ?? "waits"))).toEqual({ waits: 7, "quota-exceeded": 43 });
    for (const refusal of answers)
      if (refusal) expect(refusal.extra.quota).toEqual({ limit: "waiting", max: 7, used: 7 });
    expect(await waitingOf(first, "acme")).toBe(7);
    expect(await refusalOf(assign(first, "b", "beta", whole))).toBeNull();
    const meters = await Promise.all(started.map((at) => metric(at, "hotseat_tenant_waiting_sessions_refused_total{")));
    expect(meters.flat().reduce((sum, line) => sum + Number(line.split(" ")[1]), 0)).toBe(43);
  });

  test("past the limit are refused for now, and have nothing made for them", async () => {
    const at = await start({ acme: { waitingMax: 1 } });
    expect(await assign(at, "s-1", "acme", whole)).toMatchObject({ status: "PROVISIONING" });
    expect((await refusalOf(assign(at, "s-2", "acme", whole)))?.toDocument()).toMatchObject({
      status: 429,
      limit: "waiting",
      detail: "Waiting requests of the tenant: 1 of 1, and no seat is free. Try again when one of them has its seat.",
    });
    expect(await vms(at)).toHaveLength(1);
    await at.as("service").call(routes.withdraw, { params: { sessionId: "s-1" } });
    expect(await assign(at, "s-2", "acme", whole)).toMatchObject({ status: "PROVISIONING", position: 1 });
    expect(await vms(at)).toHaveLength(1);
  });

  test("that get a seat at once are no waiting requests, though others of the tenant wait", async () => {
    const at = await start({ acme: { waitingMax: 1, vmsMax: 0 } });
    await vmIn(at, "READY", { region: "eu-west-1" });
    await assign(at, "s-1", "acme", whole);
    const near = { region: "eu-west-1", rttMsMax: 10 };
    expect(await assign(at, "s-2", "acme", near)).toMatchObject({ status: "ASSIGNED" });
    // Rather near, but there is no VM near to wait for.
    expect(await assign(at, "s-3", "acme", { policy: "nearest", region: "us-east-1" })).toMatchObject({
      status: "ASSIGNED",
      region: "eu-west-1",
    });
    expect((await refusalOf(assign(at, "s-4", "acme", whole)))?.type).toBe("quota-exceeded");
  });

  test("with a limit of 0 take what is free and never wait", async () => {
    const at = await start({ acme: { waitingMax: 0 } });
    await vmIn(at, "READY");
    for (const id of ["s-1", "s-2", "s-3", "s-4"])
      expect((await assign(at, id, "acme", { region: "us-east-1", rttMsMax: 10 })).status).toBe("ASSIGNED");
    const refusal = await refusalOf(assign(at, "s-5", "acme", { region: "us-east-1", rttMsMax: 10 }));
    expect(refusal?.extra.quota).toEqual({ limit: "waiting", max: 0, used: 0 });
    expect(await vms(at)).toHaveLength(1);
  });

  test("asked for again are the same request", async () => {
    const at = await start({ ...noVms, acme: { waitingMax: 1 } });
    const first = await assign(at, "s-1", "acme", whole);
    expect(await assign(at, "s-1", "acme", whole)).toEqual(first);
    expect(await waitingOf(at, "acme")).toBe(1);
  });

  test("that wait again because their VM broke are never refused, and count", async () => {
    const at = await start({ ...noVms, default: { vmsMax: null }, acme: { waitingMax: 1 } });
    const { vmId } = await vmIn(at, "READY");
    const small = { region: "us-east-1", rttMsMax: 10 };
    for (const id of ["s-1", "s-2", "s-3"]) await assign(at, id, "acme", small);
    await at
      .as("operate")
      .call(routes.reportError, { params: { vmId }, body: { errorCode: "broken", errorMessage: "!" } });
    expect(await waitingOf(at, "acme")).toBe(3);
    const refusal = await refusalOf(assign(at, "s-4", "acme", small));
    expect(refusal?.extra.quota).toEqual({ limit: "waiting", max: 1, used: 3 });
    expect(await waitingOf(at, "acme")).toBe(3);
  });
});

test("tenants are listed with what they have of what they may have, the named ones always", async () => {
  const at = await start({ "*": { waitingMax: 9 }, acme: { vmsMax: 1 }, idle: { waitingMax: null } });
  await makeVm(at);
  await assign(at, "s", "beta", { region: "ap-southeast-1", presetId: "default-competitive" });
  expect(await tenants(at)).toEqual([
    { tenant: "acme", waiting: { used: 0, max: 9 }, vms: { used: 1, max: 1 } },
    { tenant: "beta", waiting: { used: 1, max: 9 }, vms: { used: 1, max: null } },
    { tenant: "idle", waiting: { used: 0, max: null }, vms: { used: 0, max: null } },
  ]);
});
