import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SeatSpec } from "../../contracts/orchestrator.js";
import { plan, type SessionPhase } from "./plan.js";

const seat = (sessionId: string): SeatSpec => ({
  sessionId,
  gameId: "demo",
  presetId: "default-standard",
  mode: { width: 1280, height: 720, fps: 60 },
  title: "Signal",
  pointer: "relative",
  bitrateKbpsMin: 8_000,
  bitrateKbpsMax: 15_000,
  encoding: { effort: "moderate", vbvFrames: 1 },
  idleMs: 600_000,
});

const name = fc.constantFrom("a", "b", "c", "d", "e", "f");
const desired = fc.uniqueArray(name).map((names) => names.map(seat));
const phase = fc.constantFrom<SessionPhase>("running", "closing", "over");
const known = fc.dictionary(name, phase).map((phases) => new Map(Object.entries(phases)));

/** The VM after the plan's steps were taken and every closing process has gone. */
function carryOut(before: ReadonlyMap<string, SessionPhase>, steps: ReturnType<typeof plan>) {
  const after = new Map(before);
  for (const { sessionId } of steps.start) after.set(sessionId, "running");
  for (const sessionId of steps.stop) after.delete(sessionId);
  for (const sessionId of steps.forget) after.delete(sessionId);
  for (const [sessionId, its] of before) if (its === "closing") after.delete(sessionId);
  return after;
}

describe("plan", () => {
  it("starts the seats that do not run and stops what has no seat", () => {
    const steps = plan(
      [seat("new"), seat("kept")],
      new Map([["kept", "running"] as const, ["old", "running"] as const]),
    );
    expect(steps).toEqual({ start: [seat("new")], stop: ["old"], forget: [] });
  });

  it("does not start a session again that is over while its seat is still listed, and forgets it with the seat", () => {
    const over = new Map([["crashed", "over"] as const]);
    expect(plan([seat("crashed")], over)).toEqual({ start: [], stop: [], forget: [] });
    expect(plan([], over)).toEqual({ start: [], stop: [], forget: ["crashed"] });
  });

  it("starts a seat once, also when the answer lists it twice", () => {
    expect(plan([seat("twice"), seat("twice")], new Map()).start).toHaveLength(1);
  });

  it("leaves exactly the desired sessions running, apart from those that are over, within two heartbeats", () => {
    fc.assert(
      fc.property(desired, known, (seats, before) => {
        const once = carryOut(before, plan(seats, before));
        const settled = carryOut(once, plan(seats, once));
        for (const { sessionId } of seats)
          expect(settled.get(sessionId)).toBe(before.get(sessionId) === "over" ? "over" : "running");
        expect(settled.size).toBe(seats.length);
        expect(plan(seats, settled)).toEqual({ start: [], stop: [], forget: [] });
      }),
    );
  });

  it("never touches a session twice, nor one that is closing", () => {
    fc.assert(
      fc.property(desired, known, (seats, before) => {
        const steps = plan(seats, before);
        const touched = [...steps.start.map(({ sessionId }) => sessionId), ...steps.stop, ...steps.forget];
        expect(new Set(touched).size).toBe(touched.length);
        for (const sessionId of touched) expect(before.get(sessionId)).not.toBe("closing");
      }),
    );
  });
});
