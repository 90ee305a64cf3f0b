import fc from "fast-check";
import { expect, test } from "vitest";
import { currentStep, nextPhase, onStage, type Phase, type PhaseEvent, phaseTransitions, steps } from "./phase.js";

const phases = Object.keys(phaseTransitions) as Phase[];
const events: PhaseEvent[] = [
  ...new Set(phases.flatMap((phase) => Object.keys(phaseTransitions[phase]) as PhaseEvent[])),
];
const run = (from: Phase, ...happened: PhaseEvent[]) =>
  happened.reduce<Phase>((phase, event) => nextPhase(phase, event) ?? phase, from);

test("the way from the printed link to the end of a session", () => {
  expect(run("opening", "games-listed")).toBe("list");
  expect(run("list", "play-pressed", "seat-sought", "machine-starting", "joining", "media-flows")).toBe("playing");
  expect(run("playing", "media-lost", "media-flows", "session-ended")).toBe("ended");
  expect(run("ended", "play-pressed", "joining", "media-flows")).toBe("playing");
});

test("a machine that breaks while it joins puts the player back in line", () => {
  expect(run("connecting", "seat-sought")).toBe("finding-seat");
  expect(run("interrupted", "machine-starting", "joining", "media-flows")).toBe("playing");
});

test("a player who reconnects sees one interruption, not a new start", () => {
  expect(run("interrupted", "joining")).toBe("interrupted");
});

test("an answer of a session the player has left changes nothing", () => {
  for (const event of [
    "seat-sought",
    "machine-starting",
    "joining",
    "media-flows",
    "media-lost",
    "session-ended",
    "broke",
  ] as const)
    expect(nextPhase("list", event)).toBeNull();
});

test("everything on the stage can be left, and everything that can break says so", () => {
  for (const phase of phases.filter(onStage)) expect(run(phase, "left"), phase).toBe("list");
  for (const phase of phases.filter((phase) => onStage(phase) && phase !== "ended" && phase !== "failed"))
    expect(run(phase, "broke"), phase).toBe("failed");
});

test("from wherever events lead, the player can get to a game again", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...events), { maxLength: 40 }), (happened) => {
      const phase = run("opening", ...happened);
      expect(run(phase, "left", "games-listed", "play-pressed", "joining", "media-flows")).toBe("playing");
    }),
  );
});

test("each step of a start is one phase, and asking is the first of them", () => {
  expect(steps.map((step) => currentStep(step))).toEqual([...steps]);
  expect(currentStep("asking")).toBe("finding-seat");
  expect(currentStep("playing")).toBeNull();
});
