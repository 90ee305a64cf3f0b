import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { presetId, regionId, templateId } from "../../contracts/catalog.js";
import { placementRequest } from "../../contracts/orchestrator.js";
import { Quotas } from "../../platform/quotas.js";
import { fallbackChains } from "../catalog/regions.js";
import { Admission } from "./admission.js";
import { demandOf } from "./demand.js";
import { type Fleet, type FleetVm, launchKey, type PlaceRules, placeKey } from "./fleet.js";
import type { Budget } from "./growth.js";
import { unitsFor } from "./seats.js";
import { planWaiting, type WaitingSession } from "./waiting.js";

const session = (sessionId: string, fields: object = {}, own: Partial<WaitingSession> = {}): WaitingSession => ({
  sessionId,
  tenant: "acme",
  again: false,
  overtakenAtMs: null,
  ...own,
  demand: demandOf(placementRequest.parse({ gameId: "demo", client: "api", ...fields }), fallbackChains),
});
const vm = (vmId: string, fields: Partial<FleetVm> = {}): FleetVm => ({
  vmId,
  region: "us-east-1",
  templateId: "L4-360",
  provider: "simulated",
  status: "READY",
  reachable: true,
  sessionsMax: null,
  tenant: null,
  usedUnits: 0,
  createdAtMs: 0,
  ...fields,
});
const fleetOf = (vms: FleetVm[], fields: Partial<Fleet> = {}): Fleet => ({
  vms,
  held: new Set(),
  halfOpen: new Set(),
  launchMs: new Map(),
  ...fields,
});
const upTo =
  (vmsMax: number): PlaceRules =>
  () => ({ provider: "simulated", vmsMax });

const noLimit: Budget = { vmsMax: null, eurPerHourMax: null };

function plan(
  fleet: Fleet,
  waiting: WaitingSession[],
  places: PlaceRules = upTo(20),
  budget = noLimit,
  quotas = new Quotas({}),
  admission?: Admission,
) {
  let made = 0;
  const queue = { waiting, round: new Set<string>() };
  return planWaiting({
    fleet,
    places,
    budget,
    quotas,
    queue,
    nowMs: 10_000,
    newVmId: () => `new-${++made}`,
    admission,
  });
}

const kinds = (result: ReturnType<typeof plan>) => result.outcomes.map(({ kind }) => kind);

