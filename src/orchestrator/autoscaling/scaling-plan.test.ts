import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type RegionId, regionId, type TemplateId, templateId } from "../../contracts/catalog.js";
import { Quotas } from "../../platform/quotas.js";
import { fallbackChains } from "../catalog/regions.js";
import { templates } from "../catalog/templates.js";
import { type FleetVm, placeKey } from "../placement/fleet.js";
import { type Budget, Growth } from "../placement/growth.js";
import { type Place, type PoolMemory, type PoolSettings, scalingPlan, type WarmVms } from "./scaling-plan.js";

const here: Place = { region: "us-east-1", templateId: "L4-360" };
const settings = (fields: Partial<PoolSettings> = {}): PoolSettings => ({
  bufferSeats: 0,
  bufferPercent: 0,
  vmsMin: 0,
  vmsMax: 20,
  fallback: true,
  scaleOutMs: 5_000,
  scaleInMs: 300_000,
  ...fields,
});
const vm = (vmId: string, fields: Partial<FleetVm> = {}): FleetVm => ({
  vmId,
  ...here,
  provider: "simulated",
  status: "READY",
  reachable: true,
  sessionsMax: null,
  tenant: null,
  usedUnits: 0,
  createdAtMs: 0,
  ...fields,
});
const busy = (vmId: string, sessions = 4, fields: Partial<FleetVm> = {}) =>
  vm(vmId, { status: "IN_USE", usedUnits: sessions * 15, ...fields });

interface World {
  vms: FleetVm[];
  pools: Map<string, PoolSettings>;
  warm: WarmVms;
  budget: Budget;
  held: Set<string>;
  memory: ReadonlyMap<string, PoolMemory>;
  nowMs: number;
}
const noLimit: Budget = { vmsMax: null, eurPerHourMax: null };
const world = (fields: Partial<World> = {}): World => ({
  vms: [],
  pools: new Map(),
  warm: { ...here, vms: 0 },
  budget: noLimit,
  held: new Set(),
  memory: new Map(),
  nowMs: 1_000_000,
  ...fields,
});
const everywhere: Place[] = regionId.options.flatMap((region) =>
  templateId.options.map((template) => ({ region, templateId: template })),
);
const keyOf = (place: Place) => placeKey(place.region, place.templateId);

function plan({ vms, pools, warm, budget, held, memory, nowMs }: World) {
  const settingsOf = (place: Place) => pools.get(keyOf(place)) ?? settings();
  const places = (region: RegionId, template: TemplateId) => ({
    provider: "simulated" as const,
    vmsMax: settingsOf({ region, templateId: template }).vmsMax,
  });
  const growth = new Growth({ vms, held }, { places, budget, quotas: new Quotas({}) });
  return scalingPlan({ vms, growth, places: everywhere, settingsOf, warm, chains: fallbackChains, memory, nowMs });
}

let made = 0;
/** Does what the plan says: what it makes is ready by the next look, what it drains is gone. */
function obey(before: World, { launches, drains, memory }: ReturnType<typeof plan>, laterMs: number): World {
  const ready = before.vms.map((one) => (one.status === "PROVISIONING" ? { ...one, status: "READY" as const } : one));
  const fresh = launches.map((place) =>
    vm(`made-${++made}`, { ...place, status: "PROVISIONING", createdAtMs: before.nowMs }),
  );
  return {
    ...before,
    vms: [...ready.filter(({ vmId }) => !drains.includes(vmId)), ...fresh],
    memory,
    nowMs: before.nowMs + laterMs,
  };
}
const pool = (fields: Partial<PoolSettings>) => new Map([[keyOf(here), settings(fields)]]);

