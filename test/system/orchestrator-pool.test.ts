// The warm pool and the circuit breakers at work: the real orchestrator, its database, and the simulated provider.
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { orchestratorRoutes as routes, type Vm, vmStatus } from "../../src/contracts/orchestrator.js";
import { poolsOf } from "../../src/orchestrator/placement/capacity.js";
import type { FleetVm } from "../../src/orchestrator/placement/fleet.js";
import { readFleet, readFleetInKinds } from "../../src/orchestrator/placement/fleet-store.js";
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
});
afterAll(async () => {
  await idle[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});
beforeEach(() => emptyFleet(idle.database));

const here = { region: "us-east-1", templateId: "L4-360" } as const;
const start = ({ simulated, ...config }: { simulated?: object } & Record<string, unknown> = {}) =>
  startOrchestrator(db, {
    config: {
      places: [{ provider: "simulated" }],
      simulated: { provisioningMs: 50, bootMs: 20, ...simulated },
      reconcileSeconds: 0.05,
      ...config,
    },
  });
const eventually = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { timeout: 15_000, interval: 20 });
const fleet = async (): Promise<Vm[]> => {
  const { body } = await idle.as("operate").call(routes.listVms, { query: { limit: 500 } });
  return body.vms.filter(({ status }) => status !== "TEMPLATE" && status !== "TERMINATED");
};
const ready = async () => (await fleet()).filter(({ status }) => status === "READY");
const sit = async (sessionId: string, vmId: string) =>
  idle.as("operate").call(routes.assign, { body: { sessionId, vmId } });
const capacityNotes = async () =>
  (await idle.as("read").call(routes.regionCapacity, { params: { region: here.region } })).body.notes;
/** How often the pool looks, many times over. */
const looks = async (orchestrator: TestOrchestrator, count = 10) => {
  const passes = async () => {
    const text = await orchestrator.registry.getSingleMetricAsString("hotseat_reconcile_seconds");
    return Number(/hotseat_reconcile_seconds_count (\d+)/.exec(text)?.[1]);
  };
  const before = await passes();
  await eventually(async () => expect(await passes()).toBeGreaterThan(before + count));
};

describe("a warm pool", () => {
  test("has its buffer before anybody asks, and keeps it free as sessions come", async () => {
    await using _ = await start({ pools: [{ ...here, bufferSeats: 4, scaleOutSeconds: 0.01 }] });
    await eventually(async () => expect(await ready()).toHaveLength(1));
    const [{ vmId } = { vmId: "" }] = await ready();
    await sit("s1", vmId);
    await eventually(async () => expect(await fleet()).toHaveLength(2));
    await eventually(async () => expect(await ready()).toHaveLength(1));
    expect((await idle.vms.get(vmId)).sessions).toEqual(["s1"]);
  });

  test("comes to rest: with a constant demand it neither makes nor ends a VM", async () => {
    await using orchestrator = await start({
      pools: [{ ...here, bufferPercent: 100, vmsMin: 2, scaleOutSeconds: 0.01, scaleInSeconds: 0.05 }],
    });
    await eventually(async () => expect(await ready()).toHaveLength(2));
    const [a, b] = await ready();
    for (const [i, vm] of [a!, a!, b!].entries()) await sit(`s${i}`, vm.vmId);
    await looks(orchestrator);
    const before = (await fleet()).map(({ vmId }) => vmId);
    await looks(orchestrator, 30);
    expect((await fleet()).map(({ vmId }) => vmId)).toEqual(before);
  });

  test("gives empty VMs back by draining them, down to its minimum, and never one with a session", async () => {
    for (let i = 0; i < 4; i++) await idle.as("operate").call(routes.createVm, { body: here });
    await using _inNoHurry = await start();
    await eventually(async () => expect(await ready()).toHaveLength(4));
    const [{ vmId } = { vmId: "" }] = await ready();
    await sit("s1", vmId);
    await using _ = await start({ pools: [{ ...here, vmsMin: 1, scaleInSeconds: 0.2 }] });
    await eventually(async () => expect((await fleet()).map((vm) => vm.vmId)).toEqual([vmId]));
    expect(await idle.vms.get(vmId)).toMatchObject({ status: "IN_USE", sessions: ["s1"] });
    const ended = (await idle.as("operate").call(routes.listVms, { query: { limit: 10 } })).body.vms;
    const reasons = ended.filter(({ status }) => status === "TERMINATED").map(({ reason }) => reason);
    expect(reasons).toEqual(["drained", "drained", "drained"]);
  });

  test("replaces a VM that dies idle", async () => {
    await using _ = await start({ warm: { vms: 1 }, pools: [{ scaleOutSeconds: 0.01 }] });
    await eventually(async () => expect(await ready()).toHaveLength(1));
    const [{ vmId } = { vmId: "" }] = await ready();
    await idle.database.query("delete from orchestrator.simulated_instances where vm_id = $1", [vmId]);
    await eventually(async () => {
      const [next] = await ready();
      expect(next?.vmId).toMatch(/^vm-/);
      expect(next?.vmId).not.toBe(vmId);
    });
  });

  test("stays within the budget, and so does everybody else", async () => {
    const pools = [{ ...here, bufferSeats: 100, scaleOutSeconds: 0.01 }];
    await using orchestrator = await start({ budget: { eurPerHourMax: 2 }, pools });
    await eventually(async () => expect(await ready()).toHaveLength(2));
    await looks(orchestrator);
    expect(await fleet()).toHaveLength(2);
    const making = orchestrator.as("operate").call(routes.createVm, { body: here });
    await expect(making).rejects.toThrow("The fleet's budget has no room for another VM.");
    for (let i = 0; i < 9; i++)
      await orchestrator.as("operate").call(routes.assign, {
        body: { sessionId: `s${i}`, request: { gameId: "demo", client: "api" } },
      });
    await looks(orchestrator);
    expect(await fleet()).toHaveLength(2);
    expect((await idle.as("operate").call(routes.metrics)).body.waiting).toBe(1);
  });

  test("is made once, though several replicas keep it", async () => {
    const pools = [{ ...here, vmsMin: 5, scaleOutSeconds: 0.01 }];
    await using first = await start({ pools });
    await using _second = await start({ pools });
    await using _third = await start({ pools });
    await eventually(async () => expect(await ready()).toHaveLength(5));
    await looks(first);
    expect(await fleet()).toHaveLength(5);
  });

  test("counts the seats that VMs under way will have when those who wait have theirs", async () => {
    await using orchestrator = await start({
      simulated: { provisioningMs: 500 },
      pools: [{ bufferSeats: 0 }, { region: "us-east-1", templateId: "RTX-4080", bufferSeats: 3 }],
    });
    await eventually(async () => expect(await fleet()).toHaveLength(1));
    await orchestrator.as("operate").call(routes.assign, {
      body: { sessionId: "s1", request: { gameId: "demo", client: "api", region: "us-east-1" } },
    });
    await eventually(async () => expect((await fleet()).some(({ sessions }) => sessions.length === 1)).toBe(true));
    await looks(orchestrator);
    expect(await fleet()).toHaveLength(1);
  });
});

