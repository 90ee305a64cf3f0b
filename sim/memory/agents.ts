// What agents do in memory: enrol, and keep their leases, as agents/enrolment-store.ts and lease-store.ts do it in SQL.
import { fenced, isOver } from "../../src/orchestrator/agents/fencing.js";
import type { AgentKey } from "../../src/orchestrator/agents/proof.js";
import { notEnrolled, tokenRefused } from "../../src/orchestrator/refusals.js";
import type { Enrolments, Heartbeat, LeaseAnswer, Leases } from "../../src/orchestrator/store.js";
import type { Clock } from "../../src/platform/clock.js";
import { type MemoryTables, seatsInOrder, type VmRow } from "./tables.js";

export class MemoryEnrolments implements Enrolments {
  constructor(
    private readonly tables: MemoryTables,
    private readonly clock: Clock,
  ) {}

  async enrol(vmId: string, bootstrapHash: string, key: AgentKey, claimedEpoch: number | undefined): Promise<number> {
    return this.tables.commit(() => {
      const vm = this.tables.vm(vmId);
      const nowMs = this.clock.now();
      const launch = vm.launches.find(({ hash, expiresAtMs }) => hash === bootstrapHash && expiresAtMs > nowMs);
      if (launch && vm.agentKey === null && (vm.status === "PROVISIONING" || vm.status === "BOOTING")) {
        Object.assign(vm, { agentKey: key, epoch: launch.epoch, launches: [], heardAtMs: nowMs });
        return vm.epoch;
      }
      const replaced = vm.agentKey !== null && isAnother(vm, claimedEpoch);
      throw replaced || isOver(vm.status) ? fenced(vmId, vm.status) : tokenRefused();
    });
  }

  async keyOf(vmId: string, claimedEpoch: number | undefined): Promise<{ key: AgentKey; epoch: number }> {
    const vm = this.tables.vm(vmId);
    if (vm.agentKey === null) throw notEnrolled(vmId);
    if (isAnother(vm, claimedEpoch) || isOver(vm.status)) throw fenced(vmId, vm.status);
    return { key: vm.agentKey, epoch: vm.epoch };
  }

  async check(vmId: string, epoch: number): Promise<void> {
    const vm = this.tables.vm(vmId);
    if (isAnother(vm, epoch) || isOver(vm.status)) throw fenced(vmId, vm.status);
  }
}

const isAnother = (vm: VmRow, claimedEpoch: number | undefined): boolean =>
  claimedEpoch !== undefined && claimedEpoch !== vm.epoch;

const nobody: LeaseAnswer = { status: null, epoch: 0, version: 0, seats: null };

export class MemoryLeases implements Leases {
  constructor(
    private readonly tables: MemoryTables,
    private readonly clock: Clock,
  ) {}

  async renew(beats: readonly Heartbeat[]): Promise<readonly LeaseAnswer[]> {
    return this.tables.commit(() => {
      const { tables } = this;
      const answers = beats.map((beat) => answerOf(tables.vms.get(beat.vmId), beat));
      for (const { vmId, epoch } of beats) {
        const vm = tables.vms.get(vmId);
        if (vm === undefined || !renews(vm, epoch)) continue;
        vm.heardAtMs = this.clock.now();
        if (vm.reachable) continue;
        vm.reachable = true;
        tables.touchVm(vm);
        tables.signal("waiting");
      }
      return answers;
    });
  }
}

const renews = (vm: VmRow, epoch: number): boolean =>
  vm.epoch === epoch && !isOver(vm.status) && vm.status !== "TEMPLATE";

function answerOf(vm: VmRow | undefined, beat: Heartbeat): LeaseAnswer {
  if (vm === undefined) return nobody;
  const { status, epoch, version } = vm;
  const tells = renews(vm, beat.epoch) && version !== beat.version;
  return { status, epoch, version, seats: tells ? seatsInOrder(vm).map(({ spec }) => spec) : null };
}
