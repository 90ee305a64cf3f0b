// Which agents are wanted. One of another launch, or of a VM that was given up, is fenced: it gets a problem of its own
// type, after which it must end itself, since whatever it streams has a seat elsewhere by now.
import type { VmStatus } from "../../contracts/orchestrator.js";
import { Problem } from "../../contracts/problems.js";

/** No agent is wanted there any more. */
export const isOver = (status: VmStatus): boolean => status === "ERROR" || status === "TERMINATED";

export const fenced = (vmId: string, status: VmStatus): Problem =>
  new Problem(
    "agent-fenced",
    isOver(status) ? `VM ${vmId} is ${status}: it was given up.` : `VM ${vmId} was launched anew since.`,
  );
