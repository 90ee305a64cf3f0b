// The orchestrator's tables in memory: what all replicas of a simulation share, as they would share a database.
//
// A verb of the store (the other files here) is one synchronous step on these tables, so nothing comes between its
// parts. It refuses before it changes anything, so there is nothing to roll back. What both stores must decide alike is
// the product's own pure code (lifecycle, planner, growth, holds), not written again here; test/system/store.test.ts
// holds both to the same answers, rows and events.
import type { Capabilities, ProviderId, RegionId, TemplateId } from "../../src/contracts/catalog.js";
import type { SeatSpec, VmStatus } from "../../src/contracts/orchestrator.js";
import type { AgentKey } from "../../src/orchestrator/agents/proof.js";
import type { PoolMemory } from "../../src/orchestrator/autoscaling/scaling-plan.js";
import { templates } from "../../src/orchestrator/catalog/templates.js";
import type { ChangeSignal, NewEvent } from "../../src/orchestrator/events/outbox-store.js";
import type { CapacityHold } from "../../src/orchestrator/placement/capacity-hold.js";
import type { Demand } from "../../src/orchestrator/placement/demand.js";
import { placeKey } from "../../src/orchestrator/placement/fleet.js";
import type { KnownVm } from "../../src/orchestrator/placement/fleet-index.js";
import type { Round } from "../../src/orchestrator/placement/turns.js";
import type { NewVm } from "../../src/orchestrator/placement/waiting.js";
import type { FleetNotice, SignalNotice } from "../../src/orchestrator/store.js";
import { nextStatusOr409, noSuchVm, type VmChange } from "../../src/orchestrator/vm/lifecycle.js";
import { type ExpectedVersions, expectVersion } from "../../src/platform/etag.js";

/** Times in ms since the epoch. */
export interface VmRow {
  readonly vmId: string;
  readonly templateId: TemplateId;
  readonly region: RegionId;
  readonly provider: ProviderId;
  readonly tenant: string | null;
  readonly createdAtMs: number;
  status: VmStatus;
  version: number;
  reachable: boolean;
  usedUnits: number;
  capabilities: Capabilities | null;
  error: { readonly code: string; readonly message: string } | null;
  reason: string | null;
  epoch: number;
  launches: readonly { readonly epoch: number; readonly hash: string; readonly expiresAtMs: number }[];
  agentKey: AgentKey | null;
  launchClaimedAtMs: number | null;
  launchedAtMs: number | null;
  readyAtMs: number | null;
  heardAtMs: number | null;
  drainDeadlineAtMs: number | null;
  terminatedAtMs: number | null;
  destroyedAtMs: number | null;
  /** Who sits on it. */
  readonly seats: Set<PlacementRow>;
}

export interface PlacementRow {
  readonly sessionId: string;
  readonly tenant: string;
  readonly demand: Demand;
  readonly spec: SeatSpec;
  readonly ticket: number;
  again: boolean;
  expiresAtMs: number;
  /** Since when it waits, or waited; null: it never did. */
  queuedAtMs: number | null;
  overtakenAtMs: number | null;
  /** The first estimate it was told. */
  eta: { readonly toldAtMs: number; readonly atMs: number } | null;
  /** Null: it waits. */
  seat: { readonly vm: VmRow; readonly units: number; readonly assignedAtMs: number } | null;
}

export interface OutboxEvent extends NewEvent {
  readonly seq: number;
  readonly at: Date;
}

/** What a change sets beside the status; what is left out stays. */
type VmPatch = Partial<
  Pick<
    VmRow,
    | "usedUnits"
    | "capabilities"
    | "error"
    | "reason"
    | "launchedAtMs"
    | "readyAtMs"
    | "drainDeadlineAtMs"
    | "terminatedAtMs"
  >
>;

