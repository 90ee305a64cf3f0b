import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { presetId, providerId, regionId, templateId } from "../../contracts/catalog.js";
import { placementRequest, vmStatus } from "../../contracts/orchestrator.js";
import { fallbackChains } from "../catalog/regions.js";
import { demandOf } from "./demand.js";
import { FleetIndex, type KnownVm } from "./fleet-index.js";
import { place, rejection } from "./place.js";
import { unitsFor } from "./seats.js";

const demand = (fields: object = {}) =>
  demandOf(placementRequest.parse({ gameId: "demo", client: "api", ...fields }), fallbackChains);
const vm = (vmId: string, fields: Partial<KnownVm> = {}): KnownVm => ({
  vmId,
  region: "us-east-1",
  templateId: "L4-360",
  provider: "simulated",
  status: "READY",
  version: 1,
  reachable: true,
  sessionsMax: null,
  usedUnits: 0,
  ...fields,
});
const indexOf = (vms: readonly KnownVm[], random = () => 0) => {
  const index = new FleetIndex(random);
  for (const each of vms) index.put(each);
  return index;
};

const anyVm = fc.record({
  vmId: fc.constantFrom(..."abcdefghijklmnop"),
  region: fc.constantFrom(...regionId.options.slice(0, 3)),
  templateId: fc.constantFrom(...templateId.options),
  provider: fc.constantFrom(...providerId.options),
  status: fc.constantFrom(...vmStatus.options),
  version: fc.integer({ min: 1, max: 5 }),
  reachable: fc.boolean(),
  sessionsMax: fc.option(fc.integer({ min: 1, max: 6 })),
  usedUnits: fc.constantFrom(0, 10, 15, 20, 30, 45, 60),
});
const anyFleet = fc.uniqueArray(anyVm, { selector: ({ vmId }) => vmId, maxLength: 16 });
const anyDemand = fc
  .record({
    presetId: fc.constantFrom(...presetId.options),
    region: fc.constantFrom(...regionId.options),
    client: fc.constantFrom("browser", "api"),
  })
  .map((fields) => demand(fields));
const isThere = ({ status }: KnownVm) => status !== "TERMINATED" && status !== "TEMPLATE";
const asCandidate = (known: KnownVm) => ({ ...known, createdAtMs: 0 });

describe("the fleet in memory", () => {
  test("chooses as well as a look at every VM does, and counts the same reasons", () => {
    fc.assert(
      fc.property(anyFleet, anyDemand, fc.double({ min: 0, max: 0.999, noNaN: true }), (fleet, wanted, luck) => {
        const vms = fleet.filter(isThere);
        const index = indexOf(fleet, () => luck);
        const looked = place(vms.map(asCandidate), wanted);
        expect(index.size).toBe(vms.length);
        const tally = index.tally(wanted, wanted.regions);
        expect(tally.rejected).toEqual(looked.rejected);
        const chosen = index.choose(wanted, wanted.regions);
        expect(chosen === null).toBe(looked.vm === null);
        if (chosen === null || looked.vm === null) return;
        expect([chosen.vm.region, chosen.usedUnits]).toEqual([looked.vm.region, looked.vm.usedUnits]);
        expect(rejection(asCandidate(chosen.vm), wanted)).toBeNull();
        expect(chosen.units).toBe(unitsFor(chosen.vm, wanted.preset));
        const takers = vms.filter((known) => rejection(asCandidate(known), wanted) === null);
        expect(tally.fitting).toBe(takers.length);
        const next = chosen.runnersUp.map(({ vm: known }) => known.vmId);
        expect(next).not.toContain(chosen.vm.vmId);
        expect(new Set(next).size).toBe(Math.min(5, takers.length - 1));
        for (const vmId of next) expect(takers.map((known) => known.vmId)).toContain(vmId);
      }),
    );
  });

  test("never promises more of a VM than it has, and forgets a promise when told", () => {
    fc.assert(
      fc.property(anyFleet, fc.array(anyDemand, { maxLength: 60 }), (fleet, demands) => {
        const index = indexOf(fleet);
        const promised = new Map<string, number>();
        const chosen = demands.flatMap((wanted) => index.choose(wanted, wanted.regions) ?? []);
        for (const { vm: known, units } of chosen)
          promised.set(known.vmId, (promised.get(known.vmId) ?? known.usedUnits) + units);
        for (const units of promised.values()) expect(units).toBeLessThanOrEqual(60);
        for (const { vm: known, units } of chosen) index.unreserve(known.vmId, units);
        const fresh = indexOf(fleet);
        for (const wanted of demands.slice(0, 5)) {
          expect(index.tally(wanted, wanted.regions)).toEqual(fresh.tally(wanted, wanted.regions));
          const [again, first] = [index.choose(wanted, wanted.regions), fresh.choose(wanted, wanted.regions)];
          expect(again?.usedUnits).toBe(first?.usedUnits);
        }
      }),
    );
  });

  test("ends the same in whatever order news arrive, twice or late", () => {
    const news = fc.array(
      anyVm.map((known) => ({ ...known, status: "READY" as const, usedUnits: known.version * 10 })),
    );
    fc.assert(
      fc.property(news, fc.infiniteStream(fc.nat()), anyDemand, (told, order, wanted) => {
        // One VM's facts never change, and a version is one state.
        const facts = new Map(told.map((known) => [known.vmId, known] as const));
        const sane = told.map((known) => ({
          ...facts.get(known.vmId)!,
          version: known.version,
          usedUnits: known.usedUnits,
        }));
        const shuffled = [...sane, ...sane]
          .map((known) => ({ known, key: order.next().value! }))
          .sort((a, b) => a.key - b.key)
          .map(({ known }) => known);
        const [straight, mixed] = [indexOf(sane.toSorted((a, b) => a.version - b.version)), indexOf(shuffled)];
        expect(mixed.tally(wanted, wanted.regions)).toEqual(straight.tally(wanted, wanted.regions));
      }),
    );
  });

  test("prefers its own share, and takes the others' when that is full", () => {
    const index = indexOf([vm("theirs", { usedUnits: 45 }), vm("ours")]);
    index.prefer((vmId) => vmId === "ours");
    const given = Array.from({ length: 6 }, () => index.choose(demand(), ["us-east-1"])?.vm.vmId);
    expect(given).toEqual(["ours", "ours", "ours", "ours", "theirs", undefined]);
  });

  test("goes by what a commit found, unless it has heard something newer", () => {
    const index = indexOf([vm("a", { version: 5, usedUnits: 60 })]);
    index.learn({ vmId: "a", status: "IN_USE", version: 4, reachable: true, usedUnits: 0 });
    expect(index.choose(demand(), ["us-east-1"])).toBeNull();
    index.learn({ vmId: "a", status: "IN_USE", version: 6, reachable: true, usedUnits: 0 });
    expect(index.choose(demand(), ["us-east-1"])?.vm.vmId).toBe("a");
    index.forget("a");
    expect(index.size).toBe(0);
    index.learn({ vmId: "never-heard-of", status: "READY", version: 1, reachable: true, usedUnits: 0 });
    expect(index.size).toBe(0);
  });
});
