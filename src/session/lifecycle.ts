// The life of a session: one table, and the only function that moves a session along it.
//
// Guarantees: no status changes but by this table; ENDED and FAILED are final; a session that ends while it may hold a
// seat or a place in the queue owes the orchestrator a withdrawal, and says so in the same record.
// Does not: decide when (deadlines.ts), nor read or write anything.
//
// A session whose VM breaks goes back to waiting and keeps its URLs: to its player that is one more wait, not an end.
import type { PlacementRequest } from "../contracts/orchestrator.js";
import type { ConnectionReport, Session, SessionStatus } from "../contracts/session.js";

export const sessionTransitions = {
  QUEUED: { queued: "QUEUED", provisioning: "PROVISIONING", seated: "READY", ended: "ENDED", failed: "FAILED" },
  PROVISIONING: { queued: "QUEUED", provisioning: "PROVISIONING", seated: "READY", ended: "ENDED", failed: "FAILED" },
  READY: {
    connected: "ACTIVE",
    // Its `connected` was overtaken by the newer report.
    disconnected: "DISCONNECTED",
    seated: "READY",
    queued: "QUEUED",
    provisioning: "PROVISIONING",
    ended: "ENDED",
    failed: "FAILED",
  },
  ACTIVE: {
    disconnected: "DISCONNECTED",
    seated: "READY",
    queued: "QUEUED",
    provisioning: "PROVISIONING",
    ended: "ENDED",
    failed: "FAILED",
  },
  DISCONNECTED: {
    connected: "ACTIVE",
    seated: "READY",
    queued: "QUEUED",
    provisioning: "PROVISIONING",
    ended: "ENDED",
    failed: "FAILED",
  },
  ENDED: {},
  FAILED: {},
} as const satisfies Record<SessionStatus, Partial<Record<SessionEvent["type"], SessionStatus>>>;

export type Seat = { [K in "vmId" | "region" | "templateId" | "provider"]: NonNullable<Session[K]> };
export type Queue = NonNullable<Session["queue"]>;
export type End = NonNullable<Session["end"]>;

export type SessionEvent =
  | { readonly type: "queued" | "provisioning"; readonly queue: Queue }
  | { readonly type: "seated"; readonly seat: Seat }
  | { readonly type: "connected" | "disconnected" }
  /** `holdsNothing`: the orchestrator said that it knows of no seat, so there is none to give back. */
  | { readonly type: "ended" | "failed"; readonly end: End; readonly holdsNothing?: true };

/** A session as it is stored. Times are ms since the epoch. */
export interface SessionRecord {
  readonly sessionId: string;
  readonly tenant: string;
  readonly playerId: string | null;
  readonly request: PlacementRequest;
  readonly presetId: Session["presetId"];
  readonly status: SessionStatus;
  readonly statusSince: number;
  /** Stored before the orchestrator was asked, and its answer not yet. */
  readonly intent: boolean;
  readonly seat: Seat | null;
  readonly queue: Queue | null;
  readonly end: End | null;
  readonly owesWithdraw: boolean;
  readonly createdAt: number;
  readonly readyAt: number | null;
  readonly joinedAt: number | null;
  readonly endedAt: number | null;
  readonly version: number;
}

export const isOver = (status: SessionStatus): boolean => status === "ENDED" || status === "FAILED";

/** The record after the event; null when the table does not allow it now. */
export function advance(session: SessionRecord, event: SessionEvent, now: number): SessionRecord | null {
  const row: Partial<Record<SessionEvent["type"], SessionStatus>> = sessionTransitions[session.status];
  const status = row[event.type];
  if (status === undefined) return null;
  const next = {
    ...session,
    status,
    statusSince: status === session.status && event.type !== "seated" ? session.statusSince : now,
    version: session.version + 1,
  };
  switch (event.type) {
    case "queued":
    case "provisioning":
      return { ...next, seat: null, queue: event.queue };
    case "seated":
      return { ...next, seat: event.seat, queue: null, readyAt: session.readyAt ?? now };
    case "connected":
    case "disconnected":
      return { ...next, joinedAt: session.joinedAt ?? now };
    case "ended":
    case "failed":
      return {
        ...next,
        intent: false,
        queue: null,
        end: event.end,
        endedAt: now,
        owesWithdraw: event.holdsNothing !== true,
      };
  }
}

/** What a report of the player's connection means to the session. */
export function eventOf(report: ConnectionReport): SessionEvent {
  const end = (type: "ended" | "failed", reason: End["reason"], otherwise: string): SessionEvent => ({
    type,
    end: { reason, detail: report.detail ?? otherwise },
  });
  switch (report.state) {
    case "connected":
    case "disconnected":
      return { type: report.state };
    case "idle":
      return end("ended", "idle", "There was no input for a long time.");
    case "left":
      return end("ended", "ended-by-player", "The player left.");
    case "game-exited":
      return end("ended", "game-exited", "The game ended by itself.");
    case "stream-failed":
      return end("failed", "stream-failed", "The stream could not be made.");
  }
}

/** The session as the contract shows it. */
export function toSession(record: SessionRecord): Session {
  const instant = (at: number | null) => (at === null ? null : new Date(at).toISOString());
  const { sessionId, tenant, status, presetId, seat, queue, end, version, request } = record;
  return {
    sessionId,
    tenant,
    status,
    gameId: request.gameId,
    presetId,
    cap: request.cap ?? null,
    region: seat?.region ?? null,
    vmId: seat?.vmId ?? null,
    templateId: seat?.templateId ?? null,
    provider: seat?.provider ?? null,
    queue,
    end,
    createdAt: new Date(record.createdAt).toISOString(),
    readyAt: instant(record.readyAt),
    joinedAt: instant(record.joinedAt),
    endedAt: instant(record.endedAt),
    version,
  };
}
