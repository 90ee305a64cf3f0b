// Where another VM may be made: one rule for everybody who makes VMs, be it for a session that waits, for the warm pool,
// or because an operator asks.
//
// Four limits: the VMs a tenant may have (those of the warm pool are nobody's), the most VMs of a template in a region,
// the budget of the whole fleet (VMs, and euros an hour by the catalogue's price list), and the provider's own word that
// it has no room. After such a word nothing is made there for a while; then one VM at a time, until one comes up
// (capacity-hold.ts). Every row that may hold a machine counts.
import type { RegionId, TemplateId } from "../../contracts/catalog.js";
import type { VmStatus } from "../../contracts/orchestrator.js";
import type { Quotas } from "../../platform/quotas.js";
import { templates } from "../catalog/templates.js";
import { type Fleet, type PlaceRules, placeKey } from "./fleet.js";

/** Of the whole fleet; null: no limit. */
export interface Budget {
  readonly vmsMax: number | null;
  readonly eurPerHourMax: number | null;
}

export interface GrowthRules {
  readonly places: PlaceRules;
  readonly budget: Budget;
  readonly quotas: Quotas;
}

export type GrowthRefusal = "tenant-limit" | "held" | "probing" | "full" | "over-budget";

interface CountedVm {
  readonly region: RegionId;
  readonly templateId: TemplateId;
  readonly status: VmStatus;
  /** For whom it was made; null: the house. */
  readonly tenant: string | null;
}

const noHolds: ReadonlySet<string> = new Set();
/** Prices are sums of decimal fractions. */
const roundingEur = 1e-6;

export class Growth {
  readonly #rules: GrowthRules;
  readonly #held: ReadonlySet<string>;
  readonly #halfOpen: ReadonlySet<string>;
  readonly #vmsAt = new Map<string, number>();
  readonly #vmsOf = new Map<string, number>();
  readonly #provisioning = new Set<string>();
  #vms = 0;
  #eurPerHour = 0;

  constructor(
    fleet: { readonly vms: Iterable<CountedVm> } & Partial<Pick<Fleet, "held" | "halfOpen">>,
    rules: GrowthRules,
  ) {
    this.#rules = rules;
    this.#held = fleet.held ?? noHolds;
    this.#halfOpen = fleet.halfOpen ?? noHolds;
    for (const vm of fleet.vms) this.count(vm);
  }

  vmsOf(tenant: string): number {
    return this.#vmsOf.get(tenant) ?? 0;
  }

  /** Why no VM may be made there now for the tenant (null: for the house); null: one may. */
  refusal(region: RegionId, templateId: TemplateId, tenant: string | null): GrowthRefusal | null {
    const key = placeKey(region, templateId);
    const { places, budget, quotas } = this.#rules;
    const tenantMax = tenant === null ? null : quotas.max(tenant, "vms");
    if (tenant !== null && tenantMax !== null && this.vmsOf(tenant) >= tenantMax) return "tenant-limit";
    if (this.#held.has(key)) return "held";
    if (this.#halfOpen.has(key) && this.#provisioning.has(key)) return "probing";
    if ((this.#vmsAt.get(key) ?? 0) >= places(region, templateId).vmsMax) return "full";
    if (budget.vmsMax !== null && this.#vms >= budget.vmsMax) return "over-budget";
    const eurPerHour = this.#eurPerHour + templates[templateId].eurPerHour;
    if (budget.eurPerHourMax !== null && eurPerHour > budget.eurPerHourMax + roundingEur) return "over-budget";
    return null;
  }

  /** One more VM is there, or will be. */
  count({ region, templateId, status, tenant }: CountedVm): void {
    const key = placeKey(region, templateId);
    this.#vmsAt.set(key, (this.#vmsAt.get(key) ?? 0) + 1);
    if (status === "PROVISIONING") this.#provisioning.add(key);
    if (tenant !== null) this.#vmsOf.set(tenant, this.vmsOf(tenant) + 1);
    this.#vms += 1;
    this.#eurPerHour += templates[templateId].eurPerHour;
  }
}