export class MemoryTables {
  readonly vms = new Map<string, VmRow>();
  /** VMs that are neither TEMPLATE nor known to be gone. */
  readonly tracked = new Set<VmRow>();
  readonly placements = new Map<string, PlacementRow>();
  readonly decisions = new Map<string, { vmId: string; decidedAt: Date; why: string }>();
  /** By `placeKey`. */
  readonly holds = new Map<string, CapacityHold>();
  /** Which tenants had a turn in the queue's present round. */
  round: Round = new Set();
  /** By `placeKey`. */
  pools: ReadonlyMap<string, PoolMemory> = new Map();
  /** By `placeKey`. */
  readonly lowPools = new Map<string, { readonly region: RegionId; readonly templateId: TemplateId }>();
  /** Averages in ms, by `launchKey`. */
  readonly launchMs = new Map<string, number>();
  /** Averages in ms, by game. */
  readonly seatMs = new Map<string, number>();
  /** When each replica said last that it runs. */
  readonly replicas = new Map<string, number>();
  /** In order, without gaps: the first one's seq may be any. */
  outbox: OutboxEvent[] = [];
  readonly relayCursors = new Map<string, number>();
  readonly relayLeases = new Map<string, { readonly holder: string; readonly untilMs: number }>();
  readonly #waiting = new Set<PlacementRow>();
  #queue: readonly PlacementRow[] | null = null;
  #tickets = 0;
  #seq = 0;
  readonly #fleetListeners = new Set<(notice: FleetNotice) => void>();
  readonly #signalListeners = new Set<(notice: SignalNotice) => void>();
  #news: KnownVm[] = [];
  #gone: string[] = [];
  #signals = new Set<ChangeSignal>();

