import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type SessionStatus, session as sessionSchema } from "../contracts/session.js";
import {
  advance,
  eventOf,
  isOver,
  type SessionEvent,
  type SessionRecord,
  sessionTransitions,
  toSession,
} from "./lifecycle.js";

const t0 = Date.UTC(2026, 0, 1);

const created: SessionRecord = {
  sessionId: "s_1",
  tenant: "acme",
  playerId: null,
  request: { gameId: "demo", client: "browser" },
  presetId: "default-standard",
  status: "QUEUED",
  statusSince: t0,
  intent: false,
  seat: null,
  queue: null,
  end: null,
  owesWithdraw: false,
  createdAt: t0,
  readyAt: null,
  joinedAt: null,
  endedAt: null,
  version: 1,
};

const seat = { vmId: "vm-1", region: "us-east-1", templateId: "L4-90", provider: "local" } as const;
const queue = { position: 1, etaSeconds: 15, reason: "every seat is taken" };
const events: Record<SessionEvent["type"], SessionEvent> = {
  queued: { type: "queued", queue },
  provisioning: { type: "provisioning", queue },
  seated: { type: "seated", seat },
  connected: { type: "connected" },
  disconnected: { type: "disconnected" },
  ended: { type: "ended", end: { reason: "idle", detail: "idle" } },
  failed: { type: "failed", end: { reason: "vm-failed", detail: "broken" } },
};
const anyEvents = fc.array(fc.constantFrom(...Object.values(events)), { maxLength: 30 });

const follow = (steps: readonly SessionEvent[]) =>
  steps.reduce((session, event, i) => advance(session, event, t0 + i + 1) ?? session, created);

describe("the session's table", () => {
  const statuses = Object.keys(sessionTransitions) as SessionStatus[];
  for (const status of statuses)
    for (const [type, event] of Object.entries(events) as [SessionEvent["type"], SessionEvent][]) {
      const row: Partial<Record<SessionEvent["type"], SessionStatus>> = sessionTransitions[status];
      const next = row[type];
      it(next === undefined ? `refuses ${type} when ${status}` : `takes ${status} to ${next} when ${type}`, () => {
        expect(advance({ ...created, status }, event, t0)?.status).toBe(next);
      });
    }

  it("lets every live session end and fail", () => {
    for (const status of statuses.filter((status) => !isOver(status)))
      expect(sessionTransitions[status]).toMatchObject({ ended: "ENDED", failed: "FAILED" });
  });
});

describe("a session's record", () => {
  it("is a session of the contract after any events", () => {
    fc.assert(fc.property(anyEvents, (steps) => void sessionSchema.parse(toSession(follow(steps)))));
  });

  it("has a seat exactly while it is READY, ACTIVE or DISCONNECTED, and then waits for none", () => {
    fc.assert(
      fc.property(anyEvents, (steps) => {
        const { status, seat, queue } = follow(steps);
        if (isOver(status)) return;
        expect(seat !== null).toBe(["READY", "ACTIVE", "DISCONNECTED"].includes(status));
        if (seat !== null) expect(queue).toBeNull();
      }),
    );
  });

  it("changes its version with every change, and never once it is over", () => {
    fc.assert(
      fc.property(anyEvents, (steps) => {
        let session = created;
        for (const event of steps) {
          const next = advance(session, event, t0);
          if (next !== null) expect(next.version).toBe(session.version + 1);
          if (isOver(session.status)) expect(next).toBeNull();
          session = next ?? session;
        }
      }),
    );
  });

  it("owes a withdrawal when it ends, unless it is known to hold nothing", () => {
    expect(advance(created, events.ended, t0)?.owesWithdraw).toBe(true);
    expect(advance(created, { ...events.failed, holdsNothing: true } as SessionEvent, t0)?.owesWithdraw).toBe(false);
  });

  it("keeps when it was first ready and first joined, and counts a new seat's hold from the new seat", () => {
    const session = [events.seated, events.connected, events.queued, events.seated].reduce(
      (session, event, i) => advance(session, event, t0 + (i + 1) * 1_000)!,
      created,
    );
    expect(session).toMatchObject({ readyAt: t0 + 1_000, joinedAt: t0 + 2_000, statusSince: t0 + 4_000 });
  });

  it("does not restart its wait when only its place in the queue changes", () => {
    const waiting = advance(created, events.queued, t0 + 1)!;
    const moved = { type: "queued", queue: { ...queue, position: 2 } } as const;
    expect(advance(waiting, moved, t0 + 9)).toMatchObject({ statusSince: created.statusSince, queue: moved.queue });
  });
});

describe("a report of the player's connection", () => {
  it("fails the session only when its stream could not be made", () => {
    const typeOf = (state: Parameters<typeof eventOf>[0]["state"]) => eventOf({ vmId: "vm-1", state }).type;
    expect(
      ["connected", "disconnected", "idle", "left", "game-exited", "stream-failed"].map((s) => typeOf(s as "idle")),
    ).toEqual(["connected", "disconnected", "ended", "ended", "ended", "failed"]);
  });
});
