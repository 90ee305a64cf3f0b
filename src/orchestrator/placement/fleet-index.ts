// The fleet in memory, arranged so that placing a session takes microseconds at any size.
//
// What it knows is a hint: the commit checks each VM again under its lock, and what it finds there comes back by
// `learn`. Newer versions win, so news may arrive twice, late or in any order. Seats chosen but not committed yet are
// `reserved`, so a batch is placed against its own running state.
//
// VMs of one region, template, provider and measured size form a group; there a session of a preset takes the same
// units on every VM, so a group is buckets by free units. Order of preference: the nearest region; there this
// replica's own share of the VMs before the others'; there the fullest VM, so that others empty and can be given back
// (packing leaves 40 % of VMs empty at 60 % load, spreading none); among equals by chance, so that two replicas
// seldom want the same one. Measured: 100,000 VMs in 0.4 s and 23 MB, a choice in 1–5 µs.
import type { ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import type { VmStatus } from "../../contracts/orchestrator.js";
import { takesSessions } from "../vm/lifecycle.js";
import type { Demand } from "./demand.js";
import { type Candidate, type Rejection, servesClient } from "./place.js";
import { unitsFor, unitsPerVm } from "./seats.js";

/** What changes of a VM. */
export interface VmState {
  readonly status: VmStatus;
  readonly version: number;
  readonly reachable: boolean;
  readonly usedUnits: number;
}

export interface KnownVm extends VmState {
  readonly vmId: string;
  readonly region: RegionId;
  readonly templateId: TemplateId;
  readonly provider: ProviderId;
  readonly sessionsMax: number | null;
}

/** A VM the session could have had: the one chosen comes first. */
export interface Fitting {
  readonly vm: KnownVm;
  /** Uncommitted seats included. */
  readonly usedUnits: number;
  readonly own: boolean;
}

export interface Chosen extends Fitting {
  readonly units: number;
  readonly runnersUp: readonly Fitting[];
}

export interface Tally {
  /** VMs that would do. */
  readonly fitting: number;
  /** VMs that would not, by reason. */
  readonly rejected: Partial<Record<Rejection, number>>;
}

const runnersUpMax = 5;

interface Entry {
  vm: KnownVm;
  reserved: number;
  own: boolean;
  group: Group;
  bucket: Entry[];
  slot: number;
}

class Group {
  /** By free units; only VMs that take sessions. */
  readonly own = emptyBuckets();
  readonly others = emptyBuckets();
  readonly notReady: Entry[] = [];
  readonly unreachable: Entry[] = [];
  size = 0;

  constructor(readonly kind: Pick<KnownVm, "region" | "templateId" | "provider" | "sessionsMax">) {}

  bucketFor({ vm, own, reserved }: Entry): Entry[] {
    if (!takesSessions(vm.status)) return this.notReady;
    if (!vm.reachable) return this.unreachable;
    const free = Math.max(0, unitsPerVm - vm.usedUnits - reserved);
    return (own ? this.own : this.others)[free]!;
  }

  carries(demand: Demand): boolean {
    return demand.templates.includes(this.kind.templateId) && servesClient(this.kind.provider, demand.client);
  }
}

const emptyBuckets = (): Entry[][] => Array.from({ length: unitsPerVm + 1 }, () => []);

export class FleetIndex {
  readonly #vms = new Map<string, Entry>();
  readonly #groups = new Map<string, Group>();
  readonly #byRegion = new Map<RegionId, Group[]>();
  #isOwn: (vmId: string) => boolean = () => true;

  /** `random` in [0, 1). */
  constructor(private readonly random: () => number) {}

  /** A fleet as one reading of the database saw it. */
  static of(vms: Iterable<Candidate>, random: () => number): FleetIndex {
    const index = new FleetIndex(random);
    for (const vm of vms) index.put({ ...vm, version: 0 });
    return index;
  }

  get size(): number {
    return this.#vms.size;
  }

  ids(): IterableIterator<string> {
    return this.#vms.keys();
  }

  /** News of a VM; one that is TERMINATED, or a template, is forgotten. */
  put(vm: KnownVm): void {
    const entry = this.#vms.get(vm.vmId);
    if (entry !== undefined && vm.version <= entry.vm.version && vm.status !== "TERMINATED") return;
    if (vm.status === "TERMINATED" || vm.status === "TEMPLATE") {
      this.forget(vm.vmId);
      return;
    }
    const group = this.#groupOf(vm);
    if (entry?.group === group) {
      entry.vm = vm;
      this.#sort(entry);
      return;
    }
    this.forget(vm.vmId);
    const made: Entry = { vm, reserved: entry?.reserved ?? 0, own: this.#isOwn(vm.vmId), group, bucket: [], slot: -1 };
    this.#vms.set(vm.vmId, made);
    group.size += 1;
    this.#sort(made);
  }

  /** What a commit found of a VM. One not known here stays unknown. */
  learn({ vmId, status, version, reachable, usedUnits }: VmState & { readonly vmId: string }): void {
    const known = this.#vms.get(vmId)?.vm;
    if (known !== undefined) this.put({ ...known, status, version, reachable, usedUnits });
  }

  forget(vmId: string): void {
    const entry = this.#vms.get(vmId);
    if (entry === undefined) return;
    this.#vms.delete(vmId);
    entry.group.size -= 1;
    leaveBucket(entry);
  }

  /** Which VMs this replica prefers, from now on. */
  prefer(isOwn: (vmId: string) => boolean): void {
    this.#isOwn = isOwn;
    for (const entry of this.#vms.values()) {
      entry.own = isOwn(entry.vm.vmId);
      this.#sort(entry);
    }
  }

  /** The VM such a session gets, its units reserved there until `unreserve`; null: none has room. */
  choose(demand: Demand, regions: readonly RegionId[]): Chosen | null {
    const [first, ...runnersUp] = this.#fitting(demand, regions, 1 + runnersUpMax);
    return first === undefined ? null : this.#reserve(first, runnersUp, demand);
  }

  /** As `choose`, where the choice was made elsewhere already. */
  chosen(vmId: string, demand: Demand, regions: readonly RegionId[]): Chosen | null {
    const entry = this.#vms.get(vmId);
    if (entry === undefined) return null;
    const runnersUp = this.#fitting(demand, regions, 1 + runnersUpMax).filter(({ vm }) => vm.vmId !== vmId);
    const { vm, own, reserved } = entry;
    const first = { vm, own, usedUnits: vm.usedUnits + reserved };
    return this.#reserve(first, runnersUp.slice(0, runnersUpMax), demand);
  }

  unreserve(vmId: string, units: number): void {
    const entry = this.#vms.get(vmId);
    if (entry === undefined) return;
    entry.reserved = Math.max(0, entry.reserved - units); // it may have been forgotten and come back since
    this.#sort(entry);
  }

  /** How many VMs would do, and how many would not, by reason. */
  tally(demand: Demand, regions: readonly RegionId[]): Tally {
    const rejected: Partial<Record<Rejection, number>> = {};
    let fitting = 0;
    const count = (reason: Rejection, vms: number) => {
      if (vms > 0) rejected[reason] = (rejected[reason] ?? 0) + vms;
    };
    for (const group of this.#groups.values()) {
      const { region, provider, templateId } = group.kind;
      if (!regions.includes(region)) count("too-far", group.size);
      else if (!servesClient(provider, demand.client)) count("simulated", group.size);
      else if (!demand.templates.includes(templateId)) count("template-too-small", group.size);
      else {
        const units = unitsFor(group.kind, demand.preset);
        let full = 0;
        for (let free = 0; free < units; free++) full += group.own[free]!.length + group.others[free]!.length;
        count("not-ready", group.notReady.length);
        count("unreachable", group.unreachable.length);
        count("full", full);
        fitting += group.size - group.notReady.length - group.unreachable.length - full;
      }
    }
    return { fitting, rejected };
  }

  #reserve(first: Fitting, runnersUp: readonly Fitting[], demand: Demand): Chosen {
    const units = unitsFor(first.vm, demand.preset);
    const entry = this.#vms.get(first.vm.vmId)!;
    entry.reserved += units;
    this.#sort(entry);
    return { ...first, units, runnersUp };
  }

  #fitting(demand: Demand, regions: readonly RegionId[], countMax: number): Fitting[] {
    const found: Fitting[] = [];
    for (const region of regions) {
      const groups = (this.#byRegion.get(region) ?? []).filter((group) => group.carries(demand));
      const needs = groups.map((group) => unitsFor(group.kind, demand.preset));
      for (const share of ["own", "others"] as const)
        for (let free = Math.min(...needs); free <= unitsPerVm; free++)
          for (let g = 0; g < groups.length; g++) {
            const bucket = groups[g]![share][free]!;
            if (bucket.length === 0 || needs[g]! > free) continue;
            const start = Math.floor(this.random() * bucket.length);
            for (let i = 0; i < bucket.length; i++) {
              const { vm, own } = bucket[(start + i) % bucket.length]!;
              found.push({ vm, own, usedUnits: unitsPerVm - free });
              if (found.length === countMax) return found;
            }
          }
    }
    return found;
  }

  #groupOf({ region, templateId, provider, sessionsMax }: KnownVm): Group {
    const key = `${region}/${templateId}/${provider}/${sessionsMax}`;
    const known = this.#groups.get(key);
    if (known !== undefined) return known;
    const group = new Group({ region, templateId, provider, sessionsMax });
    this.#groups.set(key, group);
    this.#byRegion.set(region, [...(this.#byRegion.get(region) ?? []), group]);
    return group;
  }

  #sort(entry: Entry): void {
    const bucket = entry.group.bucketFor(entry);
    if (bucket === entry.bucket && entry.slot >= 0) return;
    leaveBucket(entry);
    entry.bucket = bucket;
    entry.slot = bucket.push(entry) - 1;
  }
}

/** The last one takes its place: constant time, whatever the size. */
function leaveBucket(entry: Entry): void {
  if (entry.slot < 0) return;
  const last = entry.bucket.pop()!;
  if (last !== entry) {
    entry.bucket[entry.slot] = last;
    last.slot = entry.slot;
  }
  entry.slot = -1;
}
