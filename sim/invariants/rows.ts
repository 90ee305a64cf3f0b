// What must hold of the store's rows after every write: compared with the rows as the write before left them.
//
// One seat per session and units that add up; changes of VMs by the lifecycle's table, each counted by the version; the
// limits of places and of the budget; and the events: for every change the one that tells of it, in that step, in the
// order of the VM's versions, and none that tells of nothing.
import type { VmStatus } from "../../src/contracts/orchestrator.js";
import { templates } from "../../src/orchestrator/catalog/templates.js";
import { placeKey } from "../../src/orchestrator/placement/fleet.js";
import type { GrowthRules } from "../../src/orchestrator/placement/growth.js";
import { unitsPerVm } from "../../src/orchestrator/placement/seats.js";
import { takesSessions, vmTransitions } from "../../src/orchestrator/vm/lifecycle.js";
import type { MemoryTables, OutboxEvent, PlacementRow, VmRow } from "../memory/tables.js";
import type { Stage } from "../stage.js";

interface KnownVm {
  status: VmStatus;
  version: number;
  usedUnits: number;
  reachable: boolean;
  toldVersion: number;
}

export interface RowsWitness {
  /** A session has lost its seat there; not by having asked. */
  readonly unseated: (sessionId: string, vm: VmRow | undefined, vmId: string) => void;
  readonly seated: (placement: PlacementRow) => void;
  readonly waits: (placement: PlacementRow) => void;
  /** It is in the store no more. */
  readonly left: (sessionId: string, waited: boolean) => void;
  readonly told: (event: OutboxEvent) => void;
}

const vmEvents: Partial<Record<VmStatus, string>> = {
  PROVISIONING: "VMProvisioned",
  READY: "VMReady",
  ERROR: "VMError",
  TERMINATED: "VMTerminated",
};

export class RowRules {
  /** VMs that are not known to be gone. */
  readonly #vms = new Map<string, KnownVm>();
  /** By session: its VM, or null while it waits. */
  readonly #seats = new Map<string, string | null>();
  /** The last launch each VM was ever claimed for: its row goes back to an earlier one whose agent was first. */
  readonly #claims = new Map<string, number>();
  #seq = 0;
  vmsMade = 0;

  constructor(
    private readonly stage: Stage,
    private readonly tables: MemoryTables,
    private readonly rules: GrowthRules,
    private readonly witness: RowsWitness,
  ) {}

  check(what: string): void {
    const due: string[] = [];
    this.#checkVms(due, what);
    this.#checkSeats(due, what);
    this.#checkEvents(due, what);
  }

