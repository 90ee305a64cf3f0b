// Which VM a session gets: a pure function of the fleet as it is known and of what the session demands.
//
// Regions are walked nearest first; within one the fullest VM that still fits wins, so that others empty and can be
// given back. Where none fits, the counts say why not, by reason. The answer is a proposal: the store commits it only
// if the VM, locked, still has the room (placement-store.ts), and a loser is placed again.
import type { ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import type { VmStatus } from "../../contracts/orchestrator.js";
import { templateFits, templates } from "../catalog/templates.js";
import { takesSessions } from "../vm/lifecycle.js";
import type { Demand } from "./demand.js";
import { freeSeats } from "./seats.js";

/** A VM as placement sees it. */
export interface Candidate {
  readonly vmId: string;
  readonly region: RegionId;
  readonly templateId: TemplateId;
  readonly provider: ProviderId;
  readonly status: VmStatus;
  readonly reachable: boolean;
  readonly sessionsMax: number | null;
  readonly usedUnits: number;
  readonly createdAtMs: number;
}

export type Rejection = "too-far" | "not-ready" | "unreachable" | "simulated" | "template-too-small" | "full";

export interface Choice<C extends Candidate = Candidate> {
  readonly vm: C | null;
  /** How many VMs were passed over, by reason; a VM that fits but lost to a fuller one is not counted. */
  readonly rejected: Partial<Record<Rejection, number>>;
}

/** A simulated VM streams nothing: it takes API sessions only, never a browser's. */
export const servesClient = (provider: ProviderId, client: Demand["client"]): boolean =>
  provider !== "simulated" || client === "api";

/** Why the VM can never take this session; null: it can, once it is ready and has room. */
export function misfit(vm: Candidate, demand: Demand): Rejection | null {
  if (!demand.regions.includes(vm.region)) return "too-far";
  if (!servesClient(vm.provider, demand.client)) return "simulated";
  return templateFits(templates[vm.templateId], demand.needs, demand.preset) ? null : "template-too-small";
}

/** Why the VM cannot take this session now; null: it can. */
export function rejection(vm: Candidate, demand: Demand): Rejection | null {
  const never = misfit(vm, demand);
  if (never !== null) return never;
  if (!takesSessions(vm.status)) return "not-ready";
  if (!vm.reachable) return "unreachable";
  return freeSeats(vm, demand.preset) > 0 ? null : "full";
}

/** `regions`: look only there, in that order; default: the demand's own. */
export function place<C extends Candidate>(
  fleet: Iterable<C>,
  demand: Demand,
  regions: readonly RegionId[] = demand.regions,
): Choice<C> {
  const rejected: Partial<Record<Rejection, number>> = {};
  let best: C | null = null;
  const rank = (vm: C) => regions.indexOf(vm.region);
  for (const vm of fleet) {
    const reason = rank(vm) < 0 ? "too-far" : rejection(vm, demand);
    if (reason !== null) rejected[reason] = (rejected[reason] ?? 0) + 1;
    else if (best === null || precedes(vm, best, rank)) best = vm;
  }
  return { vm: best, rejected };
}

function precedes<C extends Candidate>(a: C, b: C, rank: (vm: C) => number): boolean {
  return (rank(a) - rank(b) || b.usedUnits - a.usedUnits || (a.vmId < b.vmId ? -1 : 1)) < 0;
}
