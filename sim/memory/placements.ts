// Sessions in their seats and in the queue, in memory: as placement/placement-store.ts does it in SQL.
import type { RegionId } from "../../src/contracts/catalog.js";
import { type NewEvent, vmEventOf } from "../../src/orchestrator/events/outbox-store.js";
import { Admission, nobodyNew, type TurnedAway } from "../../src/orchestrator/placement/admission.js";
import { isOpen } from "../../src/orchestrator/placement/capacity-hold.js";
import { type Decision, decisionOf, encodeDecision, namedDecision } from "../../src/orchestrator/placement/decision.js";
import type { Demand } from "../../src/orchestrator/placement/demand.js";
import { type MetEta, weightOfLearnt } from "../../src/orchestrator/placement/eta.js";
import type { Fleet, OccupiedVm } from "../../src/orchestrator/placement/fleet.js";
import { FleetIndex } from "../../src/orchestrator/placement/fleet-index.js";
import { hasRoom } from "../../src/orchestrator/placement/placement-store.js";
import { unitsFor } from "../../src/orchestrator/placement/seats.js";
import { type Round, roundAfter, serveInTurn } from "../../src/orchestrator/placement/turns.js";
import {
  planWaiting,
  type Queue,
  queuePassMax,
  type WaitingPlan,
  type WaitingSession,
} from "../../src/orchestrator/placement/waiting.js";
import { noFreeSeat, sessionElsewhere, takesNoSessions } from "../../src/orchestrator/refusals.js";
import type {
  NewPlacement,
  Placement,
  Placements,
  SeatedVm,
  SeatTimes,
  StoreSettings,
  TenantUse,
} from "../../src/orchestrator/store.js";
import { takesSessions } from "../../src/orchestrator/vm/lifecycle.js";
import { placeOf } from "../../src/orchestrator/vm/vm-rows-store.js";
import { candidate, type MemoryTables, type PlacementRow, type VmRow } from "./tables.js";
import { insertVms } from "./vms.js";

export class MemoryPlacements implements Placements {
  constructor(
    private readonly tables: MemoryTables,
    private readonly settings: Pick<
      StoreSettings,
      "clock" | "places" | "budget" | "quotas" | "waitMsMax" | "newVmId" | "etaMet"
    >,
  ) {}

  async find(sessionId: string): Promise<Placement | null> {
    const placement = this.tables.placements.get(sessionId);
    if (placement === undefined) return null;
    if (placement.seat === null) return { kind: "waiting", region: placement.demand.regions[0]! };
    return { kind: "seated", vm: seatedVm(placement.seat.vm) };
  }

  async waitingDemand(sessionId: string): Promise<Demand | null> {
    return this.#waiting(sessionId)?.demand ?? null;
  }

  async readFleet(): Promise<Fleet<OccupiedVm>> {
    return readFleet(this.tables, this.settings.clock.now());
  }

  async someoneWaits(): Promise<boolean> {
    return this.tables.someoneWaits;
  }

  async readQueue(): Promise<Queue> {
    const { waiting, round } = readQueue(this.tables, this.settings.clock.now());
    const copy = ({ sessionId, tenant, again, overtakenAtMs, demand }: PlacementRow): WaitingSession => ({
      sessionId,
      tenant,
      again,
      overtakenAtMs,
      demand,
    });
    return { waiting: waiting.map(copy), round };
  }

  async position(sessionId: string): Promise<number | null> {
    const placement = this.#waiting(sessionId);
    return placement && lineOf(this.tables.queue).indexOf(placement) + 1;
  }

  async waitingByRegion(): Promise<Map<RegionId, number>> {
    const counts = new Map<RegionId, number>();
    for (const { demand } of this.tables.queue) {
      const region = demand.regions[0]!;
      counts.set(region, (counts.get(region) ?? 0) + 1);
    }
    return counts;
  }

  async useByTenant(): Promise<Map<string, TenantUse>> {
    const uses = new Map<string, { waiting: number; vms: number }>();
    const useOf = (tenant: string) => {
      const use = uses.get(tenant) ?? { waiting: 0, vms: 0 };
      uses.set(tenant, use);
      return use;
    };
    for (const { tenant } of this.tables.queue) useOf(tenant).waiting += 1;
    for (const { tenant, status } of this.tables.tracked)
      if (tenant !== null && status !== "TERMINATED") useOf(tenant).vms += 1;
    return uses;
  }

