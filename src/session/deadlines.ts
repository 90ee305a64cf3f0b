// When time alone moves a session on: the limit that ends it, and when to compare it with the orchestrator next.
//
// Pure, and computed anew at every change: the store keeps the results as timers, the sweeper only asks which are due.
// How long a session may wait in the queue is the orchestrator's to say.
import * as z from "zod";
import { isOver, type SessionEvent, type SessionRecord } from "./lifecycle.js";

const ms = (defaultMs: number) => z.number().int().min(1).default(defaultMs);

export const sessionLimits = z.object({
  joinMs: ms(60_000).describe("How long a seat is held for a player who does not join"),
  graceMs: ms(60_000).describe("How long a seat is held for a player whose connection broke"),
  durationMs: ms(4 * 3_600_000).describe("The longest a session may last, from when its player joined"),
  intentMs: ms(30_000).describe("After this, a session whose creation did not finish is given up"),
  queueRefreshMs: ms(2_000).describe("How often a waiting session's place in the queue is asked for"),
  seatCheckMs: ms(60_000).describe("How often a seated session's seat is verified"),
});
export type SessionLimits = z.infer<typeof sessionLimits>;

interface Deadline {
  readonly at: number;
  readonly event: SessionEvent;
}

/** The limit that ends the session if nothing else happens; null while there is none. */
export function deadlineOf(session: SessionRecord, limits: SessionLimits): Deadline | null {
  const started = session.joinedAt ?? session.statusSince;
  const longest: Deadline = {
    at: started + limits.durationMs,
    event: { type: "ended", end: { reason: "duration-limit", detail: "The session reached its longest duration." } },
  };
  switch (session.status) {
    case "READY":
      return {
        at: session.statusSince + limits.joinMs,
        event: {
          type: "ended",
          end: { reason: "nobody-joined", detail: `Nobody joined within ${inWords(limits.joinMs)}.` },
        },
      };
    case "ACTIVE":
      return longest;
    case "DISCONNECTED": {
      const grace: Deadline = {
        at: session.statusSince + limits.graceMs,
        event: {
          type: "ended",
          end: { reason: "player-left", detail: `The player did not come back within ${inWords(limits.graceMs)}.` },
        },
      };
      return grace.at <= longest.at ? grace : longest;
    }
    default:
      return null;
  }
}

/** When the session is to be compared with the orchestrator; null when never again. */
export function checkAt(session: SessionRecord, now: number, limits: SessionLimits): number | null {
  if (isOver(session.status)) return null;
  if (session.intent) return session.createdAt + limits.intentMs;
  return now + (session.seat === null ? limits.queueRefreshMs : limits.seatCheckMs);
}

function inWords(durationMs: number): string {
  const seconds = durationMs / 1000;
  return seconds === 1 ? "1 second" : `${seconds} seconds`;
}
