// What becomes of the sessions that wait, decided for all of them together, by turns (turns.ts).
//
// Each in its turn gets a free seat, or is counted onto a VM under way, or has a VM made for it, or stays queued; what it
// gets is taken from what the next ones see. So one waiting session never makes a second VM, and a seat that frees goes
// to the first who can use it. By `soonest` a free seat or a VM under way down the chain comes before a new VM near; by
// `nearest` each region is exhausted before the next.
//
// One whom nothing fits holds up nobody behind, and does not starve either: kept-free.ts. A newcomer whose tenant has as
// many waiting as it may gets a seat or nothing: admission.ts.
import type { ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import { isUnderWay } from "../vm/lifecycle.js";
import { type Admission, nobodyNew } from "./admission.js";
import type { Demand } from "./demand.js";
import { etasInLine } from "./eta.js";
import { etaSeconds, type Fleet, type FleetVm, placeKey } from "./fleet.js";
import { Growth, type GrowthRules } from "./growth.js";
import { keptFree, Overtaking } from "./kept-free.js";
import { misfit, place, servesClient } from "./place.js";
import { freeSeats, unitsFor } from "./seats.js";
import { type Round, serveInTurn, type Turn } from "./turns.js";

export interface WaitingSession extends Turn {
  readonly sessionId: string;
  /** Who asks for the same shares the object, so that it is looked at once. */
  readonly demand: Demand;
  /** Since when others have been seated where it could have been; null: nobody was. */
  readonly overtakenAtMs: number | null;
}

export interface Queue {
  /** In the order they came. */
  readonly waiting: readonly WaitingSession[];
  readonly round: Round;
}

/** How many of the queue one pass looks at; the rest follow when these are placed or gone. */
export const queuePassMax = 4_000;

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

export type Standing = Outcome & {
  /** 1 is next. */
  readonly position: number;
  /** Null: unknown. */
  readonly etaSeconds: number | null;
};

export interface WaitingPlan {
  /** One for each session, in the order given. */
  readonly outcomes: readonly Standing[];
  /** Who was overtaken for the first time. */
  readonly overtaken: readonly string[];
  readonly launches: readonly NewVm[];
  /** The fleet once all of this is done: who waits has his seat on it, also on VMs under way. */
  readonly vms: readonly FleetVm[];
}

const turnedAway: Outcome = { kind: "queued", reason: "The tenant has as many requests waiting as it may." };
const seatBeingGivenSeconds = 1;

type PlannedVm = { -readonly [K in keyof FleetVm]: FleetVm[K] };

export function planWaiting(
  options: GrowthRules & {
    fleet: Fleet;
    queue: Queue;
    nowMs: number;
    newVmId: () => string;
    /** Counts those who join. Default: all have joined already. */
    admission?: Admission;
  },
): WaitingPlan {
  const { fleet, places, queue, nowMs, newVmId, admission = nobodyNew(options.quotas) } = options;
  const vms: PlannedVm[] = fleet.vms.map((vm) => ({ ...vm }));
  const byId = new Map(vms.map((vm) => [vm.vmId, vm]));
  const underWay = vms.filter(({ status }) => isUnderWay(status));
  const growth = new Growth(fleet, options);
  const launches: NewVm[] = [];
  const kept = keptFree(vms, queue.waiting, nowMs);
  const keptVms = new Set(kept.values());
  const open = keptVms.size === 0 ? vms : vms.filter((vm) => !keptVms.has(vm));

  const seat = (demand: Demand, regions: readonly RegionId[], own: PlannedVm | undefined): Outcome | null => {
    const { vm } = place(own === undefined ? open : [...open, own], demand, regions);
    return vm && { kind: "seat", vmId: vm.vmId, units: take(vm, demand) };
  };

  const join = (demand: Demand, regions: readonly RegionId[]): Outcome | null => {
    const rankOf = (vm: FleetVm) => regions.indexOf(vm.region);
    const [vm] = underWay
      .filter((vm) => regions.includes(vm.region) && misfit(vm, demand) === null && freeSeats(vm, demand.preset) > 0)
      .sort((a, b) => a.createdAtMs - b.createdAtMs || rankOf(a) - rankOf(b) || (a.vmId < b.vmId ? -1 : 1));
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
        const vm = provisioning(made, nowMs);
        launches.push(made);
        vms.push(vm);
        underWay.push(vm);
        growth.count(vm);
        return join(demand, [region]);
      }
    return null;
  };

  const find = (session: WaitingSession, own: PlannedVm | undefined): Outcome => {
    const { demand } = session;
    const rounds = demand.policy === "nearest" ? demand.regions.map((region) => [region]) : [demand.regions];
    for (const regions of rounds) {
      const outcome = seat(demand, regions, own) ?? join(demand, regions) ?? launch(session, regions);
      if (outcome !== null) return outcome;
    }
    return { kind: "queued", reason: whyQueued(session, fleet, options, growth) };
  };

  const found = new Map<WaitingSession, Outcome>();
  const nothing = new Nothing();
  const overtaking = new Overtaking();
  const line = serveInTurn(queue.waiting, queue.round, (session) => {
    const own = kept.get(session.sessionId);
    const before = launches.length;
    const mayWait = admission.refusal(session) === null;
    const outcome = mayWait
      ? ((own === undefined ? nothing.found(session) : null) ?? find(session, own))
      : (seat(session.demand, session.demand.regions, own) ?? turnedAway);
    found.set(session, outcome);
    if (outcome.kind !== "seat" && mayWait) admission.admit(session);
    if (launches.length > before) nothing.forget();
    if (outcome.kind === "queued" && mayWait) {
      nothing.remember(session, outcome);
      overtaking.passedOver(session);
    }
    const vm = outcome.kind === "seat" ? byId.get(outcome.vmId) : undefined;
    if (vm !== undefined && vm !== own) overtaking.seated(vm);
    return outcome.kind !== "queued";
  });
  const positions = new Map(line.map((session, i) => [session, i + 1]));
  const behind = line.filter((session) => found.get(session)!.kind !== "seat");
  const expected = etasInLine(
    behind.map((session) => {
      const outcome = found.get(session)!;
      return { demand: session.demand, underWay: outcome.kind === "under-way" ? outcome : null };
    }),
    fleet.vms,
  );
  const etas = new Map(behind.map((session, i) => [session, expected[i]!]));
  const outcomes = queue.waiting.map((session): Standing => {
    const etaSeconds = etas.has(session) ? etas.get(session)! : seatBeingGivenSeconds;
    return { ...found.get(session)!, position: positions.get(session)!, etaSeconds };
  });
  return { outcomes, overtaken: overtaking.overtaken, launches, vms };
}

/**
 * Room only gets less, until a VM is made. So where one found nothing, the next of the tenant that asks for the same need
 * not look.
 */
class Nothing {
  #outcomes = new Map<Demand, Map<string, Outcome>>();

  found({ demand, tenant }: WaitingSession): Outcome | null {
    return this.#outcomes.get(demand)?.get(tenant) ?? null;
  }

  remember({ demand, tenant }: WaitingSession, outcome: Outcome): void {
    const tenants = this.#outcomes.get(demand) ?? new Map<string, Outcome>();
    this.#outcomes.set(demand, tenants.set(tenant, outcome));
  }

  forget(): void {
    this.#outcomes.clear();
  }
}

function take(vm: PlannedVm, demand: Demand): number {
  const units = unitsFor(vm, demand.preset);
  vm.usedUnits += units;
  return units;
}

const provisioning = (vm: NewVm, createdAtMs: number): FleetVm => ({
  ...vm,
  status: "PROVISIONING",
  reachable: true,
  sessionsMax: null,
  usedUnits: 0,
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
