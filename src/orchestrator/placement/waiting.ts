// What becomes of the sessions that wait, decided for all of them together, first come first served.
//
// Each in turn gets a free seat, or is counted onto a VM under way, or has a VM made for it, or stays queued; what it
// gets is taken from what the next ones see. So one waiting session never makes a second VM, and a seat that frees goes
// to the first who can use it. One whom nothing fits holds up nobody behind. By `soonest` a free seat or a VM under way
// down the chain comes before a new VM near; by `nearest` each region is exhausted before the next.
import type { ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import type { Quotas } from "../../platform/quotas.js";
import { isUnderWay } from "../vm/lifecycle.js";
import type { Demand } from "./demand.js";
import { etaSeconds, type Fleet, type FleetVm, type PlaceRules, placeKey } from "./fleet.js";
import { type Budget, Growth, type GrowthRules } from "./growth.js";
import { misfit, place, servesClient } from "./place.js";
import { freeSeats, unitsFor } from "./seats.js";

export interface WaitingSession {
  readonly sessionId: string;
  readonly tenant: string;
  readonly demand: Demand;
}

export interface NewVm {
  readonly vmId: string;
  readonly region: RegionId;
  readonly templateId: TemplateId;
  readonly provider: ProviderId;
  /** For whom: its waiting request, or its operator; null: the warm pool. */
  readonly tenant: string | null;
}

export type Outcome =
  | { readonly kind: "seat"; readonly vmId: string; readonly units: number }
  | { readonly kind: "under-way"; readonly region: RegionId; readonly etaSeconds: number | null }
  | { readonly kind: "queued"; readonly reason: string };

export interface WaitingPlan {
  /** One for each session, in the order given. */
  readonly outcomes: readonly Outcome[];
  readonly launches: readonly NewVm[];
  /** The fleet once all of this is done: who waits has his seat on it, also on VMs under way. */
  readonly vms: readonly FleetVm[];
}

export function planWaiting(options: {
  fleet: Fleet;
  places: PlaceRules;
  budget: Budget;
  quotas: Quotas;
  waiting: readonly WaitingSession[];
  nowMs: number;
  newVmId: () => string;
}): WaitingPlan {
  const { fleet, places, budget, quotas, waiting, nowMs, newVmId } = options;
  const vms = fleet.vms.map((vm) => ({ ...vm }));
  const growth = new Growth(fleet, { places, budget, quotas });
  const launches: NewVm[] = [];

  const seat = (demand: Demand, regions: readonly RegionId[]): Outcome | null => {
    const { vm } = place(vms, demand, regions);
    return vm && { kind: "seat", vmId: vm.vmId, units: take(vm, demand) };
  };

  const join = (demand: Demand, regions: readonly RegionId[]): Outcome | null => {
    const [vm] = vms
      .filter((vm) => isUnderWay(vm.status) && regions.includes(vm.region) && misfit(vm, demand) === null)
      .filter((vm) => freeSeats(vm, demand.preset) > 0)
      .sort((a, b) => a.createdAtMs - b.createdAtMs || regions.indexOf(a.region) - regions.indexOf(b.region));
    if (vm === undefined) return null;
    take(vm, demand);
    return { kind: "under-way", region: vm.region, etaSeconds: etaSeconds(vm, fleet.launchMs, nowMs) };
  };

  const launch = ({ tenant, demand }: WaitingSession, regions: readonly RegionId[]): Outcome | null => {
    for (const region of regions)
      for (const templateId of demand.templates) {
        const { provider } = places(region, templateId);
        if (!servesClient(provider, demand.client) || growth.refusal(region, templateId, tenant) !== null) continue;
        const made = { vmId: newVmId(), region, templateId, provider, tenant };
        const vm = underWay(made, nowMs);
        launches.push(made);
        vms.push(vm);
        growth.count(vm);
        return join(demand, [region]);
      }
    return null;
  };

  const outcomes = waiting.map((session): Outcome => {
    const { demand } = session;
    const rounds = demand.policy === "nearest" ? demand.regions.map((region) => [region]) : [demand.regions];
    for (const regions of rounds) {
      const outcome = seat(demand, regions) ?? join(demand, regions) ?? launch(session, regions);
      if (outcome !== null) return outcome;
    }
    return { kind: "queued", reason: whyQueued(session, fleet, { places, budget, quotas }, growth) };
  });
  return { outcomes, launches, vms };
}

function take(vm: { -readonly [K in keyof FleetVm]: FleetVm[K] }, demand: Demand): number {
  const units = unitsFor(vm, demand.preset);
  vm.usedUnits += units;
  vm.sessions += 1;
  return units;
}

const underWay = (vm: NewVm, createdAtMs: number): FleetVm => ({
  ...vm,
  status: "PROVISIONING",
  reachable: true,
  sessionsMax: null,
  usedUnits: 0,
  sessions: 0,
  createdAtMs,
});

/** Why there is neither a seat nor a VM to come, in words for the player. */
function whyQueued(
  { tenant, demand }: WaitingSession,
  fleet: Fleet,
  { places, quotas }: GrowthRules,
  growth: Growth,
): string {
  const sites = demand.regions.flatMap((region) => demand.templates.map((templateId) => ({ region, templateId })));
  const serving = sites.filter(({ region, templateId }) =>
    servesClient(places(region, templateId).provider, demand.client),
  );
  if (serving.length === 0) return "Only simulated VMs are configured there, and they stream nothing to a browser.";
  if (serving.every(({ region, templateId }) => growth.refusal(region, templateId, tenant) === "tenant-limit"))
    return `Every seat is taken, and the tenant has all the VMs it may have (${quotas.max(tenant, "vms")}).`;
  if (serving.some(({ region, templateId }) => fleet.held.has(placeKey(region, templateId))))
    return "Every seat is taken, and there is no capacity for another VM just now.";
  return "Every seat is taken, and no more VMs may be made there.";
}
