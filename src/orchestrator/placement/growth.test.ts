import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type RegionId, regionId, type TemplateId, templateId } from "../../contracts/catalog.js";
import { templates } from "../catalog/templates.js";
import { placeKey } from "./fleet.js";
import { type Budget, Growth } from "./growth.js";

const noLimit: Budget = { vmsMax: null, eurPerHourMax: null };
const rules = (vmsMax: number, budget = noLimit) => ({
  places: () => ({ provider: "simulated" as const, vmsMax }),
  budget,
});
const vm = (region: RegionId = "us-east-1", template: TemplateId = "L4-90", status = "READY" as const) => ({
  region,
  templateId: template,
  status,
});

describe("another VM", () => {
  test("may be made while its place and the budget have room", () => {
    const growth = new Growth({ vms: [vm()] }, rules(2));
    expect(growth.refusal("us-east-1", "L4-90")).toBeNull();
    growth.count({ ...vm(), status: "PROVISIONING" });
    expect(growth.refusal("us-east-1", "L4-90")).toBe("full");
    expect(growth.refusal("us-east-1", "L4-360")).toBeNull();
  });

  test("is paid for by the price list: three at 0.40 €/h are 1.20, though floating point says more", () => {
    const growth = new Growth({ vms: [vm(), vm()] }, rules(20, { vmsMax: null, eurPerHourMax: 1.2 }));
    expect(growth.refusal("us-east-1", "L4-90")).toBeNull();
    growth.count(vm());
    expect(growth.refusal("us-east-1", "L4-90")).toBe("over-budget");
  });

  test("is made one at a time where the provider had no room lately, and not at all while it says so", () => {
    const key = placeKey("us-east-1", "L4-90");
    expect(new Growth({ vms: [], held: new Set([key]) }, rules(20)).refusal("us-east-1", "L4-90")).toBe("held");
    const probing = new Growth({ vms: [vm()], halfOpen: new Set([key]) }, rules(20));
    expect(probing.refusal("us-east-1", "L4-90")).toBeNull();
    probing.count({ ...vm(), status: "PROVISIONING" });
    expect(probing.refusal("us-east-1", "L4-90")).toBe("probing");
  });

  test("never takes the fleet beyond any limit, whatever is wanted in whatever order", () => {
    const places = fc.array(
      fc.record({ region: fc.constantFrom(...regionId.options), templateId: fc.constantFrom(...templateId.options) }),
      { maxLength: 60 },
    );
    const budgets = fc.record({
      vmsMax: fc.option(fc.nat(30)),
      eurPerHourMax: fc.option(fc.double({ min: 0, max: 20, noNaN: true })),
    });
    fc.assert(
      fc.property(places, budgets, fc.nat(4), (wanted, budget, vmsMax) => {
        const growth = new Growth({ vms: [] }, rules(vmsMax, budget));
        const made = wanted.filter((place) => {
          if (growth.refusal(place.region, place.templateId) !== null) return false;
          growth.count({ ...place, status: "PROVISIONING" });
          return true;
        });
        expect(made.length).toBeLessThanOrEqual(budget.vmsMax ?? Infinity);
        const eur = made.reduce((sum, place) => sum + templates[place.templateId].eurPerHour, 0);
        expect(eur).toBeLessThanOrEqual((budget.eurPerHourMax ?? Infinity) + 1e-5);
        for (const place of made)
          expect(
            made.filter(
              (other) => placeKey(other.region, other.templateId) === placeKey(place.region, place.templateId),
            ).length,
          ).toBeLessThanOrEqual(vmsMax);
      }),
    );
  });
});
