import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { presetId, providerId, regionId, templateId } from "../../contracts/catalog.js";
import { placementRequest, vmStatus } from "../../contracts/orchestrator.js";
import { Problem } from "../../contracts/problems.js";
import { fallbackChains } from "../catalog/regions.js";
import { demandOf, regionOrder } from "./demand.js";
import { type Candidate, place, rejection } from "./place.js";
import { freeSeats, unitsFor } from "./seats.js";

const request = (fields: object = {}) => placementRequest.parse({ gameId: "demo", client: "api", ...fields });
const demand = (fields: object = {}) => demandOf(request(fields), fallbackChains);
const vm = (vmId: string, fields: Partial<Candidate> = {}): Candidate => ({
  vmId,
  region: "us-east-1",
  templateId: "L4-360",
  provider: "local",
  status: "READY",
  reachable: true,
  sessionsMax: null,
  usedUnits: 0,
  createdAtMs: 0,
  ...fields,
});

const anyVm = fc.record({
  vmId: fc.uuid(),
  region: fc.constantFrom(...regionId.options),
  templateId: fc.constantFrom(...templateId.options),
  provider: fc.constantFrom(...providerId.options),
  status: fc.constantFrom(...vmStatus.options),
  reachable: fc.boolean(),
  sessionsMax: fc.option(fc.integer({ min: 1, max: 6 })),
  usedUnits: fc.constantFrom(0, 10, 15, 20, 30, 45, 60),
  createdAtMs: fc.nat(),
});
const anyDemand = fc
  .record({
    presetId: fc.constantFrom(...presetId.options),
    region: fc.constantFrom(...regionId.options),
    client: fc.constantFrom("browser", "api"),
  })
  .map((fields) => demand(fields));

describe("place", () => {
  test("chooses a VM that takes the session, in the nearest region that has one, the fullest there", () => {
    fc.assert(
      fc.property(fc.array(anyVm, { maxLength: 20 }), anyDemand, (fleet, wanted) => {
        const { vm: chosen } = place(fleet, wanted);
        const takers = fleet.filter((candidate) => rejection(candidate, wanted) === null);
        if (chosen === null) {
          expect(takers).toEqual([]);
          return;
        }
        expect(takers).toContain(chosen);
        const rank = (candidate: Candidate) => wanted.regions.indexOf(candidate.region);
        expect(rank(chosen)).toBe(Math.min(...takers.map(rank)));
        const near = takers.filter((candidate) => rank(candidate) === rank(chosen));
        expect(chosen.usedUnits).toBe(Math.max(...near.map((candidate) => candidate.usedUnits)));
        expect(chosen.usedUnits + unitsFor(chosen, wanted.preset)).toBeLessThanOrEqual(60);
      }),
    );
  });

  test("counts a reason for every VM that cannot take the session, and for no other", () => {
    fc.assert(
      fc.property(fc.array(anyVm, { maxLength: 20 }), anyDemand, (fleet, wanted) => {
        const { rejected } = place(fleet, wanted);
        const counted = Object.values(rejected).reduce((sum, count) => sum + count, 0);
        expect(counted).toBe(fleet.filter((candidate) => rejection(candidate, wanted) !== null).length);
      }),
    );
  });

  test("does not depend on the order in which the fleet is read", () => {
    fc.assert(
      fc.property(fc.array(anyVm, { maxLength: 20 }), anyDemand, (fleet, wanted) => {
        expect(place(fleet.toReversed(), wanted).vm?.vmId).toBe(place(fleet, wanted).vm?.vmId);
      }),
    );
  });

  test("packs: a VM with a session goes before an empty one", () => {
    expect(place([vm("empty"), vm("busy", { status: "IN_USE", usedUnits: 15 })], demand()).vm?.vmId).toBe("busy");
  });

  test("walks the fallback chain when the first region is full", () => {
    const fleet = [
      vm("full", { usedUnits: 60 }),
      vm("far", { region: "eu-west-1" }),
      vm("next", { region: "us-west-2" }),
    ];
    expect(place(fleet, demand({ region: "us-east-1" })).vm?.vmId).toBe("next");
  });

  test.each([
    ["too-far", { region: "ap-southeast-1" }],
    ["not-ready", { status: "BOOTING" }],
    ["not-ready", { status: "DRAINING" }],
    ["not-ready", { status: "TEMPLATE" }],
    ["unreachable", { reachable: false }],
    ["simulated", { provider: "simulated" }],
    ["full", { usedUnits: 60 }],
  ] as const)("passes over a VM that is %s: %o", (reason, fields) => {
    expect(place([vm("vm", fields)], demand({ client: "browser" }))).toEqual({ vm: null, rejected: { [reason]: 1 } });
  });

  test("passes over a template whose encoder cannot carry the preset", () => {
    const small = vm("vm", { templateId: "L4-90" });
    expect(place([small], demand({ presetId: "default-competitive" })).rejected).toEqual({ "template-too-small": 1 });
  });

  test("gives an API session a simulated VM", () => {
    expect(place([vm("vm", { provider: "simulated" })], demand()).vm?.vmId).toBe("vm");
  });

  test("believes what the machine's own probe found", () => {
    const weak = vm("vm", { status: "IN_USE", sessionsMax: 1, usedUnits: 60 });
    expect(freeSeats({ ...weak, usedUnits: 0 }, demand().preset)).toBe(1);
    expect(place([weak], demand()).vm).toBeNull();
  });
});

describe("regionOrder", () => {
  const order = (fields: object) => regionOrder(request(fields), fallbackChains);

  test("is the fallback chain, cut where the table of distances says it is too far", () => {
    expect(order({ region: "eu-west-1" })).toEqual(["eu-west-1", "eu-central-1", "us-east-1", "us-west-2"]);
    expect(order({ region: "eu-west-1", rttMsMax: 30 })).toEqual(["eu-west-1", "eu-central-1"]);
  });

  test("starts at us-east-1 when nothing is said", () => {
    expect(order({})[0]).toBe("us-east-1");
  });

  test("follows the player's own latencies, leaving out what is too far or was not measured", () => {
    const latencies = { "ap-northeast-1": 12, "us-west-2": 110, "us-east-1": 170 };
    expect(order({ latencies })).toEqual(["ap-northeast-1", "us-west-2"]);
    expect(order({ latencies, region: "us-west-2" })).toEqual(["us-west-2", "ap-northeast-1"]);
  });

  test("keeps the nearest region for a player far from all of them", () => {
    expect(order({ latencies: { "us-east-1": 400, "eu-west-1": 300 } })).toEqual(["eu-west-1"]);
  });

  test("says which field can never be satisfied", () => {
    const fieldOf = (act: () => unknown) => {
      try {
        return act();
      } catch (error) {
        return error instanceof Problem ? error.extra.errors?.[0]?.field : error;
      }
    };
    const fields = [
      fieldOf(() => order({ latencies: { "us-east-1": 40 }, rttMsMax: 20 })),
      fieldOf(() => demand({ gameId: "no-such-game" })),
    ];
    expect(fields).toEqual(["rttMsMax", "gameId"]);
  });
});