  async seatOn(vmId: string, placementFor: (vm: SeatedVm) => NewPlacement): Promise<SeatedVm> {
    return this.tables.commit(() => {
      const { tables } = this;
      const vm = tables.vm(vmId);
      const placement = placementFor(seatedVm(vm));
      const known = tables.placements.get(placement.sessionId);
      const at = known?.seat?.vm;
      if (at === vm) return seatedVm(vm);
      if (at !== undefined) throw sessionElsewhere(placement.sessionId, at.vmId);
      const { demand } = known ?? placement;
      if (!takesSessions(vm.status)) throw takesNoSessions(vm);
      if (!hasRoom(candidate(vm), demand)) throw noFreeSeat(vm);
      const why = namedDecision(candidate(vm), demand);
      this.#sit(known ?? tables.addPlacement(placement, this.settings.clock.now()), vm, why);
      return seatedVm(vm);
    });
  }

  async enqueue(placements: readonly NewPlacement[]): Promise<Map<string, TurnedAway>> {
    return this.tables.commit(() => {
      const { tables } = this;
      const waiting = new Map<string, number>();
      for (const { tenant } of tables.queue) waiting.set(tenant, (waiting.get(tenant) ?? 0) + 1);
      const newcomers = placements.filter((placement) => {
        const isNew = !tables.placements.has(placement.sessionId);
        if (isNew) tables.addPlacement(placement, this.settings.clock.now());
        return isNew;
      });
      return this.#place(new Admission(newcomers, waiting, this.settings.quotas));
    });
  }

  async settle(): Promise<void> {
    this.tables.commit(() => {
      this.#place(nobodyNew(this.settings.quotas));
      this.#expire();
    });
  }

  async renew(sessionIds: readonly string[]): Promise<string[]> {
    return this.tables.commit(() => {
      const waiting = sessionIds.filter((sessionId) => this.#waiting(sessionId) !== null);
      for (const sessionId of waiting) this.#renew(this.#waiting(sessionId)!);
      return waiting;
    });
  }

  async learnSeatTimes(times: readonly SeatTimes[]): Promise<void> {
    const { seatMs } = this.tables;
    for (const { gameId, seats, averageMs } of times) {
      const old = weightOfLearnt(seats);
      seatMs.set(gameId, (seatMs.get(gameId) ?? averageMs) * old + averageMs * (1 - old));
    }
  }

  async renewAll(): Promise<void> {
    this.tables.commit(() => {
      for (const placement of this.tables.queue) this.#renew(placement);
    });
  }

  #renew(placement: PlacementRow): void {
    const { clock, waitMsMax } = this.settings;
    placement.expiresAtMs = Math.max(placement.expiresAtMs, clock.now() + waitMsMax);
  }

  async leaveQueue(sessionId: string): Promise<boolean> {
    return this.tables.commit(() => {
      const placement = this.#waiting(sessionId);
      if (placement === null) return false;
      this.tables.removePlacement(placement);
      this.tables.signal("waiting");
      return true;
    });
  }

