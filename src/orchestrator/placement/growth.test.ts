import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type RegionId, regionId, type TemplateId, templateId } from "../../contracts/catalog.js";
import { Quotas, type TenantsConfig } from "../../platform/quotas.js";
import { templates } from "../catalog/templates.js";
import { placeKey } from "./fleet.js";
import { type Budget, Growth } from "./growth.js";

const noLimit: Budget = { vmsMax: null, eurPerHourMax: null };
const rules = (vmsMax: number, budget = noLimit, tenants: TenantsConfig = {}) => ({
  places: () => ({ provider: "simulated" as const, vmsMax }),
  budget,
  quotas: new Quotas(tenants),
});
const vm = (region: RegionId = "us-east-1", template: TemplateId = "L4-90", status = "READY" as const) => ({
  region,
  templateId: template,
  status,
  tenant: null,
});

describe("another VM", () => {
  test("may be made while its place and the budget have room", () => {
    const growth = new Growth({ vms: [vm()] }, rules(2));
    expect(growth.refusal("us-east-1", "L4-90", null)).toBeNull();
    growth.count({ ...vm(), status: "PROVISIONING" });
    expect(growth.refusal("us-east-1", "L4-90", null)).toBe("full");
    expect(growth.refusal("us-east-1", "L4-360", null)).toBeNull();
  });

  test("is paid for by the price list: three at 0.40 €/h are 1.20, though floating point says more", () => {
    const growth = new Growth({ vms: [vm(), vm()] }, rules(20, { vmsMax: null, eurPerHourMax: 1.2 }));
    expect(growth.refusal("us-east-1", "L4-90", null)).toBeNull();
    growth.count(vm());
    expect(growth.refusal("us-east-1", "L4-90", null)).toBe("over-budget");
  });

  test("is made one at a time where the provider had no room lately, and not at all while it says so", () => {
    const key = placeKey("us-east-1", "L4-90");
    expect(new Growth({ vms: [], held: new Set([key]) }, rules(20)).refusal("us-east-1", "L4-90", null)).toBe("held");
    const probing = new Growth({ vms: [vm()], halfOpen: new Set([key]) }, rules(20));
    expect(probing.refusal("us-east-1", "L4-90", null)).toBeNull();
    probing.count({ ...vm(), status: "PROVISIONING" });
    expect(probing.refusal("us-east-1", "L4-90", null)).toBe("probing");
  });

  test("is refused to a tenant that has all it may have, and to nobody else", () => {
    const growth = new Growth(
      { vms: [{ ...vm(), tenant: "acme" }] },
      rules(20, noLimit, { "*": { vmsMax: 1 }, big: {} }),
    );
    const refusals = (tenant: string | null) =>
      (["us-east-1", "eu-west-1"] as const).map((region) => growth.refusal(region, "L4-90", tenant));
    expect(refusals("acme")).toEqual(["tenant-limit", "tenant-limit"]);
    expect(refusals("beta")).toEqual([null, null]);
    expect(refusals(null)).toEqual([null, null]);
    expect([growth.vmsOf("acme"), growth.vmsOf("beta")]).toEqual([1, 0]);
  });

  test("never takes the fleet, a place or a tenant beyond any limit, whatever is wanted in whatever order", () => {
    const tenants = ["acme", "beta", null];
    const wishes = fc.array(
      fc.record({
        region: fc.constantFrom(...regionId.options),
        templateId: fc.constantFrom(...templateId.options),
        tenant: fc.constantFrom(...tenants),
      }),
      { maxLength: 60 },
    );
    const budgets = fc.record({
      vmsMax: fc.option(fc.nat(30)),
      eurPerHourMax: fc.option(fc.double({ min: 0, max: 20, noNaN: true })),
    });
    const limits = fc.record({
      "*": fc.record({ vmsMax: fc.option(fc.nat(8)) }),
      acme: fc.record({ vmsMax: fc.option(fc.nat(8)) }),
    });
    fc.assert(
      fc.property(wishes, budgets, limits, fc.nat(4), (wanted, budget, tenantLimits, vmsMax) => {
        const growth = new Growth({ vms: [] }, rules(vmsMax, budget, tenantLimits));
        const made = wanted.filter((wish) => {
          if (growth.refusal(wish.region, wish.templateId, wish.tenant) !== null) return false;
          growth.count({ ...wish, status: "PROVISIONING" });
          return true;
        });
        expect(made.length).toBeLessThanOrEqual(budget.vmsMax ?? Infinity);
        const eur = made.reduce((sum, place) => sum + templates[place.templateId].eurPerHour, 0);
        expect(eur).toBeLessThanOrEqual((budget.eurPerHourMax ?? Infinity) + 1e-5);
        const countBy = (key: (vm: (typeof made)[number]) => string | null) => {
          const counts = new Map<string | null, number>();
          for (const vm of made) counts.set(key(vm), (counts.get(key(vm)) ?? 0) + 1);
          return counts;
        };
        for (const count of countBy((vm) => placeKey(vm.region, vm.templateId)).values())
          expect(count).toBeLessThanOrEqual(vmsMax);
        const byTenant = countBy(({ tenant }) => tenant);
        expect(byTenant.get("acme") ?? 0).toBeLessThanOrEqual(tenantLimits.acme.vmsMax ?? Infinity);
        expect(byTenant.get("beta") ?? 0).toBeLessThanOrEqual(tenantLimits["*"].vmsMax ?? Infinity);
        // Nobody is turned away for a tenant's limit who is within it, the house least of all.
        for (const tenant of tenants)
          expect(growth.refusal("us-east-1", "L4-90", tenant) === "tenant-limit").toBe(
            tenant !== null &&
              (byTenant.get(tenant) ?? 0) >= (tenantLimits[tenant === "acme" ? "acme" : "*"].vmsMax ?? Infinity),
          );
      }),
    );
  });
});