describe("planWaiting", () => {
  test("never gives a VM more than it has, nor makes more VMs than a place may have", () => {
    const sessions = fc.array(
      fc.record({
        presetId: fc.constantFrom(...presetId.options),
        region: fc.constantFrom(...regionId.options),
        policy: fc.constantFrom("soonest", "nearest"),
      }),
      { maxLength: 25 },
    );
    const vms = fc.uniqueArray(
      fc.record({
        vmId: fc.uuid(),
        region: fc.constantFrom(...regionId.options),
        templateId: fc.constantFrom(...templateId.options),
        status: fc.constantFrom("PROVISIONING" as const, "READY" as const, "IN_USE" as const, "DRAINING" as const),
        sessionsMax: fc.option(fc.integer({ min: 1, max: 6 })),
        usedUnits: fc.constantFrom(0, 15, 30, 60),
      }),
      { maxLength: 10, selector: ({ vmId }) => vmId },
    );
    fc.assert(
      fc.property(vms, sessions, fc.integer({ min: 0, max: 3 }), (some, wanted, vmsMax) => {
        const fleet = fleetOf(some.map(({ vmId, ...fields }) => vm(vmId, fields)));
        const waiting = wanted.map((fields, i) => session(`s${i}`, fields));
        const result = plan(fleet, waiting, upTo(vmsMax));
        for (const target of fleet.vms) {
          const given = result.outcomes.reduce(
            (sum, outcome) => sum + (outcome.kind === "seat" && outcome.vmId === target.vmId ? outcome.units : 0),
            0,
          );
          expect(target.usedUnits + given).toBeLessThanOrEqual(60);
        }
        for (const { region, templateId } of result.launches) {
          const there = result.launches.filter((l) => l.region === region && l.templateId === templateId).length;
          const had = fleet.vms.filter((vm) => vm.region === region && vm.templateId === templateId).length;
          expect(had + there).toBeLessThanOrEqual(vmsMax);
        }
        expect(result.outcomes).toHaveLength(waiting.length);
      }),
    );
  });

  test("makes just as many VMs as those who wait need", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), (count) => {
        const waiting = Array.from({ length: count }, (_, i) => session(`s${i}`));
        const { launches } = plan(fleetOf([]), waiting);
        const perVm =
          60 / unitsFor({ templateId: launches[0]!.templateId, sessionsMax: null }, waiting[0]!.demand.preset);
        expect(launches).toHaveLength(Math.ceil(count / perVm));
      }),
    );
  });

  test("the first who came gets the only seat", () => {
    const fleet = fleetOf([vm("vm", { status: "IN_USE", usedUnits: 45 })]);
    expect(kinds(plan(fleet, [session("first"), session("second")], upTo(0)))).toEqual(["seat", "queued"]);
  });

  test("one whom nothing fits holds up nobody behind", () => {
    const fleet = fleetOf([vm("vm", { status: "IN_USE", usedUnits: 45 })]);
    const waiting = [session("whole", { presetId: "default-competitive" }), session("small")];
    expect(kinds(plan(fleet, waiting, upTo(0)))).toEqual(["queued", "seat"]);
  });

  test("gives seats to tenants by turns", () => {
    const fleet = fleetOf([vm("vm", { status: "IN_USE", usedUnits: 15 })]);
    const waiting = ["a", "a", "a", "b", "b"].map((tenant, i) => session(`s${i}`, {}, { tenant }));
    const { outcomes } = plan(fleet, waiting, upTo(0));
    expect(outcomes.map(({ kind, position }) => [kind, position])).toEqual([
      ["seat", 1],
      ["seat", 3],
      ["queued", 5],
      ["seat", 2],
      ["queued", 4],
    ]);
  });

  test("counts on VMs under way before making another, and says when they are expected", () => {
    const fleet = fleetOf([vm("coming", { status: "BOOTING", createdAtMs: 4_000 })], {
      launchMs: new Map([[launchKey("simulated", "L4-360"), 15_000]]),
    });
    const waiting = Array.from({ length: 5 }, (_, i) => session(`s${i}`));
    const { outcomes, launches } = plan(fleet, waiting);
    expect(launches).toHaveLength(1);
    expect(outcomes[0]).toEqual({ kind: "under-way", region: "us-east-1", etaSeconds: 9, position: 1 });
    expect(outcomes[4]).toEqual({ kind: "under-way", region: "us-east-1", etaSeconds: null, position: 5 });
  });

  test("by soonest a free seat far goes before a VM near; by nearest the VM is made near", () => {
    const fleet = fleetOf([vm("far", { region: "us-west-2" })]);
    expect(plan(fleet, [session("s")]).outcomes[0]).toMatchObject({ kind: "seat", vmId: "far" });
    expect(plan(fleet, [session("s", { policy: "nearest" })]).launches).toMatchObject([{ region: "us-east-1" }]);
    const full = plan(fleet, [session("s", { policy: "nearest" })], upTo(0));
    expect(full.outcomes[0]).toMatchObject({ kind: "seat", vmId: "far" });
  });

  test("walks templates, then regions, past places that are full or without capacity", () => {
    const { templates, regions } = session("s").demand;
    const held = new Set(templates.slice(0, 2).map((id) => placeKey(regions[0]!, id)));
    expect(plan(fleetOf([], { held }), [session("s")]).launches).toMatchObject([
      { region: regions[0], templateId: templates[2] },
    ]);
    const all = new Set(templates.map((id) => placeKey(regions[0]!, id)));
    expect(plan(fleetOf([], { held: all }), [session("s")]).launches).toMatchObject([
      { region: regions[1], templateId: templates[0] },
    ]);
  });

  test("makes no simulated VM for a browser, and says so", () => {
    const { outcomes, launches } = plan(fleetOf([]), [session("s", { client: "browser" })]);
    expect(launches).toEqual([]);
    expect(outcomes[0]).toMatchObject({ kind: "queued", reason: expect.stringContaining("simulated") });
  });

  test("a tenant that has all the VMs it may have has no more made: its requests say so and take seats of others", () => {
    const quotas = new Quotas({ "*": { vmsMax: 1 } });
    const whole = (sessionId: string, tenant: string) => ({
      ...session(sessionId, { presetId: "default-competitive" }),
      tenant,
    });
    const own = vm("own", { tenant: "acme", usedUnits: 60, status: "IN_USE" });
    const waiting = [whole("a1", "acme"), whole("b1", "beta"), whole("b2", "beta"), whole("a2", "acme")];
    const full = plan(fleetOf([own]), waiting, upTo(20), noLimit, quotas);
    expect(full.launches).toMatchObject([{ tenant: "beta" }]);
    expect(kinds(full)).toEqual(["queued", "under-way", "queued", "queued"]);
    expect(full.outcomes[0]).toMatchObject({ reason: expect.stringContaining("all the VMs it may have (1)") });
    const withRoom = plan(fleetOf([own, vm("pool")]), waiting, upTo(20), noLimit, quotas);
    expect(kinds(withRoom)).toEqual(["seat", "under-way", "queued", "queued"]);
  });

  test("turns newcomers away who would wait past their tenant's limit, and does for the others as if they had not come", () => {
    const wishes = fc.array(
      fc.record({
        tenant: fc.constantFrom("acme", "beta"),
        isNew: fc.boolean(),
        presetId: fc.constantFrom(...presetId.options),
        region: fc.constantFrom("us-east-1", "eu-west-1"),
        policy: fc.constantFrom("soonest", "nearest"),
      }),
      { maxLength: 20 },
    );
    const used = fc.array(fc.constantFrom(0, 15, 30, 60), { maxLength: 4 });
    fc.assert(
      fc.property(wishes, used, fc.nat(3), fc.nat(5), (wanted, units, vmsMax, waitingMax) => {
        const quotas = new Quotas({ acme: { waitingMax } });
        const fleet = fleetOf(units.map((usedUnits, i) => vm(`vm-${i}`, { usedUnits })));
        const sessions = wanted.map(({ tenant, isNew, ...fields }, i) => ({
          isNew,
          ...session(`s${i}`, fields),
          tenant,
        }));
        const waits = sessions.filter(({ tenant, isNew }) => tenant === "acme" && !isNew).length;
        const decide = (waiting: typeof sessions) => {
          const newcomers = waiting.filter(({ isNew }) => isNew);
          const admission = new Admission(newcomers, new Map([["acme", waits]]), quotas);
          const result = plan(fleet, waiting, upTo(vmsMax), noLimit, quotas, admission);
          const seated = waiting.filter((_, i) => result.outcomes[i]!.kind === "seat");
          return { ...result, seated, away: admission.turnAway(seated) };
        };
        const { outcomes, launches, seated, away } = decide(sessions);
        const stay = sessions.filter(({ sessionId }) => !away.has(sessionId));
        for (const one of sessions.filter(({ sessionId }) => away.has(sessionId))) {
          expect([one.tenant, one.isNew]).toEqual(["acme", true]);
          expect(away.get(one.sessionId)!.used).toBeGreaterThanOrEqual(waitingMax);
        }
        const joined = stay.filter((one) => one.tenant === "acme" && one.isNew && !seated.includes(one));
        expect(joined.length).toBeLessThanOrEqual(Math.max(0, waitingMax - waits));
        const without = decide(stay);
        expect(without.away.size).toBe(0);
        expect(without.launches).toEqual(launches);
        const plain = (some: typeof sessions, all: typeof outcomes) =>
          some.map(({ sessionId }, i) => ({ sessionId, ...all[i]!, position: null }));
        expect(plain(stay, without.outcomes)).toEqual(
          plain(sessions, outcomes).filter(({ sessionId }) => !away.has(sessionId)),
        );
      }),
    );
  });
});