  /** `nowMs`: the store's own clock, by which leases of relays run. */
  constructor(readonly nowMs: () => number) {
    for (const templateId of Object.keys(templates) as TemplateId[])
      this.#add(
        { vmId: `template-${templateId}`, templateId, region: "us-east-1", provider: "local", tenant: null },
        "TEMPLATE",
        0,
      );
  }

  /** Runs one verb, and tells listeners of what it changed before its caller gets the answer. */
  commit<Answer>(verb: () => Answer): Answer {
    const answer = verb();
    const [vms, gone, signals] = [this.#news, this.#gone, this.#signals];
    this.#news = [];
    this.#gone = [];
    this.#signals = new Set();
    if (vms.length + gone.length > 0) for (const hear of this.#fleetListeners) hear({ kind: "changed", vms, gone });
    for (const signal of signals) for (const hear of this.#signalListeners) hear({ kind: "signalled", signal });
    return answer;
  }

  listenToFleet(hear: (notice: FleetNotice) => void): AsyncDisposable {
    return listen(this.#fleetListeners, hear);
  }

  listenToSignals(hear: (notice: SignalNotice) => void): AsyncDisposable {
    return listen(this.#signalListeners, hear);
  }

  /** @throws Problem not-found; stale-version when it is none of the expected ones */
  vm(vmId: string, expected: ExpectedVersions = null): VmRow {
    const vm = this.vms.get(vmId);
    if (vm === undefined) throw noSuchVm(vmId);
    expectVersion(vm.version, expected);
    return vm;
  }

  addVm(vm: NewVm, nowMs: number): void {
    this.#news.push(knownVm(this.#add(vm, "PROVISIONING", nowMs)));
  }

  /** Applies one change of the lifecycle. @throws Problem illegal-transition */
  changeVm(vm: VmRow, change: VmChange, patch: VmPatch = {}): void {
    const status = nextStatusOr409(vm, change);
    Object.assign(vm, patch, { status });
    this.touchVm(vm);
  }

  /** Its version goes one further, and everybody hears of it. */
  touchVm(vm: VmRow): void {
    vm.version += 1;
    this.#news.push(knownVm(vm));
  }

  closeVm(vm: VmRow, nowMs: number): void {
    vm.destroyedAtMs = nowMs;
    this.tracked.delete(vm);
  }

  forgetVm(vm: VmRow): void {
    this.vms.delete(vm.vmId);
    this.tracked.delete(vm);
    if (vm.status !== "TERMINATED") this.#gone.push(vm.vmId);
  }

  /** As waiting; one that is known already stays as it is. */
  addPlacement(
    placement: Pick<PlacementRow, "sessionId" | "tenant" | "demand" | "spec"> & { expiresAt: Date },
    queuedAtMs: number | null,
  ): PlacementRow {
    const known = this.placements.get(placement.sessionId);
    if (known !== undefined) return known;
    const { sessionId, tenant, demand, spec, expiresAt } = placement;
    const row: PlacementRow = {
      sessionId,
      tenant,
      demand,
      spec,
      ticket: ++this.#tickets,
      again: false,
      expiresAtMs: expiresAt.getTime(),
      queuedAtMs,
      overtakenAtMs: null,
      eta: null,
      seat: null,
    };
    this.placements.set(sessionId, row);
    this.#wait(row);
    return row;
  }

  /** The units are the VM's to count. */
  sit(placement: PlacementRow, vm: VmRow, units: number, assignedAtMs: number): void {
    placement.seat = { vm, units, assignedAtMs };
    vm.seats.add(placement);
    this.#unwait(placement);
  }

  /** Off its VM, whose units are not changed here, and back into the queue. */
  waitAgain(placement: PlacementRow, times: { queuedAtMs: number; expiresAtMs: number }): void {
    placement.seat?.vm.seats.delete(placement);
    Object.assign(placement, { seat: null, again: true, overtakenAtMs: null, eta: null, ...times });
    this.#wait(placement);
  }

  removePlacement(placement: PlacementRow): void {
    placement.seat?.vm.seats.delete(placement);
    this.placements.delete(placement.sessionId);
    this.#unwait(placement);
  }

  get someoneWaits(): boolean {
    return this.#waiting.size > 0;
  }

  /** Who waits, in the order they came. */
  get queue(): readonly PlacementRow[] {
    this.#queue ??= [...this.#waiting].sort((a, b) => a.ticket - b.ticket);
    return this.#queue;
  }

  append(events: readonly NewEvent[], at: Date): void {
    for (const event of events) this.outbox.push({ ...event, seq: ++this.#seq, at });
    if (events.length > 0) this.signal("events");
  }

  signal(...signals: readonly ChangeSignal[]): void {
    for (const signal of signals) this.#signals.add(signal);
  }

  /** The provider has room again there, and wherever it had run out of everything. */
  closeHolds({ region, templateId, provider }: Pick<VmRow, "region" | "templateId" | "provider">): void {
    this.holds.delete(placeKey(region, templateId));
    for (const [key, hold] of this.holds)
      if (hold.scope === "provider" && hold.provider === provider) this.holds.delete(key);
  }

  #add(vm: NewVm, status: VmStatus, createdAtMs: number): VmRow {
    const { vmId, templateId, region, provider, tenant } = vm;
    if (this.vms.has(vmId)) throw new Error(`there is a VM ${vmId} already`);
    const row: VmRow = {
      vmId,
      templateId,
      region,
      provider,
      tenant,
      createdAtMs,
      status,
      version: 1,
      reachable: true,
      usedUnits: 0,
      capabilities: null,
      error: null,
      reason: null,
      epoch: 0,
      launches: [],
      agentKey: null,
      launchClaimedAtMs: null,
      launchedAtMs: null,
      readyAtMs: null,
      heardAtMs: null,
      drainDeadlineAtMs: null,
      terminatedAtMs: null,
      destroyedAtMs: null,
      seats: new Set(),
    };
    this.vms.set(vmId, row);
    if (status !== "TEMPLATE") this.tracked.add(row);
    return row;
  }

  #wait(placement: PlacementRow): void {
    this.#waiting.add(placement);
    this.#queue = null;
  }

  #unwait(placement: PlacementRow): void {
    if (this.#waiting.delete(placement)) this.#queue = null;
  }
}

export const sessionsMaxOf = ({ capabilities }: VmRow): number | null => capabilities?.sessionsMax ?? null;

/** As placement sees it. */
export const candidate = (vm: VmRow): KnownVm & { readonly createdAtMs: number } => ({
  ...knownVm(vm),
  createdAtMs: vm.createdAtMs,
});

export const knownVm = (vm: VmRow): KnownVm => ({
  vmId: vm.vmId,
  region: vm.region,
  templateId: vm.templateId,
  provider: vm.provider,
  status: vm.status,
  version: vm.version,
  reachable: vm.reachable,
  usedUnits: vm.usedUnits,
  sessionsMax: sessionsMaxOf(vm),
});

/** Those who sit there, first come first. */
export const seatsInOrder = ({ seats }: VmRow): PlacementRow[] =>
  [...seats].sort((a, b) => a.seat!.assignedAtMs - b.seat!.assignedAtMs || (a.sessionId < b.sessionId ? -1 : 1));

/** As a connection does, it says once that it listens; never before `listen` has returned. */
function listen<Notice>(
  listeners: Set<(notice: Notice) => void>,
  hear: (notice: Notice | { readonly kind: "listening" }) => void,
): AsyncDisposable {
  listeners.add(hear);
  queueMicrotask(() => listeners.has(hear) && hear({ kind: "listening" }));
  return {
    async [Symbol.asyncDispose]() {
      listeners.delete(hear);
    },
  };
}
