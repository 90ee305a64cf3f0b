// What the orchestrator's word about a seat means to a session: level-triggered, so that a missed, late or repeated
// event does no harm. The caller reads the session before it asks, and commits only if the session did not change
// meanwhile: a newer truth is never overwritten by an older one.
import type { Assignment, Vm } from "../contracts/orchestrator.js";
import type { SessionEvent, SessionRecord } from "./lifecycle.js";

/** What a placement says; null when the session says the same already. */
export function eventOfPlacement(session: SessionRecord, placement: Assignment): SessionEvent | null {
  if (placement.status === "ASSIGNED") {
    const { vmId, region, templateId, provider } = placement;
    return session.seat?.vmId === vmId ? null : { type: "seated", seat: { vmId, region, templateId, provider } };
  }
  const { position, etaSeconds, reason } = placement;
  const { status, queue } = session;
  const same =
    status === placement.status &&
    queue?.position === position &&
    queue.etaSeconds === etaSeconds &&
    queue.reason === reason;
  if (same) return null;
  return { type: placement.status === "QUEUED" ? "queued" : "provisioning", queue: { position, etaSeconds, reason } };
}

/** What it means that the orchestrator knows nothing of the session. `vm`: where it had its seat, if that is known. */
export function eventOfNoPlacement(session: SessionRecord, vm: Vm | null): SessionEvent {
  const failed = (reason: "vm-failed" | "vm-terminated", detail: string): SessionEvent => ({
    type: "failed",
    end: { reason, detail },
    holdsNothing: true,
  });
  if (session.seat === null) return waitAbandoned;
  if (vm === null || vm.error !== null) return failed("vm-failed", "The machine broke, and no other seat was free.");
  return failed("vm-terminated", "The session's seat was taken away by the operator.");
}

const waitAbandoned: SessionEvent = {
  type: "ended",
  end: { reason: "wait-abandoned", detail: "It waited for a seat, and nobody was there to take it any more." },
  holdsNothing: true,
};

/** A creation that stopped half-way: whether a seat was given is unknown, so it is given back. */
export const interruptedCreation: SessionEvent = {
  type: "failed",
  end: { reason: "no-capacity", detail: "The session's creation was interrupted." },
};
