// The waiting queue on the real database, through a running orchestrator with one simulated VM of four standard seats.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { orchestratorRoutes as routes } from "../../src/contracts/orchestrator.js";
import { fallbackChains } from "../../src/orchestrator/catalog/regions.js";
import { demandOf, seatSpecOf } from "../../src/orchestrator/placement/demand.js";
import { PlacementStore } from "../../src/orchestrator/placement/placement-store.js";
import { queuePassMax } from "../../src/orchestrator/placement/waiting.js";
import { systemClock } from "../../src/platform/clock.js";
import { Quotas } from "../../src/platform/quotas.js";
import {
  emptyFleet,
  startDatabase,
  startOrchestrator,
  type TestDatabase,
  type TestOrchestrator,
} from "./orchestrator-fixture.js";

let db: TestDatabase;
let orchestrator: TestOrchestrator;

beforeAll(async () => {
  db = await startDatabase();
});
afterAll(() => db[Symbol.asyncDispose]());
beforeEach(async () => {
  orchestrator = await startOrchestrator(db, {
    config: {
      places: [{ provider: "simulated" }],
      budget: { vmsMax: 1 },
      reconcileSeconds: 0.05,
      simulated: { provisioningMs: 50, bootMs: 50 },
    },
  });
});
afterEach(async () => {
  await emptyFleet(orchestrator.database);
  await orchestrator[Symbol.asyncDispose]();
});

const service = () => orchestrator.as("service");
const assign = (sessionId: string, tenant = "default", request: object = {}) =>
  service().call(routes.assign, {
    body: { sessionId, tenant, request: { gameId: "demo", client: "api", ...request } },
  });
const leave = (sessionId: string) => service().call(routes.withdraw, { params: { sessionId } });
const seated = async () =>
  (
    await orchestrator.database.query<{ id: string }>(
      `select data->>'sessionId' as id from orchestrator.outbox where type = 'SessionAssigned' order by seq`,
    )
  ).map(({ id }) => id);
const untilSeated = (count: number) =>
  expect.poll(async () => (await seated()).length, { timeout: 10_000 }).toBe(count);

describe("who waits", () => {
  test("is served by turns with other tenants, however much one of them asked for", async () => {
    for (let i = 0; i < 12; i++) await assign(`greedy-${i}`, "greedy");
    await untilSeated(4);
    for (let i = 0; i < 3; i++) await assign(`modest-${i}`, "modest");
    const { body } = await service().call(routes.getPlacement, { params: { sessionId: "modest-0" } });
    expect(body).toMatchObject({ status: "QUEUED", position: 1 });
    for (let freed = 0; freed < 6; freed++) {
      await leave((await seated())[freed]!);
      await untilSeated(5 + freed);
    }
    const order = (await seated()).slice(4);
    expect(order.filter((id) => id.startsWith("modest"))).toHaveLength(3);
    expect(order).toEqual(["modest-0", "greedy-4", "modest-1", "greedy-5", "modest-2", "greedy-6"]);
  });
});

test("who waits is told when a seat is expected by how long sessions usually last, and whether that held is counted", async () => {
  const { database, registry } = orchestrator;
  await database.query("insert into orchestrator.seat_times values ('demo', 120000)");
  for (let i = 0; i < 4; i++) await assign(`s${i}`);
  await untilSeated(4);
  await assign("first");
  const { body } = await assign("second");
  expect(body).toMatchObject({ status: "QUEUED", position: 2, etaSeconds: 60 });
  const { body: region } = await orchestrator
    .as("read")
    .call(routes.regionCapacity, { params: { region: "us-east-1" } });
  expect(region).toMatchObject({ freeSessions: 0, waiting: 2, queueSeconds: 90 });
  await database.query(
    "update orchestrator.placements set eta_told_at = now() - interval '30 s', eta_at = now() where session_id = 'first'",
  );
  await leave("s0");
  await untilSeated(5);
  await leave("s1");
  await untilSeated(6);
  const kept = async () =>
    (await registry.metrics()).match(/hotseat_eta_kept_total\{kept="(yes|no)"\} \d+/g)?.toSorted();
  await expect.poll(kept).toEqual(['hotseat_eta_kept_total{kept="no"} 1', 'hotseat_eta_kept_total{kept="yes"} 1']);
  expect(await registry.metrics()).toContain('hotseat_eta_error_seconds_bucket{le="-30"} 1');
});

test("of more than a pass looks at, each tenant's first are looked at, and those who wait again", async () => {
  const placements = new PlacementStore(orchestrator.database, systemClock, {
    places: () => ({ provider: "simulated", vmsMax: 0 }),
    budget: { vmsMax: 0, eurPerHourMax: null },
    quotas: new Quotas({}),
    waitMsMax: 60_000,
    newVmId: () => "",
  });
  const demand = demandOf({ gameId: "demo", client: "browser" }, fallbackChains);
  const rows = (tenant: string, count: number) =>
    Array.from({ length: count }, (_, i) => {
      const sessionId = `${tenant}-${i}`;
      const spec = seatSpecOf(sessionId, demand, { cap: undefined, idleMs: 1 });
      return { sessionId, tenant, demand, spec, expiresAt: new Date(Date.now() + 60_000) };
    });
  await placements.enqueue(rows("greedy", queuePassMax + 200));
  await placements.enqueue(rows("modest", 5));
  await orchestrator.database.query("update orchestrator.placements set again = true where session_id = 'greedy-4199'");
  const { waiting } = await placements.readQueue();
  expect(waiting).toHaveLength(queuePassMax);
  expect(waiting.filter(({ tenant }) => tenant === "modest")).toHaveLength(5);
  expect(waiting.filter(({ again }) => again).map(({ sessionId }) => sessionId)).toEqual(["greedy-4199"]);
  expect(await placements.position("modest-4")).toBe(11);
});
