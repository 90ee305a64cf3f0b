// How many VMs there should be: a pure function of the fleet, the settings, what was done last, and the time.
//
// It looks at the fleet as it will be once everybody who waits has been placed (`planWaiting`, the queue's own planner):
// VMs under way count with the seats that waiting sessions leave them, and a VM somebody is about to sit on is not
// empty. So the pool and the queue never make two VMs for one need, and never undo each other's work.
//
// Out: at once by as many VMs as are missing, then a short pause. In: only after the surplus has lasted, a tenth of the
// pool at a time, only empty VMs, and by draining them, so that a seat taken meanwhile is kept. A VM goes only if the
// pool without it still wants none: a constant demand comes to rest. Where the provider has no room, what is missing is
// wanted from the same template down the region's chain, if the pool's settings allow.
import type { RegionId, TemplateId } from "../../contracts/catalog.js";
import { presets } from "../catalog/presets.js";
import { sessionsPerVm, templates } from "../catalog/templates.js";
import { freeSessions, totalSessions } from "../placement/capacity.js";
import type { FallbackChains } from "../placement/demand.js";
import { type FleetVm, placeKey } from "../placement/fleet.js";
import type { Growth } from "../placement/growth.js";
import { freeSeats, unitsFor } from "../placement/seats.js";
import { isUnderWay, takesSessions } from "../vm/lifecycle.js";

export interface Place {
  readonly region: RegionId;
  readonly templateId: TemplateId;
}

/** Of one region × template; seats are sessions of the standard preset. */
export interface PoolSettings {
  /** Free seats kept, VMs under way included. */
  readonly bufferSeats: number;
  /** The same, in percent of the seats in use. The larger one counts. */
  readonly bufferPercent: number;
  readonly vmsMin: number;
  readonly vmsMax: number;
  /** Whether other regions of the chain stand in while the provider has no room here. */
  readonly fallback: boolean;
  readonly scaleOutMs: number;
  readonly scaleInMs: number;
}

/** What a pool did last; null: it has not. */
export interface PoolMemory {
  readonly scaledOutAtMs: number | null;
  readonly scaledInAtMs: number | null;
  /** Since when it has had more than it needs. */
  readonly surplusSinceMs: number | null;
}

export const noMemory: PoolMemory = { scaledOutAtMs: null, scaledInAtMs: null, surplusSinceMs: null };

/** VMs that live whatever their kind; where the missing ones are made. */
export interface WarmVms extends Place {
  readonly vms: number;
}

export interface ScalingPlan {
  readonly launches: readonly Place[];
  readonly drains: readonly string[];
  /** By `placeKey`: of every pool that has any. */
  readonly memory: ReadonlyMap<string, PoolMemory>;
  /** For operators: every pool that has VMs, or should. */
  readonly pools: readonly PoolState[];
}

/** Before what the plan says is done. Seats are sessions of the standard preset, VMs under way included. */
export interface PoolState extends Place {
  readonly freeSeats: number;
  readonly wantedSeats: number;
  /** VMs it lacks, whether or not more may be made. */
  readonly missingVms: number;
}

interface Pool extends Place {
  readonly key: string;
  readonly settings: PoolSettings;
  readonly vms: readonly FleetVm[];
  readonly seatsPerVm: number;
  readonly usedSeats: number;
  readonly freeSeats: number;
  readonly wantedSeats: number;
}

const standard = presets["default-standard"];
const drainShareMax = 0.1;

export function scalingPlan(options: {
  /** As `planWaiting` leaves them. */
  vms: readonly FleetVm[];
  /** Counts those VMs already. */
  growth: Growth;
  places: readonly Place[];
  settingsOf: (place: Place) => PoolSettings;
  warm: WarmVms;
  chains: FallbackChains;
  memory: ReadonlyMap<string, PoolMemory>;
  nowMs: number;
}): ScalingPlan {
  const { vms, growth, places, settingsOf, warm, chains, nowMs } = options;
  const serving = vms.filter(({ status }) => isUnderWay(status) || takesSessions(status));
  const byPlace = byPlaceOf(serving);
  const pools = new Map(
    places.map((place) => [keyOf(place), poolOf(place, settingsOf(place), byPlace.get(keyOf(place)) ?? [])]),
  );
  const extraSeats = seatsWantedElsewhere(pools, growth, chains);
  const memory = new Map(options.memory);
  const launches: Place[] = [];
  const drains: string[] = [];
  const states: PoolState[] = [];
  let live = serving.length;

  for (const pool of pools.values()) {
    const wantedSeats = pool.wantedSeats + (extraSeats.get(pool.key) ?? 0);
    const warmMissing = pool.key === keyOf(warm) ? Math.max(0, warm.vms - live) : 0;
    const missing = Math.max(missingVms({ ...pool, wantedSeats }), warmMissing);
    const before = memory.get(pool.key) ?? noMemory;
    const { region, templateId, freeSeats } = pool;
    if (pool.vms.length > 0 || missing > 0)
      states.push({ region, templateId, freeSeats, wantedSeats, missingVms: missing });
    if (missing > 0) {
      const made = isOver(before.scaledOutAtMs, pool.settings.scaleOutMs, nowMs) ? launch(pool, missing, growth) : [];
      launches.push(...made);
      live += made.length;
      const after = { ...before, surplusSinceMs: null, ...(made.length > 0 && { scaledOutAtMs: nowMs }) };
      remember(memory, pool.key, after);
      continue;
    }
    const spare = spareVms({ ...pool, wantedSeats }, live - warm.vms);
    const surplusSinceMs = spare.length > 0 ? (before.surplusSinceMs ?? nowMs) : null;
    const { scaleInMs } = pool.settings;
    const rested =
      isOver(surplusSinceMs, scaleInMs, nowMs) &&
      isOver(before.scaledInAtMs, scaleInMs, nowMs) &&
      isOver(before.scaledOutAtMs, scaleInMs, nowMs);
    const gone = rested ? spare.slice(0, Math.ceil(pool.vms.length * drainShareMax)) : [];
    drains.push(...gone.map(({ vmId }) => vmId));
    live -= gone.length;
    remember(memory, pool.key, { ...before, surplusSinceMs, ...(gone.length > 0 && { scaledInAtMs: nowMs }) });
  }
  return { launches, drains, memory, pools: states };
}

