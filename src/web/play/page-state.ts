// Everything the page shows, and how events change it. Pure: views draw a PageState and nothing else.

import type { RegionCapacity } from "../../contracts/capacity.js";
import type { GameSummary } from "../../contracts/catalog.js";
import type { StreamInfo } from "../../contracts/signalling.js";
import type { PlayerStats, Progress } from "../../player/player.js";
import { nextPhase, type Phase, type PhaseEvent } from "./phase.js";
import type { Message } from "./words.js";

export interface PageState {
  readonly phase: Phase;
  readonly games: readonly GameSummary[];
  /** Null: not reachable with this key; then the page offers no choice of region. */
  readonly regions: readonly RegionCapacity[] | null;
  /** The game chosen last. */
  readonly game: GameSummary | null;
  readonly progress: Progress | null;
  readonly stream: StreamInfo | null;
  readonly stats: PlayerStats | null;
  readonly inputBy: "data-channel" | "websocket" | null;
  /** Why a key is needed, how the session ended, or what broke. */
  readonly message: Message | null;
  readonly soundBlocked: boolean;
  /** How the game had the pointer last; null: it never had. */
  readonly pointer: { readonly unadjusted: boolean } | null;
  /** The game has Escape and the system's keys: the page has the full screen and the keyboard's lock. */
  readonly keyboardLocked: boolean;
  /** The player wants to see where the time goes; from one session to the next. */
  readonly latencyAsked: boolean;
}

export type PageEvent =
  | { readonly name: "key-needed" | "session-ended" | "broke"; readonly message: Message }
  | { readonly name: "games-listed"; readonly games: readonly GameSummary[]; readonly regions: PageState["regions"] }
  | { readonly name: "play-pressed" | "returning"; readonly game: GameSummary }
  | { readonly name: "seat-sought" | "machine-starting" | "joining"; readonly progress: Progress | null }
  | { readonly name: "media-flows" | "media-lost" | "left" }
  | {
      readonly name: "noted";
      readonly facts: Partial<
        Pick<PageState, "stream" | "stats" | "inputBy" | "soundBlocked" | "pointer" | "keyboardLocked" | "latencyAsked">
      >;
    };

export const opening: PageState = {
  phase: "opening",
  games: [],
  regions: null,
  game: null,
  progress: null,
  stream: null,
  stats: null,
  inputBy: null,
  message: null,
  soundBlocked: false,
  pointer: null,
  keyboardLocked: false,
  latencyAsked: false,
};

const noSession = {
  progress: null,
  stream: null,
  stats: null,
  inputBy: null,
  message: null,
  soundBlocked: false,
  pointer: null,
};

/** Returns the very same state when the event changes nothing. */
export function advance(state: PageState, event: PageEvent): PageState {
  if (event.name === "noted") return { ...state, ...event.facts };
  const phase = nextPhase(state.phase, event.name satisfies PhaseEvent);
  if (phase === null) return state;
  switch (event.name) {
    case "games-listed":
      return { ...state, phase, games: event.games, regions: event.regions, message: null };
    case "play-pressed":
    case "returning":
      return { ...state, ...noSession, phase, game: event.game };
    case "seat-sought":
    case "machine-starting":
    case "joining":
      return { ...state, phase, progress: event.progress };
    case "key-needed":
    case "session-ended":
    case "broke":
      return { ...state, phase, stats: null, soundBlocked: false, message: event.message };
    case "media-flows":
    case "media-lost":
      return { ...state, phase, progress: null };
    case "left":
      return { ...state, ...noSession, phase };
  }
}