describe("a pool", () => {
  test("makes at once as many VMs as its buffer lacks, those under way counted", () => {
    const vms = [busy("a", 3), vm("b", { status: "BOOTING" })];
    expect(plan(world({ vms, pools: pool({ bufferSeats: 13 }) })).launches).toEqual([here, here]);
    expect(plan(world({ vms, pools: pool({ bufferSeats: 5 }) })).launches).toEqual([]);
  });

  test("keeps a buffer in percent of the seats in use", () => {
    const vms = [busy("a"), busy("b"), busy("c")];
    expect(plan(world({ vms, pools: pool({ bufferPercent: 50 }) })).launches).toEqual([here, here]);
    expect(plan(world({ vms: [], pools: pool({ bufferPercent: 50 }) })).launches).toEqual([]);
  });

  test("counts no seat on a VM whose agent is silent, nor on one that drains", () => {
    const vms = [vm("a", { reachable: false }), vm("b", { status: "DRAINING" })];
    expect(plan(world({ vms, pools: pool({ bufferSeats: 1 }) })).launches).toEqual([here]);
  });

  test("gives an empty VM back, the oldest first, once the surplus has lasted", () => {
    let now = world({ vms: [vm("new", { createdAtMs: 2 }), vm("old", { createdAtMs: 1 }), busy("busy", 1)] });
    now = obey(now, plan(now), 299_999);
    expect(now.vms).toHaveLength(3);
    now = obey(now, plan(now), 1);
    expect(now.vms).toHaveLength(3);
    now = obey(now, plan(now), 300_000);
    expect(now.vms.map(({ vmId }) => vmId)).toEqual(["new", "busy"]);
    expect(plan(now).drains).toEqual(["new"]);
  });

  test("waits anew with giving back when it needed its surplus in between", () => {
    let now = world({ vms: [vm("a")] });
    now = obey(now, plan(now), 200_000);
    now = { ...now, vms: [busy("a", 1)] };
    now = obey(now, plan(now), 200_000);
    now = { ...now, vms: [vm("a")] };
    expect(plan(now).drains).toEqual([]);
  });

  test("pauses between additions, so that a VM that cannot start is not made over and over", () => {
    const before = world({ pools: pool({ vmsMin: 1 }) });
    const { memory } = plan(before);
    expect(plan({ ...before, memory, nowMs: before.nowMs + 4_999 }).launches).toEqual([]);
    expect(plan({ ...before, memory, nowMs: before.nowMs + 5_000 }).launches).toEqual([here]);
  });

  test("whose provider has no room is stood in for by the next region of its chain, if it may be", () => {
    const held = new Set([keyOf(here), placeKey("us-west-2", "L4-360")]);
    const stoodIn = { region: "eu-west-1", templateId: "L4-360" };
    expect(plan(world({ held, pools: pool({ bufferSeats: 8 }) })).launches).toEqual([stoodIn, stoodIn]);
    expect(plan(world({ held, pools: pool({ bufferSeats: 8, fallback: false }) })).launches).toEqual([]);
  });

  test("stood in for is wanted no second time once the VMs elsewhere are there", () => {
    let now = world({ held: new Set([keyOf(here)]), pools: pool({ bufferSeats: 8 }) });
    now = obey(now, plan(now), 60_000);
    expect(now.vms.map(({ region }) => region)).toEqual(["us-west-2", "us-west-2"]);
    for (let i = 0; i < 10; i++) now = obey(now, plan(now), 400_000);
    expect(now.vms).toHaveLength(2);
  });

  test("that outgrows one region of the chain goes on to the next, and no further once they are there", () => {
    const pools = pool({ bufferSeats: 12 }).set(placeKey("us-west-2", "L4-360"), settings({ vmsMax: 2 }));
    let now = world({ held: new Set([keyOf(here)]), pools });
    for (let i = 0; i < 10; i++) now = obey(now, plan(now), 400_000);
    expect(now.vms.map(({ region }) => region)).toEqual(["us-west-2", "us-west-2", "eu-west-1"]);
  });
});

describe("warm VMs", () => {
  test("are made where settings say, as many as the fleet has less", () => {
    expect(plan(world({ warm: { ...here, vms: 1 } })).launches).toEqual([here]);
    const elsewhere = [busy("a", 1, { region: "eu-west-1" })];
    expect(plan(world({ warm: { ...here, vms: 1 }, vms: elsewhere })).launches).toEqual([]);
  });

  test("are never given back", () => {
    let now = world({ vms: [vm("a"), vm("b"), vm("c")], warm: { ...here, vms: 2 } });
    for (let i = 0; i < 10; i++) now = obey(now, plan(now), 400_000);
    expect(now.vms).toHaveLength(2);
  });
});

const anyPlace = fc.record({
  region: fc.constantFrom<RegionId>("us-east-1", "us-west-2", "eu-west-1"),
  templateId: fc.constantFrom<TemplateId>("L4-360", "L4-90"),
});
const anyVm = fc
  .record({
    place: anyPlace,
    status: fc.constantFrom("PROVISIONING", "BOOTING", "READY", "READY", "IN_USE", "IN_USE", "DRAINING", "ERROR"),
    sessions: fc.integer({ min: 1, max: 2 }),
    reachable: fc.boolean(),
    sessionsMax: fc.option(fc.integer({ min: 2, max: 6 })),
    createdAtMs: fc.nat(900_000),
  })
  .map(({ place, status, sessions, reachable, ...rest }) => {
    const used = status === "IN_USE" || status === "DRAINING" ? sessions : 0;
    const fields = { ...place, ...rest, status: status as FleetVm["status"], usedUnits: used * 30 };
    return vm(`vm-${++made}`, { ...fields, reachable: status !== "READY" || reachable });
  });
