// The fleet as the planners see it: one reading of the database, and the rules of where VMs may be made.
import type { ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import { isUnderWay } from "../vm/lifecycle.js";
import type { Candidate } from "./place.js";

export interface FleetVm extends Candidate {
  /** For whom it was made; null: the house. */
  readonly tenant: string | null;
}

/** As capacity is told: units say what is left, not how many have it. */
export interface OccupiedVm extends FleetVm {
  readonly sessions: number;
  /** How many of its sessions are expected to end in an hour, by their games' learnt durations; null: none is known. */
  readonly endsPerHour: number | null;
}

export interface Fleet<V extends FleetVm = FleetVm> {
  /** Every VM that is neither TEMPLATE nor TERMINATED. */
  readonly vms: readonly V[];
  /** Places where the provider lately said that it has no capacity: `placeKey`s. No VM is made there now. */
  readonly held: ReadonlySet<string>;
  /** Such places whose time is over: one VM at a time is made there, until one comes up. */
  readonly halfOpen: ReadonlySet<string>;
  /** Learnt time from creation to READY, ms, by `launchKey`; none where no VM has become ready yet. */
  readonly launchMs: ReadonlyMap<string, number>;
}

/** What may be made of a template in a region. */
export interface PlaceRule {
  readonly provider: ProviderId;
  readonly vmsMax: number;
}
export type PlaceRules = (region: RegionId, templateId: TemplateId) => PlaceRule;

export const placeKey = (region: RegionId, templateId: TemplateId): string => `${region}/${templateId}`;
export const launchKey = (provider: ProviderId, templateId: TemplateId): string => `${provider}/${templateId}`;

/** Seconds until a VM under way is expected to be READY, at least 1; null when its kind's time is not known. */
export function etaSeconds(vm: Candidate, launchMs: Fleet["launchMs"], nowMs: number): number | null {
  const usual = launchMs.get(launchKey(vm.provider, vm.templateId));
  if (!isUnderWay(vm.status) || usual === undefined) return null;
  return Math.max(1, Math.round((vm.createdAtMs + usual - nowMs) / 1000));
}
