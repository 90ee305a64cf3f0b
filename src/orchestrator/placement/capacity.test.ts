import { expect, test } from "vitest";
import { fallbackChains } from "../catalog/regions.js";
import { fleetMetrics, poolsOf, regionCapacity } from "./capacity.js";
import { launchKey, type OccupiedVm } from "./fleet.js";

const vm = (vmId: string, fields: Partial<OccupiedVm> = {}): OccupiedVm => ({
  vmId,
  region: "us-east-1",
  templateId: "L4-360",
  provider: "local",
  status: "READY",
  reachable: true,
  sessionsMax: null,
  tenant: null,
  usedUnits: 0,
  sessions: 0,
  endsPerHour: null,
  createdAtMs: 0,
  ...fields,
});
const fleetOf = (...vms: OccupiedVm[]) => ({
  vms,
  held: new Set<string>(),
  halfOpen: new Set<string>(),
  launchMs: new Map([[launchKey("local", "L4-360"), 20_000]]),
});
const capacity = (...vms: OccupiedVm[]) =>
  regionCapacity({
    region: "us-east-1",
    fleet: fleetOf(...vms),
    holds: [
      {
        region: "us-east-1",
        templateId: "A10",
        provider: "local",
        scope: "place",
        failures: 2,
        until: new Date(35_000),
      },
      {
        region: "eu-west-1",
        templateId: "A10",
        provider: "local",
        scope: "place",
        failures: 2,
        until: new Date(35_000),
      },
    ],
    waiting: new Map([["us-east-1" as const, 3]]),
    chains: fallbackChains,
    nowMs: 5_000,
  });

test("units and sessions of a region add up, and its chain is told", () => {
  const seen = capacity(
    vm("a", { status: "IN_USE", usedUnits: 30, sessions: 2 }),
    vm("b"),
    vm("c", { status: "BOOTING" }),
    vm("elsewhere", { region: "eu-west-1" }),
  );
  expect(seen).toEqual({
    region: "us-east-1",
    notes: ["A10: the provider had no capacity, 2 times in a row; it is asked again in 30 s."],
    availableVms: 2,
    provisioningVms: 1,
    totalUnits: 120,
    usedUnits: 30,
    freeUnits: 90,
    totalSessions: 8,
    usedSessions: 2,
    freeSessions: 6,
    waiting: 3,
    queueSeconds: 0,
    fallback: fallbackChains["us-east-1"],
  });
});

test("a draining VM's sessions are used, its free seats are nobody's", () => {
  const seen = capacity(vm("a", { status: "DRAINING", usedUnits: 15, sessions: 1 }));
  expect(seen).toMatchObject({ availableVms: 0, totalUnits: 15, usedUnits: 15, freeUnits: 0, freeSessions: 0 });
});

test("the queue's time is until the VM under way is expected, and unknown without one", () => {
  expect(capacity(vm("a", { status: "PROVISIONING" })).queueSeconds).toBe(15);
  expect(capacity(vm("a", { status: "PROVISIONING", createdAtMs: -60_000 })).queueSeconds).toBe(1);
  expect(capacity(vm("a", { status: "IN_USE", usedUnits: 60, sessions: 1 })).queueSeconds).toBeNull();
});

test("the fleet's figures count every live VM once", () => {
  const fleet = fleetOf(vm("a"), vm("b", { region: "eu-west-1", status: "IN_USE", usedUnits: 15, sessions: 1 }));
  const seen = fleetMetrics({ fleet, holds: [], waiting: new Map(), chains: fallbackChains, nowMs: 0 });
  expect(seen).toMatchObject({
    vms: 2,
    units: { total: 120, used: 15, free: 105 },
    sessions: { total: 8, used: 1, free: 7 },
  });
  expect(seen.byStatus).toMatchObject({ READY: 1, IN_USE: 1, TEMPLATE: 0 });
  expect(seen.byRegion).toMatchObject({ "us-east-1": 1, "eu-west-1": 1, "us-west-2": 0 });
  expect(seen.regions).toHaveLength(6);
});

test("a pool is the VMs of one template in one region that take sessions", () => {
  const fleet = fleetOf(
    vm("a"),
    vm("b", { usedUnits: 60, status: "IN_USE" }),
    vm("c", { templateId: "A10" }),
    vm("d", { status: "BOOTING" }),
  );
  expect(poolsOf(fleet)).toEqual([
    { region: "us-east-1", templateId: "L4-360", free: 4, total: 8, vms: 2 },
    { region: "us-east-1", templateId: "A10", free: 4, total: 4, vms: 1 },
  ]);
});