const anySettings = fc.record({
  bufferSeats: fc.nat(20),
  bufferPercent: fc.nat(200),
  vmsMin: fc.nat(4),
  vmsMax: fc.nat(8),
  fallback: fc.boolean(),
  scaleOutMs: fc.integer({ min: 1, max: 20_000 }),
  scaleInMs: fc.integer({ min: 1, max: 400_000 }),
});
const anyWorld = fc.record({
  vms: fc.array(anyVm, { maxLength: 25 }),
  pools: fc.array(fc.tuple(anyPlace.map(keyOf), anySettings), { maxLength: 6 }).map((entries) => new Map(entries)),
  warm: fc.record({ vms: fc.nat(4) }).map(({ vms }) => ({ ...here, vms })),
  budget: fc.record({
    vmsMax: fc.option(fc.nat(40)),
    eurPerHourMax: fc.option(fc.double({ min: 0, max: 30, noNaN: true })),
  }),
  held: fc.array(anyPlace.map(keyOf), { maxLength: 3 }).map((keys) => new Set(keys)),
  memory: fc.constant(new Map<string, PoolMemory>()),
  nowMs: fc.constant(1_000_000),
});
const count = (vms: readonly FleetVm[], key: string) => vms.filter((one) => keyOf(one) === key).length;
const eur = (vms: readonly FleetVm[]) => vms.reduce((sum, one) => sum + templates[one.templateId].eurPerHour, 0);
const pauses = fc.array(fc.integer({ min: 1, max: 500_000 }), { minLength: 1, maxLength: 12 });

describe("whatever the fleet and the settings", () => {
  test("no limit is passed by what is made, and nothing is made where the provider has no room", () => {
    fc.assert(
      fc.property(anyWorld, pauses, (start, later) => {
        let now: World = start;
        for (const pause of later) {
          const result = plan(now);
          const next = obey(now, result, pause);
          for (const place of result.launches) {
            expect(count(next.vms, keyOf(place))).toBeLessThanOrEqual(now.pools.get(keyOf(place))?.vmsMax ?? 20);
            expect(now.held.has(keyOf(place))).toBe(false);
          }
          if (result.launches.length > 0) {
            // What is drained is paid for until it is gone.
            const there = now.vms.length + result.launches.length;
            expect(there).toBeLessThanOrEqual(now.budget.vmsMax ?? Number.POSITIVE_INFINITY);
            const costs = eur([...now.vms, ...result.launches.map((place) => vm("", place))]);
            expect(costs).toBeLessThanOrEqual((now.budget.eurPerHourMax ?? Number.POSITIVE_INFINITY) + 1e-5);
          }
          now = next;
        }
      }),
    );
  });

  test("only empty VMs are drained, and what remains still has the buffer, the minimum and the warm VMs", () => {
    fc.assert(
      fc.property(anyWorld, pauses, (start, later) => {
        let now: World = start;
        for (const pause of later) {
          const result = plan(now);
          const next = obey(now, result, pause);
          const gone = now.vms.filter(({ vmId }) => result.drains.includes(vmId));
          for (const one of gone) {
            expect(one).toMatchObject({ status: "READY", usedUnits: 0 });
            const live = next.vms.filter(({ status }) => status !== "DRAINING" && status !== "ERROR");
            const rules = now.pools.get(keyOf(one));
            expect(count(live, keyOf(one))).toBeGreaterThanOrEqual(rules?.vmsMin ?? 0);
            expect(live.length).toBeGreaterThanOrEqual(now.warm.vms);
            expect(plan({ ...next, memory: new Map() }).launches.map(keyOf)).not.toContain(keyOf(one));
          }
          now = next;
        }
      }),
    );
  });

  test("both cooldowns are kept", () => {
    fc.assert(
      fc.property(anyWorld, pauses, (start, later) => {
        let now: World = start;
        const outAt = new Map<string, number>();
        const inAt = new Map<string, number>();
        for (const pause of later) {
          const result = plan(now);
          for (const key of new Set(result.launches.map(keyOf))) {
            const { scaleOutMs } = now.pools.get(key) ?? settings();
            expect(now.nowMs - (outAt.get(key) ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(scaleOutMs);
            outAt.set(key, now.nowMs);
          }
          for (const key of new Set(now.vms.filter(({ vmId }) => result.drains.includes(vmId)).map(keyOf))) {
            const { scaleInMs } = now.pools.get(key) ?? settings();
            const last = Math.max(outAt.get(key) ?? start.nowMs, inAt.get(key) ?? start.nowMs);
            expect(now.nowMs - last).toBeGreaterThanOrEqual(scaleInMs);
            inAt.set(key, now.nowMs);
          }
          now = obey(now, result, pause);
        }
      }),
    );
  });

  test("a constant demand comes to rest, and stays there", () => {
    fc.assert(
      fc.property(anyWorld, (start) => {
        let now: World = start;
        for (let i = 0; i < 60; i++) now = obey(now, plan(now), 500_000);
        for (let i = 0; i < 5; i++) {
          const result = plan(now);
          expect(result.launches).toEqual([]);
          expect(result.drains).toEqual([]);
          now = obey(now, result, 500_000);
        }
      }),
    );
  });
});
