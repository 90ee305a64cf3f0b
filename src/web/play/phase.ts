// The page's state machine: one table. `data-phase` on <body> is always the current phase.
//
// An event a phase does not list is ignored on purpose: answers of a session the player has already left arrive late.

export type Phase =
  | "opening" // reading the key, asking for the games
  | "locked" // a key is needed
  | "list"
  | "asking" // POST session is under way
  | "finding-seat"
  | "starting-machine"
  | "connecting"
  | "playing"
  | "interrupted" // media stopped, the player reconnects by itself
  | "ended"
  | "failed";

export type PhaseEvent =
  | "key-needed"
  | "games-listed"
  | "play-pressed"
  | "returning" // a reload, or another try, with a session that may still run
  | "seat-sought"
  | "machine-starting"
  | "joining"
  | "media-flows"
  | "media-lost"
  | "session-ended"
  | "broke"
  | "left";

const beforeSeat = {
  "seat-sought": "finding-seat",
  "machine-starting": "starting-machine",
  joining: "connecting",
  "session-ended": "ended",
  broke: "failed",
  "key-needed": "locked",
  left: "list",
} as const;

export const phaseTransitions = {
  opening: { "key-needed": "locked", "games-listed": "list", broke: "failed" },
  locked: { "games-listed": "list", "key-needed": "locked", broke: "failed" },
  list: { "play-pressed": "asking", returning: "connecting", "key-needed": "locked" },
  asking: beforeSeat,
  "finding-seat": beforeSeat,
  "starting-machine": beforeSeat,
  // Its machine may break while it joins: then it waits for a seat again.
  connecting: { ...beforeSeat, "media-flows": "playing" },
  playing: { "media-lost": "interrupted", "session-ended": "ended", broke: "failed", left: "list" },
  interrupted: {
    "media-flows": "playing",
    "seat-sought": "finding-seat",
    "machine-starting": "starting-machine",
    joining: "interrupted",
    "session-ended": "ended",
    broke: "failed",
    left: "list",
  },
  ended: { "play-pressed": "asking", "games-listed": "list", left: "list" },
  failed: {
    "play-pressed": "asking",
    returning: "connecting",
    "games-listed": "list",
    "key-needed": "locked",
    "session-ended": "ended",
    left: "list",
  },
} as const satisfies Record<Phase, Partial<Record<PhaseEvent, Phase>>>;

/** The phase after `event`; null when `phase` ignores it. */
export const nextPhase = (phase: Phase, event: PhaseEvent): Phase | null =>
  (phaseTransitions[phase] as Partial<Record<PhaseEvent, Phase>>)[event] ?? null;

/** Phases that show the full-window stage instead of the lobby. */
export const onStage = (phase: Phase): boolean => phase !== "opening" && phase !== "locked" && phase !== "list";

/** The three steps a start is shown as. */
export const steps = ["finding-seat", "starting-machine", "connecting"] as const;
export type Step = (typeof steps)[number];

/** Which step is under way; null outside a start. */
export const currentStep = (phase: Phase): Step | null =>
  phase === "asking" ? "finding-seat" : (steps.find((step) => step === phase) ?? null);
