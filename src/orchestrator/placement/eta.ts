// When a session that waits may expect its seat: from VMs under way and their learnt times to READY, and from sessions in
// progress and their learnt durations.
//
// Durations are taken as memoryless (exponential): a session that has lasted an hour is expected to last as much longer as
// one that has just begun, its game's mean. Then sessions' ends on a set of VMs come as a Poisson process whose rate is
// the sum of theirs, and the k-th end is expected after k / rate (e.g. Ross, Introduction to Probability Models, ch. 5).
// It is an estimate: how often it held is exported (hotseat_eta_kept_total).
import { takesSessions } from "../vm/lifecycle.js";
import type { Demand } from "./demand.js";
import type { FleetVm, OccupiedVm } from "./fleet.js";
import { misfit } from "./place.js";
import { unitsFor, unitsPerVm } from "./seats.js";

/** A seat given back sooner was never played on: a start that failed, or was thought better of. */
export const playedMsMin = 10_000;

/** What an average keeps of itself when so many seats are learnt: each weighs a tenth. */
export const weightOfLearnt = (seats: number): number => 0.9 ** seats;

/** What the first estimate that a session was told turned out to be worth. */
export interface MetEta {
  readonly toldSeconds: number;
  /** Its seat came so much later; negative: sooner. */
  readonly lateSeconds: number;
}

/** Within 10 s, or a quarter of what was told: what a player would call right. */
export const isKept = ({ toldSeconds, lateSeconds }: MetEta): boolean =>
  Math.abs(lateSeconds) <= Math.max(10, toldSeconds / 4);

/** Expected ms until the VM has room for one more such session; null: it has none to give, or durations are not known. */
export function msUntilRoom(vm: FleetVm, preset: Demand["preset"]): number | null {
  if (!isOccupied(vm) || !takesSessions(vm.status) || !vm.reachable || !vm.endsPerHour) return null;
  const missing = unitsFor(vm, preset) - (unitsPerVm - vm.usedUnits);
  const ends = Math.min(vm.sessions, Math.max(1, Math.ceil(missing / (vm.usedUnits / vm.sessions))));
  const endMs = 3_600_000 / (vm.endsPerHour / vm.sessions);
  let ms = 0;
  for (let left = vm.sessions; left > vm.sessions - ends; left--) ms += endMs / left;
  return ms;
}

/**
 * Seats an hour that become free on these VMs. Where none becomes so by the end of one session, one VM at a time is kept
 * free until enough have ended (kept-free.ts): the soonest counts.
 */
export function seatsPerHour(vms: readonly FleetVm[], preset: Demand["preset"]): number {
  let byOne = 0;
  let bySeveral = 0;
  for (const vm of vms) {
    const ms = msUntilRoom(vm, preset);
    if (ms === null || !isOccupied(vm)) continue;
    const missing = unitsFor(vm, preset) - (unitsPerVm - vm.usedUnits);
    if (missing <= vm.usedUnits / vm.sessions) byOne += 3_600_000 / ms;
    else bySeveral = Math.max(bySeveral, 3_600_000 / ms);
  }
  return byOne > 0 ? byOne : bySeveral;
}

/** Until sessions' ends have given so many seats; null: unknown. */
export function secondsUntilSeat(seats: number, vms: readonly FleetVm[], preset: Demand["preset"]): number | null {
  const perHour = seatsPerHour(vms, preset);
  return perHour > 0 ? Math.max(1, Math.round((3_600 * seats) / perHour)) : null;
}

/** A planner that asks for no times reads less. */
const isOccupied = (vm: FleetVm): vm is OccupiedVm => "endsPerHour" in vm;

/** Whether two want some of the same seats. */
export const compete = (a: Demand, b: Demand): boolean =>
  a === b ||
  (a.regions.some((region) => b.regions.includes(region)) && a.templates.some((id) => b.templates.includes(id)));

export interface InLine {
  readonly demand: Demand;
  /** Of those ahead, a VM under way will have a seat for it; seconds until then, null: not known. */
  readonly underWay: { readonly etaSeconds: number | null } | null;
}

/**
 * Seconds until each of the line has its seat, in its order; null: unknown. Whoever is ahead takes what becomes free
 * first; where VMs under way bring seats for some, these leave the line then.
 */
export function etasInLine(line: readonly InLine[], fleet: readonly FleetVm[]): (number | null)[] {
  const kinds = new Map<Demand, { ahead: number; coming: number; lastComing: number | null; perHour: number }>();
  for (const { demand } of line)
    if (!kinds.has(demand)) {
      const vms = fleet.filter((vm) => misfit(vm, demand) === null);
      kinds.set(demand, { ahead: 0, coming: 0, lastComing: 0, perHour: seatsPerHour(vms, demand.preset) });
    }
  return line.map(({ demand, underWay }) => {
    for (const [other, kind] of kinds) {
      if (!compete(demand, other)) continue;
      kind.ahead += 1;
      if (underWay === null) continue;
      kind.coming += 1;
      const { etaSeconds } = underWay;
      kind.lastComing = etaSeconds === null || kind.lastComing === null ? null : Math.max(kind.lastComing, etaSeconds);
    }
    const { ahead, coming, lastComing, perHour } = kinds.get(demand)!;
    const seconds = (ends: number) => (perHour > 0 ? (3_600 * ends) / perHour : null);
    const alone = seconds(ahead);
    const withThose = underWay === null ? later(lastComing, seconds(ahead - coming)) : underWay.etaSeconds;
    const soonest = sooner(alone, withThose);
    return soonest === null ? null : Math.max(1, Math.round(soonest));
  });
}

const sooner = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : Math.min(a, b));
const later = (a: number | null, b: number | null) => (a === null || b === null ? null : Math.max(a, b));