  #place(admission: Admission): Map<string, TurnedAway> {
    const { tables } = this;
    if (!tables.someoneWaits) return new Map();
    const nowMs = this.settings.clock.now();
    const queue = readQueue(tables, nowMs);
    let seated: readonly PlacementRow[] = [];
    if (queue.waiting.length > 0) {
      const fleet = readFleet(tables, nowMs);
      const plan = planWaiting({ ...this.settings, fleet, queue, nowMs, admission });
      seated = this.#seatPlanned(queue.waiting, fleet, plan);
      tables.round = roundAfter(tables.round, seated);
      for (const sessionId of plan.overtaken) {
        const waits = this.#waiting(sessionId);
        if (waits !== null) waits.overtakenAtMs = nowMs;
      }
      for (const [i, { kind, etaSeconds }] of plan.outcomes.entries())
        if (kind !== "seat" && etaSeconds !== null)
          queue.waiting[i]!.eta ??= { toldAtMs: nowMs, atMs: nowMs + etaSeconds * 1_000 };
      if (plan.launches.length > 0) insertVms(tables, plan.launches, new Date(nowMs));
    }
    const away = admission.turnAway(seated);
    for (const sessionId of away.keys()) tables.removePlacement(tables.placements.get(sessionId)!);
    return away;
  }

  /** Answers who got a seat, in turn. */
  #seatPlanned(waiting: readonly PlacementRow[], fleet: Fleet, { outcomes }: WaitingPlan): PlacementRow[] {
    const index = FleetIndex.of(fleet.vms, () => 0);
    const chosen = outcomes
      .flatMap((outcome, i) => (outcome.kind === "seat" ? [{ placement: waiting[i]!, ...outcome }] : []))
      .sort((a, b) => a.position - b.position);
    return chosen.map(({ placement, vmId }) => {
      const { demand } = placement;
      const tally = index.tally(demand, demand.regions);
      const choice = index.chosen(vmId, demand, demand.regions)!;
      if (placement.eta !== null) this.settings.etaMet?.(metEta(placement.eta, this.settings.clock.now()));
      this.#sit(placement, this.tables.vm(vmId), decisionOf("queue", choice, tally, demand.regions[0]!));
      return placement;
    });
  }

  #expire(): void {
    const nowMs = this.settings.clock.now();
    const expired = this.tables.queue.filter(({ expiresAtMs }) => expiresAtMs <= nowMs);
    const events = expired.map(({ sessionId, demand }): NewEvent => {
      const place = { vmId: "", region: demand.regions[0]!, templateId: demand.templates[0]! };
      const data = { ...place, sessionId, reason: "not-renewed", next: "none" as const };
      return vmEventOf("SessionReleased", null, sessionId, data);
    });
    for (const placement of expired) this.tables.removePlacement(placement);
    this.tables.append(events, new Date(nowMs));
  }

  #sit(placement: PlacementRow, vm: VmRow, why: Decision): void {
    const { tables } = this;
    const now = new Date(this.settings.clock.now());
    const { sessionId, demand } = placement;
    const units = unitsFor(candidate(vm), demand.preset);
    tables.sit(placement, vm, units, now.getTime());
    tables.decisions.set(sessionId, { vmId: vm.vmId, decidedAt: now, why: encodeDecision(why) });
    tables.changeVm(vm, "assigned", { usedUnits: vm.usedUnits + units });
    tables.append([vmEventOf("SessionAssigned", vm, vm.vmId, { ...placeOf(vm), sessionId })], now);
  }

  #waiting(sessionId: string): PlacementRow | null {
    const placement = this.tables.placements.get(sessionId);
    return placement?.seat === null ? placement : null;
  }
}

const seatedVm = ({ vmId, region, templateId, provider }: VmRow): SeatedVm => ({ vmId, region, templateId, provider });

export interface MemoryQueue {
  readonly waiting: readonly PlacementRow[];
  readonly round: Round;
}

export function readQueue({ queue, round }: MemoryTables, nowMs: number): MemoryQueue {
  const waiting = queue.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
  if (waiting.length <= queuePassMax) return { waiting, round };
  const first = lineOf(waiting).slice(0, queuePassMax);
  return { waiting: first.sort((a, b) => a.ticket - b.ticket), round };
}

const metEta = ({ toldAtMs, atMs }: NonNullable<PlacementRow["eta"]>, nowMs: number): MetEta => ({
  toldSeconds: (atMs - toldAtMs) / 1_000,
  lateSeconds: (nowMs - atMs) / 1_000,
});

const lineOf = (waiting: readonly PlacementRow[]): PlacementRow[] => serveInTurn(waiting, new Set(), () => false);

function endsPerHour({ seats }: VmRow, seatMs: ReadonlyMap<string, number>): number | null {
  if (seats.size === 0 || seatMs.size === 0) return null;
  const usualMs = [...seatMs.values()].reduce((sum, ms) => sum + ms, 0) / seatMs.size;
  return [...seats].reduce((sum, { demand }) => sum + 3_600_000 / (seatMs.get(demand.game.gameId) ?? usualMs), 0);
}

export function readFleet(tables: MemoryTables, nowMs: number): Fleet<OccupiedVm> {
  const held = new Set<string>();
  const halfOpen = new Set<string>();
  for (const [key, hold] of tables.holds) (isOpen(hold, nowMs) ? held : halfOpen).add(key);
  const vms = [];
  for (const vm of tables.tracked)
    if (vm.status !== "TERMINATED")
      vms.push({
        ...candidate(vm),
        tenant: vm.tenant,
        sessions: vm.seats.size,
        endsPerHour: endsPerHour(vm, tables.seatMs),
      });
  return { vms, held, halfOpen, launchMs: new Map(tables.launchMs) };
}