  /** Whether that launch was written down, now or before. */
  isClaimed(vmId: string, epoch: number): boolean {
    return (this.#claims.get(vmId) ?? 0) >= epoch;
  }

  #checkVms(due: string[], what: string): void {
    const { tables } = this;
    const counts = new Map<string, number>();
    const ofTenants = new Map<string, number>();
    let [vms, eurPerHour] = [0, 0];
    for (const vm of tables.tracked) {
      const before = this.#vms.get(vm.vmId);
      if (vm.epoch > (this.#claims.get(vm.vmId) ?? 0)) this.#claims.set(vm.vmId, vm.epoch);
      if (before === undefined) {
        this.#vms.set(vm.vmId, { ...factsOf(vm), toldVersion: 0 });
        this.vmsMade += 1;
        due.push(`VMProvisioned ${vm.vmId}`);
        if (vm.status !== "PROVISIONING") this.#break("legal transitions", `${vm.vmId} begins as ${vm.status}`, what);
      } else this.#compare(vm, before, due, what);
      if (vm.status === "TERMINATED") continue;
      const place = placeKey(vm.region, vm.templateId);
      const there = (counts.get(place) ?? 0) + 1;
      counts.set(place, there);
      vms += 1;
      eurPerHour += templates[vm.templateId].eurPerHour;
      if (before === undefined && there > this.rules.places(vm.region, vm.templateId).vmsMax)
        this.#break("limits of places", `${place} has ${there} VMs`, what);
      if (vm.tenant !== null) {
        const theirs = (ofTenants.get(vm.tenant) ?? 0) + 1;
        ofTenants.set(vm.tenant, theirs);
        const max = this.rules.quotas.max(vm.tenant, "vms");
        if (before === undefined && max !== null && theirs > max)
          this.#break("quotas", `${vm.tenant} has ${theirs} of ${max} VMs`, what);
      }
    }
    const { vmsMax, eurPerHourMax } = this.rules.budget;
    if (vmsMax !== null && vms > vmsMax) this.#break("budget", `${vms} VMs of ${vmsMax}`, what);
    if (eurPerHourMax !== null && eurPerHour > eurPerHourMax + 1e-6)
      this.#break("budget", `${eurPerHour} € an hour of ${eurPerHourMax}`, what);
    if (this.#vms.size === tables.tracked.size) return;
    for (const [vmId, { status }] of this.#vms) {
      const vm = tables.vms.get(vmId);
      if (vm !== undefined && tables.tracked.has(vm)) continue;
      if (status !== "TERMINATED") this.#break("legal transitions", `${vmId} was closed as ${status}`, what);
      this.#vms.delete(vmId);
    }
  }

  #compare(vm: VmRow, before: KnownVm, due: string[], what: string): void {
    const { vmId, status, version, usedUnits, reachable } = vm;
    const steps = version - before.version;
    const changed = status !== before.status || usedUnits !== before.usedUnits || reachable !== before.reachable;
    if (steps < 0 || (changed && steps === 0))
      this.#break("versions count changes", `${vmId} went from ${before.version} to ${version}`, what);
    if (status !== before.status) {
      if (!isReachable(before.status, status, steps))
        this.#break("legal transitions", `${vmId} went from ${before.status} to ${status} in ${steps}`, what);
      const tells = vmEvents[status];
      if (tells !== undefined && !(status === "READY" && before.status !== "BOOTING")) due.push(`${tells} ${vmId}`);
    }
    if (changed || steps > 0) Object.assign(before, { status, version, usedUnits, reachable });
  }

  #checkSeats(due: string[], what: string): void {
    const { tables, witness } = this;
    const units = new Map<VmRow, number>();
    for (const placement of tables.placements.values()) {
      const { sessionId, seat } = placement;
      const before = this.#seats.get(sessionId);
      const vmId = seat?.vm.vmId ?? null;
      if (seat !== null) units.set(seat.vm, (units.get(seat.vm) ?? 0) + seat.units);
      if (before === vmId) continue;
      this.#seats.set(sessionId, vmId);
      if (before !== undefined && before !== null) {
        due.push(`SessionReleased ${sessionId} ${before}`);
        witness.unseated(sessionId, tables.vms.get(before), before);
      }
      if (vmId === null) {
        witness.waits(placement);
        this.#checkQuota(placement, what);
      } else {
        due.push(`SessionAssigned ${sessionId} ${vmId}`);
        witness.seated(placement);
      }
    }
    for (const [vm, sum] of units) {
      if (sum > unitsPerVm || sum !== vm.usedUnits)
        this.#break("units", `${vm.vmId} counts ${vm.usedUnits}, its seats take ${sum}`, what);
      if (!takesSessions(vm.status) && vm.status !== "DRAINING")
        this.#break("units", `${vm.vmId} is ${vm.status} and has sessions`, what);
    }
    for (const vm of tables.tracked)
      if (vm.usedUnits !== 0 && !units.has(vm))
        this.#break("units", `${vm.vmId} counts ${vm.usedUnits} for nobody`, what);
    if (this.#seats.size === tables.placements.size) return;
    for (const [sessionId, vmId] of this.#seats) {
      if (tables.placements.has(sessionId)) continue;
      this.#seats.delete(sessionId);
      if (vmId !== null) {
        due.push(`SessionReleased ${sessionId} ${vmId}`);
        witness.unseated(sessionId, tables.vms.get(vmId), vmId);
      }
      witness.left(sessionId, vmId === null);
    }
  }

  /** Those whose VM broke wait again, whatever the limit. */
  #checkQuota({ tenant, again }: PlacementRow, what: string): void {
    const max = this.rules.quotas.max(tenant, "waiting");
    if (max === null || again) return;
    const waiting = this.tables.queue.filter((other) => other.tenant === tenant && !other.again).length;
    if (waiting > max) this.#break("quotas", `${tenant} has ${waiting} of ${max} waiting`, what);
  }

  #checkEvents(due: string[], what: string): void {
    const { outbox } = this.tables;
    let at = outbox.length;
    while (at > 0 && outbox[at - 1]!.seq > this.#seq) at -= 1;
    for (const event of outbox.slice(at)) {
      if (event.seq !== this.#seq + 1) this.#break("events", `${event.seq} follows ${this.#seq}`, what);
      this.#seq = event.seq;
      this.witness.told(event);
      const { type, subject, vmVersion } = event;
      if (type === "VMPoolLowCapacity") continue;
      const told =
        "sessionId" in event.data ? `${type} ${event.data.sessionId} ${event.data.vmId}` : `${type} ${subject}`;
      const index = due.indexOf(told);
      // One who waited in vain had no VM; whether that was right is asked where sessions are.
      if (index < 0 && vmVersion !== null) this.#break("events", `${told} was told and did not happen`, what);
      if (index >= 0) due.splice(index, 1);
      const vm = vmVersion === null ? undefined : this.#vms.get(subject);
      if (vm === undefined) continue;
      if (vmVersion! < vm.toldVersion || vmVersion! > vm.version)
        this.#break("events", `${told} is of version ${vmVersion}, ${vm.toldVersion} was told before`, what);
      vm.toldVersion = vmVersion!;
    }
    if (due.length > 0) this.#break("events", `not told: ${due.join("; ")}`, what);
  }

  #break(rule: string, detail: string, what: string): void {
    this.stage.break(rule, `${detail} (after ${what})`);
  }
}

const factsOf = ({ status, version, usedUnits, reachable }: VmRow) => ({ status, version, usedUnits, reachable });

/** Whether the table leads from one to the other in at most so many changes. */
function isReachable(from: VmStatus, to: VmStatus, steps: number): boolean {
  let there = new Set<VmStatus>([from]);
  for (let step = 0; step < Math.min(steps, 4); step++) {
    const next = new Set<VmStatus>();
    for (const status of there) for (const after of Object.values(vmTransitions[status])) next.add(after);
    if (next.has(to)) return true;
    there = next;
  }
  return false;
}
