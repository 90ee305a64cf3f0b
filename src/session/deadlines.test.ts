import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkAt, deadlineOf, sessionLimits } from "./deadlines.js";
import { advance, isOver, type SessionEvent, type SessionRecord } from "./lifecycle.js";

const limits = sessionLimits.parse({});
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
const seated: SessionEvent = {
  type: "seated",
  seat: { vmId: "vm-1", region: "us-east-1", templateId: "L4-90", provider: "local" },
};
const sessionAfter = (...steps: [SessionEvent, number][]) =>
  steps.reduce((session, [event, at]) => advance(session, event, t0 + at)!, created);
const minute = 60_000;

describe("a session's deadline", () => {
  it("is 60 s after it is READY, when nobody joins", () => {
    const deadline = deadlineOf(sessionAfter([seated, 5_000]), limits);
    expect(deadline).toMatchObject({ at: t0 + 5_000 + minute, event: { end: { reason: "nobody-joined" } } });
  });

  it("is 60 s after the player's connection broke", () => {
    const session = sessionAfter([seated, 0], [{ type: "connected" }, 1_000], [{ type: "disconnected" }, 9_000]);
    expect(deadlineOf(session, limits)).toMatchObject({
      at: t0 + 9_000 + minute,
      event: { end: { reason: "player-left" } },
    });
  });

  it("is the longest duration from when the player joined, and a broken connection does not put it off", () => {
    const hours4 = 4 * 60 * minute;
    const active = sessionAfter([seated, 0], [{ type: "connected" }, 1_000]);
    expect(deadlineOf(active, limits)).toMatchObject({
      at: t0 + 1_000 + hours4,
      event: { end: { reason: "duration-limit" } },
    });
    const late = advance(active, { type: "disconnected" }, t0 + hours4)!;
    expect(deadlineOf(late, limits)).toMatchObject({ at: t0 + 1_000 + hours4 });
  });

  it("does not exist while it waits (that limit is the orchestrator's) or is over", () => {
    expect(deadlineOf(created, limits)).toBeNull();
    const ended = sessionAfter([{ type: "ended", end: { reason: "idle", detail: "" } }, 0]);
    expect(deadlineOf(ended, limits)).toBeNull();
  });

  it("always ends the session, and is the table's to take", () => {
    const step = fc.constantFrom<SessionEvent>(seated, { type: "connected" }, { type: "disconnected" });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 10 }), (steps) => {
        const session = steps.reduce((session, event, i) => advance(session, event, t0 + i) ?? session, created);
        const deadline = deadlineOf(session, limits);
        if (deadline === null) expect(session.seat).toBeNull();
        else expect(isOver(advance(session, deadline.event, deadline.at)!.status)).toBe(true);
      }),
    );
  });
});

describe("the next comparison with the orchestrator", () => {
  it("comes every 2 s while it waits, every minute while it is seated, never once it is over", () => {
    const now = t0 + 1;
    expect(checkAt(created, now, limits)).toBe(now + 2_000);
    expect(checkAt(sessionAfter([seated, 0]), now, limits)).toBe(now + minute);
    expect(checkAt(sessionAfter([{ type: "ended", end: { reason: "idle", detail: "" } }, 0]), now, limits)).toBeNull();
  });

  it("leaves a creation under way alone for 30 s", () => {
    expect(checkAt({ ...created, intent: true }, t0 + 5, limits)).toBe(t0 + 30_000);
  });
});
