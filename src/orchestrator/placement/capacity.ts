// What the fleet can take, for operators and integrators: by region and in total, in units and in sessions.
//
// Sessions are counted as standard-preset ones. A draining VM's sessions are used, its free seats are nobody's.

import type { RegionCapacity } from "../../contracts/capacity.js";
import type { RegionId } from "../../contracts/catalog.js";
import { type FleetMetrics, type VmStatus, vmStatus } from "../../contracts/orchestrator.js";
import { presets } from "../catalog/presets.js";
import { regionIds } from "../catalog/regions.js";
import { isUnderWay, takesSessions } from "../vm/lifecycle.js";
import { type CapacityHold, holdInWords } from "./capacity-hold.js";
import type { FallbackChains } from "./demand.js";
import { secondsUntilSeat } from "./eta.js";
import { etaSeconds, type Fleet, type FleetVm, type OccupiedVm, placeKey } from "./fleet.js";
import { freeSeats, unitsFor, unitsPerVm } from "./seats.js";

const standard = presets["default-standard"];

/** `waiting`: sessions in the queue by the region they wait for first. */
export function regionCapacity(options: {
  region: RegionId;
  fleet: Fleet<OccupiedVm>;
  holds: readonly CapacityHold[];
  waiting: ReadonlyMap<RegionId, number>;
  chains: FallbackChains;
  nowMs: number;
}): RegionCapacity {
  const { region, fleet, holds, waiting, chains, nowMs } = options;
  const here = fleet.vms.filter((vm) => vm.region === region);
  const sums = sumSeats(here);
  const etas = [
    ...here.map((vm) => etaSeconds(vm, fleet.launchMs, nowMs)),
    secondsUntilSeat(1 + (waiting.get(region) ?? 0), here, standard),
  ].filter((eta) => eta !== null);
  return {
    region,
    availableVms: here.filter((vm) => freeSessions(vm) > 0).length,
    provisioningVms: here.filter((vm) => isUnderWay(vm.status)).length,
    totalUnits: sums.units.total,
    usedUnits: sums.units.used,
    freeUnits: sums.units.free,
    totalSessions: sums.sessions.total,
    usedSessions: sums.sessions.used,
    freeSessions: sums.sessions.free,
    waiting: waiting.get(region) ?? 0,
    queueSeconds: sums.sessions.free > 0 ? 0 : etas.length > 0 ? Math.min(...etas) : null,
    fallback: [...chains[region]],
    notes: holds.filter((hold) => hold.region === region).map((hold) => holdInWords(hold, nowMs)),
  };
}

export function fleetMetrics(options: {
  fleet: Fleet<OccupiedVm>;
  holds: readonly CapacityHold[];
  waiting: ReadonlyMap<RegionId, number>;
  chains: FallbackChains;
  nowMs: number;
}): FleetMetrics {
  const { fleet, waiting } = options;
  const countBy = <K extends string>(keys: readonly K[], of: (vm: FleetVm) => K) =>
    Object.fromEntries(keys.map((key) => [key, fleet.vms.filter((vm) => of(vm) === key).length])) as Record<K, number>;
  return {
    vms: fleet.vms.length,
    byStatus: countBy<VmStatus>(vmStatus.options, (vm) => vm.status),
    byRegion: countBy<RegionId>(regionIds, (vm) => vm.region),
    ...sumSeats(fleet.vms),
    waiting: [...waiting.values()].reduce((sum, count) => sum + count, 0),
    regions: regionIds.map((region) => regionCapacity({ ...options, region })),
  };
}

/** Standard sessions the VM takes now. */
export const freeSessions = (vm: FleetVm): number =>
  takesSessions(vm.status) && vm.reachable ? freeSeats(vm, standard) : 0;

export const totalSessions = (vm: FleetVm): number => unitsPerVm / unitsFor(vm, standard);

export function sumSeats(vms: readonly OccupiedVm[]) {
  const units = { total: 0, used: 0, free: 0 };
  const sessions = { total: 0, used: 0, free: 0 };
  for (const vm of vms) {
    const serving = takesSessions(vm.status);
    const freeUnits = serving ? unitsPerVm - vm.usedUnits : 0;
    units.used += vm.usedUnits;
    units.free += freeUnits;
    units.total += vm.usedUnits + freeUnits;
    sessions.used += vm.sessions;
    sessions.free += freeSessions(vm);
    sessions.total += serving ? totalSessions(vm) : vm.sessions;
  }
  return { units, sessions };
}

/** The seats of every region × template that has VMs to take sessions. */
export function poolsOf({ vms }: Fleet): (Place & { free: number; total: number; vms: number })[] {
  const pools = new Map<string, Place & { free: number; total: number; vms: number }>();
  for (const vm of vms.filter(({ status }) => takesSessions(status))) {
    const { region, templateId } = vm;
    const key = placeKey(region, templateId);
    const pool = pools.get(key) ?? { region, templateId, free: 0, total: 0, vms: 0 };
    pool.free += freeSessions(vm);
    pool.total += totalSessions(vm);
    pool.vms += 1;
    pools.set(key, pool);
  }
  return [...pools.values()];
}

type Place = Pick<FleetVm, "region" | "templateId">;