describe("a place without capacity", () => {
  test("is left alone longer after each failure, says so in words, and its pool is kept in the next region", async () => {
    await using orchestrator = await start({
      capacityHoldSeconds: 0.4,
      capacityHoldSecondsMax: 60,
      pools: [{ ...here, bufferSeats: 4, scaleOutSeconds: 0.01 }],
      simulated: { capacityErrorShare: 1 },
    });
    await eventually(async () => {
      const notes = await capacityNotes();
      expect(notes).toHaveLength(1);
      expect(notes[0]).toMatch(
        /^L4-360: the provider had no capacity, [3-9] times in a row; it is asked (again in|for)/,
      );
    });
    const tried = (await idle.events()).filter(({ type }) => type === "VMError");
    expect(tried.length).toBeLessThan(40);
    const regions = new Set(tried.map(({ data }) => "region" in data && data.region));
    expect(regions).toContain("us-west-2");
    expect(await orchestrator.registry.getSingleMetricAsString("hotseat_capacity_breakers")).toMatch(
      /state="(half-)?open",region="us-west-2",template="L4-360",provider="simulated"\} 1/,
    );
  });

  test("is tried with one VM at a time once its time is over, and is open to all when that one comes up", async () => {
    await idle.database.query(
      `insert into orchestrator.capacity_holds (region, template_id, provider, until, failures)
       values ('us-east-1', 'L4-360', 'simulated', now() - interval '1 ms', 3)`,
    );
    expect(await capacityNotes()).toEqual([
      "L4-360: the provider had no capacity, 3 times in a row; it is asked for one VM at a time.",
    ]);
    let most = 0;
    await using _ = await start({
      pools: [{ ...here, vmsMin: 3, fallback: false, scaleOutSeconds: 0.01 }],
      simulated: { provisioningMs: 300 },
    });
    await eventually(async () => {
      const vms = await fleet();
      if ((await capacityNotes()).length > 0) most = Math.max(most, vms.length);
      expect(vms.filter(({ status }) => status === "READY")).toHaveLength(3);
    });
    expect(most).toBe(1);
    expect(await capacityNotes()).toEqual([]);
  });
});

test("in kinds the fleet has the sums it has VM by VM", async () => {
  const of = {
    templateId: ["L4-360", "A16"],
    status: vmStatus.options.filter((status) => status !== "TEMPLATE"),
  } as const;
  for (const [i, status] of [...of.status, ...of.status, ...of.status].entries())
    await vmIn(idle, status, { templateId: of.templateId[i % 2]! });
  await idle.database.query("update orchestrator.vms set reachable = false where hashtext(vm_id) % 3 = 0");
  const [kinds, vms] = [await readFleetInKinds(idle.database, new Date()), await readFleet(idle.database, new Date())];
  const byPlace = (pools: ReturnType<typeof poolsOf>) =>
    new Map(pools.map((pool) => [`${pool.region} ${pool.templateId}`, pool]));
  expect(vms.vms).toHaveLength(18);
  expect(byPlace(poolsOf(kinds))).toEqual(byPlace(poolsOf(vms)));
  const withoutId = (all: readonly FleetVm[]) =>
    all
      .map(({ vmId: _, createdAtMs: __, version: ___, ...kind }: FleetVm & { version?: number }) =>
        JSON.stringify(kind, Object.keys(kind).sort()),
      )
      .sort();
  expect(withoutId(kinds.vms)).toEqual(withoutId(vms.vms));
});
