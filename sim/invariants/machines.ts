// What must hold of the clouds' machines and of the agents on them, whatever the database went through.
//
// A machine exists only by a written intent; it has a live row, or is gone soon; so for rows that are over. One machine
// lasts for each VM, one agent speaks for it and is not fenced. "Soon" counts only time in which something could be done
// about it: the provider answers, the store is there, a replica runs.
import type { LaunchSpec } from "../../src/orchestrator/providers/provider.js";
import type { Agent } from "../agents.js";
import type { Cloud, Machine } from "../cloud.js";
import type { MemoryTables, VmRow } from "../memory/tables.js";
import type { Stage } from "../stage.js";

export const lookMs = 5_000;
const soonMs = 150_000;

const isLive = (vm: VmRow | undefined): vm is VmRow =>
  vm !== undefined && vm.status !== "TERMINATED" && vm.status !== "ERROR";

export class MachineRules {
  /** How long each machine or row has been out of order, by its id. */
  #since = new Map<string, number>();

  constructor(
    private readonly stage: Stage,
    private readonly tables: MemoryTables,
    private readonly clouds: readonly Cloud[],
    private readonly deps: {
      isClaimed: (vmId: string, epoch: number) => boolean;
      canAct: () => boolean;
      isUp: (machine: Machine) => boolean;
    },
  ) {}

  /** As the call reaches the cloud. */
  launched({ vmId, epoch }: LaunchSpec): void {
    if (this.deps.isClaimed(vmId, epoch)) return;
    this.stage.break("intent before launch", `launch ${epoch} of ${vmId} was never written down`);
  }

  enrolled(agent: Agent, others: Iterable<Agent>): void {
    const { vmId } = agent.machine.spec;
    for (const other of others)
      if (other !== agent && other.machine.spec.vmId === vmId && other.epoch !== null)
        this.stage.break("one agent speaks", `${agent.machine.id} and ${other.machine.id} for ${vmId}`);
  }

  fenced({ machine, epoch }: Agent): void {
    const vm = this.tables.vms.get(machine.spec.vmId);
    if (isLive(vm) && vm.agentKey?.x === machine.id && vm.epoch === epoch)
      this.stage.break("one agent speaks", `${machine.id} was fenced, and ${vm.vmId} is its own`);
  }

  /** To be called every `lookMs`. */
  look(): void {
    if (!this.deps.canAct()) return;
    const since = new Map<string, number>();
    const outOfOrder = (id: string, rule: string, detail: () => string, allowedMs = soonMs) => {
      const lastedMs = (this.#since.get(id) ?? 0) + lookMs;
      since.set(id, lastedMs);
      if (lastedMs > allowedMs) this.stage.break(rule, `${detail()} for ${lastedMs / 1000} s`);
    };
    const machines = new Map<string, Machine[]>();
    for (const cloud of this.clouds)
      for (const machine of cloud.machines()) {
        const { vmId } = machine.spec;
        const own = machines.get(vmId);
        if (own === undefined) machines.set(vmId, [machine]);
        else own.push(machine);
        if (!isLive(this.tables.vms.get(vmId)) && machine.undeadUntilMs < this.stage.kernel.nowMs)
          outOfOrder(`machine ${machine.id}`, "every machine tracked or gone", () => `${machine.id} of ${vmId} runs`);
      }
    for (const [vmId, own] of machines)
      if (own.filter(this.deps.isUp).length > 1)
        outOfOrder(`twins ${vmId}`, "one machine per VM", () => own.map(({ id }) => id).join(" and "));
    for (const vm of this.tables.tracked) {
      if (vm.status === "ERROR")
        outOfOrder(`error ${vm.vmId}`, "ERROR ends in TERMINATED", () => `${vm.vmId} is in ERROR`, 60_000);
      if (vm.status === "TERMINATED" && (machines.get(vm.vmId) ?? []).every((own) => own.undeadUntilMs === 0))
        outOfOrder(`row ${vm.vmId}`, "every row tracked or closed", () => `${vm.vmId} is TERMINATED and not closed`);
      if (isLive(vm) && vm.readyAtMs !== null && !machines.has(vm.vmId))
        outOfOrder(`lost ${vm.vmId}`, "every row tracked or closed", () => `${vm.vmId} has no machine`);
    }
    this.#since = since;
  }
}