function byPlaceOf(vms: readonly FleetVm[]): Map<string, FleetVm[]> {
  const groups = new Map<string, FleetVm[]>();
  for (const vm of vms) {
    const group = groups.get(keyOf(vm));
    if (group === undefined) groups.set(keyOf(vm), [vm]);
    else group.push(vm);
  }
  return groups;
}

function poolOf(place: Place, settings: PoolSettings, vms: readonly FleetVm[]): Pool {
  const usedSeats = vms.reduce((sum, vm) => sum + vm.usedUnits / unitsFor(vm, standard), 0);
  return {
    ...place,
    key: keyOf(place),
    settings,
    vms,
    seatsPerVm: vms.reduce(
      (least, vm) => (vm.sessionsMax === null ? least : Math.min(least, totalSessions(vm))),
      sessionsPerVm(templates[place.templateId], standard),
    ),
    usedSeats,
    freeSeats: vms.reduce((sum, vm) => sum + seatsLeft(vm), 0),
    wantedSeats: Math.max(settings.bufferSeats, Math.ceil((usedSeats * settings.bufferPercent) / 100)),
  };
}

/** What a VM has for those who come next: also one that is still starting. */
const seatsLeft = (vm: FleetVm): number => (isUnderWay(vm.status) ? freeSeats(vm, standard) : freeSessions(vm));

const missingVms = ({ settings, vms, wantedSeats, freeSeats, seatsPerVm }: Pool): number =>
  Math.max(0, settings.vmsMin - vms.length, Math.ceil((wantedSeats - freeSeats) / seatsPerVm));

function launch({ region, templateId }: Pool, missing: number, growth: Growth): Place[] {
  const made: Place[] = [];
  while (made.length < missing && growth.refusal(region, templateId, null) === null) {
    growth.count({ region, templateId, status: "PROVISIONING", tenant: null });
    made.push({ region, templateId });
  }
  return made;
}

/** Empty VMs the pool can do without, the oldest first. `liveSpare`: how many the whole fleet can do without. */
function spareVms(pool: Pool, liveSpare: number): FleetVm[] {
  const empty = pool.vms
    .filter((vm) => vm.status === "READY" && vm.reachable && vm.usedUnits === 0)
    .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.vmId < b.vmId ? -1 : 1));
  const vmsSpare = Math.min(liveSpare, pool.vms.length - pool.settings.vmsMin);
  const spare: FleetVm[] = [];
  let free = pool.freeSeats;
  for (const vm of empty) {
    free -= seatsLeft(vm);
    if (spare.length >= vmsSpare || free < pool.wantedSeats) break;
    spare.push(vm);
  }
  return spare;
}

/**
 * Free seats that places want beside their own, because others, before them in the chain, can have none. How much a
 * place takes on follows from its limit and its own needs alone, not from VMs made for this: so the answer stays the
 * same once they are there.
 */
function seatsWantedElsewhere(
  pools: ReadonlyMap<string, Pool>,
  growth: Growth,
  chains: FallbackChains,
): Map<string, number> {
  const extra = new Map<string, number>();
  const isHeld = ({ region, templateId }: Place) => growth.refusal(region, templateId, null) === "held";
  for (const pool of pools.values()) {
    if (!pool.settings.fallback || !isHeld(pool)) continue;
    let seats = missingVms(pool) * pool.seatsPerVm;
    for (const region of chains[pool.region]) {
      const other = pools.get(placeKey(region, pool.templateId));
      if (other === undefined || isHeld(other)) continue;
      const taken = extra.get(other.key) ?? 0;
      const room = other.settings.vmsMax * other.seatsPerVm - other.usedSeats - other.wantedSeats - taken;
      const takes = Math.min(seats, Math.max(0, Math.floor(room)));
      if (takes > 0) extra.set(other.key, taken + takes);
      seats -= takes;
    }
  }
  return extra;
}

const keyOf = ({ region, templateId }: Place): string => placeKey(region, templateId);

/** Whether that long ago, or never. */
const isOver = (sinceMs: number | null, lastsMs: number, nowMs: number): boolean =>
  sinceMs === null || nowMs - sinceMs >= lastsMs;

/** A pool at rest that never did anything leaves nothing to remember. */
function remember(memory: Map<string, PoolMemory>, key: string, after: PoolMemory): void {
  if (Object.values(after).every((value) => value === null)) memory.delete(key);
  else memory.set(key, after);
}
