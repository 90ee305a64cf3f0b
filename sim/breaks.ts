// Rules broken on purpose, to see that the simulation bites: `--break`, and breaks.test.ts says which invariant catches
// each. A broken store stands where the store stands, beneath the faults.
import { vmEventOf } from "../src/orchestrator/events/outbox-store.js";
import type { OrchestratorStore, Seats, VmNews, Vms } from "../src/orchestrator/store.js";
import { nextStatus } from "../src/orchestrator/vm/lifecycle.js";
import type { Kernel } from "./kernel/kernel.js";
import type { MemoryTables } from "./memory/tables.js";

export const breaks = {
  intent: "a launch is not written down before the provider is called",
  version: "a seat is given by what the replica remembers of the VM, without looking at the row again",
  ack: "a seat is acknowledged before it is committed",
} as const;
export type Break = keyof typeof breaks;
export const breakNames = Object.keys(breaks) as Break[];

const commitLateMs = 200;

interface Beneath {
  readonly tables: MemoryTables;
  readonly kernel: Kernel;
}

export function broken(store: OrchestratorStore, rule: Break, beneath: Beneath): OrchestratorStore {
  switch (rule) {
    case "intent":
      return { ...store, vms: forgetfulVms(store.vms, beneath) };
    case "version":
      return { ...store, seats: trustingSeats(store.seats, beneath) };
    case "ack":
      return { ...store, seats: hastySeats(store.seats, beneath) };
  }
}

function forgetfulVms(vms: Vms, { tables }: Beneath): Vms {
  const claimLaunch: Vms["claimLaunch"] = async (vmId) => {
    const vm = tables.vms.get(vmId);
    return vm?.status === "PROVISIONING" && vm.agentKey === null ? vm.epoch + 1 : null;
  };
  return new Proxy(vms, { get: (all, verb) => (verb === "claimLaunch" ? claimLaunch : bound(all, verb)) });
}

function trustingSeats(seats: Seats, { tables, kernel }: Beneath): Seats {
  return {
    giveBack: (...leavings) => seats.giveBack(...leavings),
    give: async (chosen, at) =>
      tables.commit(() => {
        const outcomes = chosen.map(({ placement, vmId, units }) => {
          const vm = tables.vms.get(vmId);
          if (vm === undefined) return "lost";
          if (tables.placements.has(placement.sessionId)) return "known";
          tables.sit(tables.addPlacement(placement, kernel.nowMs), vm, units, at.getTime());
          vm.usedUnits += units;
          vm.status = nextStatus(vm.status, "assigned") ?? vm.status;
          tables.touchVm(vm);
          const { sessionId } = placement;
          const data = { vmId, region: vm.region, templateId: vm.templateId, sessionId };
          tables.append([vmEventOf("SessionAssigned", vm, vmId, data)], at);
          return "seated";
        });
        return { outcomes, vms: newsOf(chosen, tables) };
      }),
  };
}

function hastySeats(seats: Seats, { tables, kernel }: Beneath): Seats {
  return {
    giveBack: (...leavings) => seats.giveBack(...leavings),
    give: async (chosen, at) => {
      kernel.after(commitLateMs, () => void seats.give(chosen, at));
      return { outcomes: chosen.map(() => "seated"), vms: newsOf(chosen, tables) };
    },
  };
}

const newsOf = (chosen: readonly { readonly vmId: string }[], { vms }: MemoryTables): VmNews[] =>
  [...new Set(chosen.map(({ vmId }) => vmId))].flatMap((vmId) => vms.get(vmId) ?? []);

function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name);
  return typeof value === "function" ? value.bind(target) : value;
}
