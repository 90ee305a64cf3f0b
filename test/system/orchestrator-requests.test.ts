// What a careful caller relies on: a call repeated with its key is done once, a write by If-Match hits what was read,
// and pages show each VM once while the fleet changes. Over real HTTP and a real database.
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Vm, VmStatus } from "../../src/contracts/orchestrator.js";
import { orchestratorRoutes as routes } from "../../src/contracts/orchestrator.js";
import { type Route, takesIdempotencyKey } from "../../src/contracts/route.js";
import { allRoutes } from "../../src/contracts/routes.js";
import { fillPath } from "../../src/platform/client.js";
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
  orchestrator = await startOrchestrator(db, { idle: true, config: { places: [{ vmsMax: 40 }] } });
});
afterAll(async () => {
  await orchestrator?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await emptyFleet(orchestrator.database);
  await orchestrator.database.query("truncate platform.answers");
});

interface Sent {
  readonly params?: Record<string, string>;
  readonly query?: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

async function send(route: Route, { params = {}, query = "", body, headers = {} }: Sent = {}) {
  const response = await fetch(`${orchestrator.url}${fillPath(route.path, params)}${query}`, {
    method: route.method,
    headers: {
      authorization: `Bearer ${orchestrator.key("operate")}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const json = (text === "" ? {} : JSON.parse(text)) as Vm & { type?: string; vms?: Vm[]; nextCursor?: string | null };
  return {
    status: response.status,
    etag: response.headers.get("etag"),
    replayed: response.headers.get("idempotency-replayed"),
    retryAfter: response.headers.get("retry-after"),
    text,
    json,
    problem: json.type?.replace("urn:hotseat:problem:", ""),
  };
}

/** Everything a call may have changed. */
const trace = () =>
  orchestrator.database.one(`
    select (select json_agg(v order by vm_id) from orchestrator.vms v) as vms,
           (select json_agg(p order by session_id) from orchestrator.placements p) as placements,
           (select count(*) from orchestrator.outbox) as events`);

describe("a repeated call with its Idempotency-Key", () => {
  const place = { templateId: "A10", region: "eu-west-1" };
  const key = { "idempotency-key": "order-66" };

  test("makes one VM", async () => {
    const first = await send(routes.createVm, { body: place, headers: key });
    const before = await trace();
    const again = await send(routes.createVm, { body: place, headers: key });
    expect([first.status, first.replayed, again.replayed]).toEqual([201, null, "true"]);
    expect(again.json).toEqual(first.json);
    expect(await send(routes.createVm, { body: { ...place, region: "us-east-1" }, headers: key })).toMatchObject({
      status: 422,
      problem: "key-reused",
    });
    expect(await trace()).toEqual(before);
  });

  test("makes one VM though the first call's process died before it could answer", async () => {
    const first = await send(routes.createVm, { body: place, headers: key });
    await orchestrator.database.query(
      "update platform.answers set status = null, body = null, content_type = null, claimed_until = '-infinity'",
    );
    const before = await trace();
    const again = await send(routes.createVm, { body: place, headers: key });
    expect(again).toMatchObject({ status: 201, replayed: null, json: { vmId: first.json.vmId } });
    expect(await trace()).toEqual(before);
  });

  test("ends a VM once, and says so twice", async () => {
    const { vmId } = await vmIn(orchestrator, "READY");
    const end = () => send(routes.terminate, { params: { vmId }, body: {}, headers: key });
    const first = await end();
    const again = await end();
    expect(first).toMatchObject({ status: 200, replayed: null, json: { status: "TERMINATED" } });
    expect(again).toEqual({ ...first, replayed: "true" });
    expect(await send(routes.terminate, { params: { vmId }, body: {} })).toMatchObject({ status: 409 });
  });

  test("is known on every POST that acts for a person or a role", () => {
    const without = allRoutes.filter((route) => route.method === "POST" && !takesIdempotencyKey(route));
    expect(without.map(({ operationId }) => operationId).toSorted()).toEqual([
      "createStreamUrl", // these hand out credentials
      "enrolAgent",
      "exchangeKey",
      "heartbeat", // says how it is now
      "renewAgentToken",
    ]);
  });
});

test("without its database every call is told so at once, does nothing, and may be repeated with its key", async () => {
  const call = {
    body: { templateId: "A10", region: "eu-west-1" },
    headers: { "idempotency-key": "in-the-dark" },
  };
  await db.stop();
  try {
    const asked = performance.now();
    for (const route of [routes.createVm, routes.listVms])
      expect(await send(route, route === routes.createVm ? call : {})).toMatchObject({
        status: 503,
        problem: "unavailable",
        retryAfter: "1",
      });
    expect(performance.now() - asked).toBeLessThan(3_000);
  } finally {
    await db.start();
  }
  const answer = () => send(routes.createVm, call);
  await expect.poll(async () => (await answer()).status, { timeout: 10_000 }).toBe(201);
  expect((await answer()).replayed).toBe("true");
  const { json } = await send(routes.listVms, { query: "?templateId=A10&region=eu-west-1" });
  expect(json.vms).toHaveLength(1);
});

describe("a VM's ETag", () => {
  test("is its version, on reads and on writes", async () => {
    const vm = await vmIn(orchestrator, "READY");
    const params = { vmId: vm.vmId };
    expect((await send(routes.getVm, { params })).etag).toBe(`"${vm.version}"`);
    expect((await send(routes.drain, { params, body: {} })).etag).toBe(`"${vm.version + 1}"`);
  });

  test("spares a reader what it has: 304 until something changes", async () => {
    const { vmId, version } = await vmIn(orchestrator, "READY");
    const read = () => send(routes.getVm, { params: { vmId }, headers: { "if-none-match": `"${version}"` } });
    expect(await read()).toMatchObject({ status: 304, text: "", etag: `"${version}"` });
    await orchestrator.as("operate").call(routes.assign, { body: { sessionId: "s", vmId } });
    expect(await read()).toMatchObject({ status: 200, json: { sessions: ["s"], version: version + 1 } });
  });

  const writes: readonly [keyof typeof routes, VmStatus, (vmId: string) => object][] = [
    ["markReady", "BOOTING", () => ({})],
    ["drain", "READY", () => ({})],
    ["reportError", "READY", () => ({ errorCode: "broken", errorMessage: "Broken." })],
    ["terminate", "READY", () => ({})],
    ["release", "IN_USE", (vmId) => ({ sessionId: `on-${vmId}` })],
  ];
  test.each(writes)("guards %s: what was not read as it is now stays as it is", async (name, status, bodyOf) => {
    const { vmId, version } = await vmIn(orchestrator, status);
    const route: Route = routes[name];
    const write = (match: string) =>
      send(route, { params: { vmId }, body: bodyOf(vmId), headers: { "if-match": match } });
    const before = await trace();
    for (const stale of [`"${version - 1}"`, `"${version + 1}"`, `W/"${version}"`, '"x"'])
      expect(await write(stale)).toMatchObject({ status: 412, problem: "stale-version" });
    expect(await write("nonsense")).toMatchObject({ status: 400 });
    expect(await trace()).toEqual(before);
    expect(await write(`"0", "${version}"`)).toMatchObject({ status: 200, etag: `"${version + 1}"` });
  });

  test("lets one of two writers through that read the same", async () => {
    const { vmId, version } = await vmIn(orchestrator, "READY");
    const headers = { "if-match": `"${version}"` };
    const answers = await Promise.all([
      send(routes.drain, { params: { vmId }, body: {}, headers }),
      send(routes.terminate, { params: { vmId }, body: {}, headers }),
    ]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 412]);
  });

  test("of a VM that is not there is a 404, whatever it says", async () => {
    const call = { params: { vmId: "vm-0" }, body: {}, headers: { "if-match": '"1"' } };
    expect(await send(routes.drain, call)).toMatchObject({ status: 404 });
  });
});

describe("the list of VMs", () => {
  const idsOf = async (query: string) => (await send(routes.listVms, { query })).json.vms!.map(({ vmId }) => vmId);

  test("is filtered by several states, place, template, provider, reachability and session", async () => {
    const ready = await vmIn(orchestrator, "READY", { region: "eu-west-1", templateId: "A10" });
    const busy = await vmIn(orchestrator, "IN_USE");
    const draining = await vmIn(orchestrator, "DRAINING");
    await orchestrator.database.query("update orchestrator.vms set reachable = false where vm_id = $1", [
      draining.vmId,
    ]);
    await orchestrator.database.query("update orchestrator.vms set provider = 'simulated' where vm_id = $1", [
      busy.vmId,
    ]);
    const [r, b, d] = [ready.vmId, busy.vmId, draining.vmId];
    expect(await idsOf("?status=READY,IN_USE")).toEqual([b, r]);
    expect(await idsOf("?status=READY&status=DRAINING")).toEqual([d, r]);
    expect(await idsOf("?region=eu-west-1")).toEqual([r]);
    expect(await idsOf("?templateId=A10&status=READY")).toEqual([r]);
    expect(await idsOf("?provider=simulated")).toEqual([b]);
    expect(await idsOf("?reachable=false")).toEqual([d]);
    expect(await idsOf("?reachable=true&status=IN_USE,DRAINING")).toEqual([b]);
    expect(await idsOf(`?sessionId=on-${d}`)).toEqual([d]);
    expect(await idsOf("?sessionId=nobody")).toEqual([]);
    expect(await idsOf(`?sessionId=on-${d}&status=READY`)).toEqual([]);
  });

  test.each([
    ["?status=READY,SLEEPING", "status"],
    ["?status=", "status"],
    ["?reachable=perhaps", "reachable"],
    ["?provider=nobody", "provider"],
    ["?templateId=A11", "templateId"],
    ["?sessionId=a b", "sessionId"],
    ["?cursor=nonsense", "cursor"],
  ])("refuses %s and names %s", async (query, field) => {
    const { status, json } = await send(routes.listVms, { query: encodeURI(query) });
    expect([status, (json as unknown as { errors: { field: string }[] }).errors[0]?.field]).toEqual([400, field]);
  });

  test("by pages has each VM once that is there all the time, and none twice, while others come and go", async () => {
    const change = fc.record({ kind: fc.constantFrom("make", "drain", "end", "fail", "seat"), vm: fc.nat(20) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom<VmStatus>("PROVISIONING", "READY"), { minLength: 1, maxLength: 9 }),
        fc.integer({ min: 1, max: 4 }),
        fc.boolean(),
        fc.array(fc.array(change, { maxLength: 3 }), { maxLength: 8 }),
        async (fleet, limit, filtered, changes) => {
          await emptyFleet(orchestrator.database);
          const made = await Promise.all(fleet.map((status) => vmIn(orchestrator, status)));
          const alwaysThere = new Set(made.map(({ vmId }) => vmId));
          const seen: string[] = [];
          const rounds = changes.values();
          for (let cursor: string | null | undefined = ""; cursor !== null; ) {
            const query = `?limit=${limit}${filtered ? "&status=READY,PROVISIONING" : ""}${cursor ? `&cursor=${cursor}` : ""}`;
            const { json } = await send(routes.listVms, { query });
            seen.push(...json.vms!.map(({ vmId }) => vmId).filter((vmId) => !vmId.startsWith("template-")));
            cursor = json.nextCursor!;
            for (const { kind, vm } of rounds.next().value ?? []) {
              const target = made[vm % made.length]!;
              const params = { vmId: target.vmId };
              if (kind === "make") await vmIn(orchestrator, "READY");
              if (kind === "drain") await send(routes.drain, { params, body: {} });
              if (kind === "end") await send(routes.terminate, { params, body: { force: true } });
              if (kind === "fail")
                await send(routes.reportError, { params, body: { errorCode: "x", errorMessage: "x" } });
              if (kind === "seat") await send(routes.assign, { body: { sessionId: `s-${vm}`, vmId: target.vmId } });
              if (kind !== "make" && filtered) alwaysThere.delete(target.vmId);
            }
          }
          expect(new Set(seen).size).toBe(seen.length);
          expect(seen.filter((vmId) => alwaysThere.has(vmId)).toSorted()).toEqual([...alwaysThere].toSorted());
        },
      ),
      { numRuns: 25 },
    );
  });
});
