// Why a verb of the store refuses, in words: the same from every store.
import { Problem } from "../contracts/problems.js";
import { quotaExceeded } from "../platform/quotas.js";
import type { Growth, GrowthRefusal, GrowthRules } from "./placement/growth.js";
import type { NewVm } from "./placement/waiting.js";
import type { LockedVm } from "./vm/vm-rows-store.js";

export function noRoomToGrow(
  refusal: GrowthRefusal,
  { region, templateId, tenant }: NewVm,
  { places, quotas }: GrowthRules,
  growth: Growth,
): Problem {
  if (refusal === "tenant-limit" && tenant !== null)
    return quotaExceeded("vms", quotas.max(tenant, "vms")!, growth.vmsOf(tenant));
  if (refusal === "over-budget")
    return new Problem("capacity-exhausted", "The fleet's budget has no room for another VM.");
  const { vmsMax } = places(region, templateId);
  return new Problem("capacity-exhausted", `${region} has its ${vmsMax} VMs of ${templateId} already.`);
}

export const hasSessions = (vmId: string, sessions: number): Problem =>
  new Problem("vm-has-sessions", `VM ${vmId} has ${sessions} live sessions: drain it, or use force.`);

export const sessionElsewhere = (sessionId: string, vmId: string): Problem =>
  new Problem("session-elsewhere", `Session ${sessionId} has its seat on ${vmId}.`);

export const takesNoSessions = ({ vmId, status }: Pick<LockedVm, "vmId" | "status">): Problem =>
  new Problem("illegal-transition", `VM ${vmId} is ${status}: it takes no sessions.`);

export const noFreeSeat = ({ vmId, reachable }: Pick<LockedVm, "vmId" | "reachable">): Problem =>
  new Problem(
    "no-free-seat",
    reachable ? `VM ${vmId} has no room for the session.` : `VM ${vmId} is unreachable just now.`,
  );

export const tokenRefused = (): Problem =>
  new Problem("forbidden", "The bootstrap token is not this VM's, or was used, or has expired.");

export const notEnrolled = (vmId: string): Problem => new Problem("forbidden", `No agent has enrolled for VM ${vmId}.`);
