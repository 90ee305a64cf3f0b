// The life of a VM: the seed's eight states and what may happen in each, as one table.
//
// Every way of going wrong still leads to TERMINATED: a VM we stop watching is one we keep paying for. READY and
// IN_USE differ only by having sessions, so `assigned`, `released` and `emptied` follow from the seats. TEMPLATE is a
// row per template image: nothing may ever happen to it. That an agent is unreachable is no state but a condition
// beside it (`lease.ts`), because the stream in progress does not need us.
import type { VmStatus } from "../../contracts/orchestrator.js";
import { Problem } from "../../contracts/problems.js";

export const vmTransitions = {
  TEMPLATE: {},
  PROVISIONING: { launched: "BOOTING", failed: "ERROR", terminated: "TERMINATED" },
  BOOTING: { ready: "READY", failed: "ERROR", terminated: "TERMINATED" },
  READY: { assigned: "IN_USE", drained: "DRAINING", failed: "ERROR", terminated: "TERMINATED" },
  IN_USE: {
    assigned: "IN_USE",
    released: "IN_USE",
    emptied: "READY",
    drained: "DRAINING",
    failed: "ERROR",
    terminated: "TERMINATED",
  },
  DRAINING: { released: "DRAINING", emptied: "DRAINING", failed: "ERROR", terminated: "TERMINATED" },
  ERROR: { terminated: "TERMINATED" },
  TERMINATED: {},
} as const satisfies Record<VmStatus, Partial<Record<VmChange, VmStatus>>>;

export const vmChanges = [
  "launched",
  "ready",
  "assigned",
  "released",
  "emptied",
  "drained",
  "failed",
  "terminated",
] as const;
export type VmChange = (typeof vmChanges)[number];

/** The state after the change; null where the table has none. */
export function nextStatus(status: VmStatus, change: VmChange): VmStatus | null {
  const row: Partial<Record<VmChange, VmStatus>> = vmTransitions[status];
  return row[change] ?? null;
}

/** @throws Problem illegal-transition */
export function nextStatusOr409(vm: { vmId: string; status: VmStatus }, change: VmChange): VmStatus {
  const next = nextStatus(vm.status, change);
  if (next !== null) return next;
  throw new Problem("illegal-transition", `VM ${vm.vmId} is ${vm.status}: it cannot be ${change}.`);
}

export const noSuchVm = (vmId: string) => new Problem("not-found", `There is no VM ${vmId}.`);

export const takesSessions = (status: VmStatus): boolean => nextStatus(status, "assigned") !== null;

/** On its way to READY. */
export const isUnderWay = (status: VmStatus): boolean => status === "PROVISIONING" || status === "BOOTING";
