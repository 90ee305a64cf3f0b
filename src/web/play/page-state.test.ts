import { expect, test } from "vitest";
import type { GameSummary } from "../../contracts/catalog.js";
import { advance, opening, type PageEvent, type PageState } from "./page-state.js";
import { wordsForEnd } from "./words.js";

const game: GameSummary = {
  gameId: "demo",
  title: "Demo",
  tagline: "",
  controls: [],
  presetId: "default-standard",
  touch: null,
  unavailable: null,
};
const run = (...events: PageEvent[]): PageState => events.reduce(advance, opening);
const listed: PageEvent = { name: "games-listed", games: [game], regions: null };
const play: PageEvent = { name: "play-pressed", game };

test("the place in line is kept while waiting and gone once playing", () => {
  const progress = { status: "QUEUED", step: "finding-seat", position: 3, etaSeconds: 40, reason: "full" } as const;
  const waiting = run(listed, play, { name: "seat-sought", progress });
  expect(waiting).toMatchObject({ phase: "finding-seat", progress: { position: 3 } });
  const playing = [{ name: "joining", progress: null }, { name: "media-flows" }] satisfies PageEvent[];
  expect(playing.reduce<PageState>(advance, waiting)).toMatchObject({ phase: "playing", progress: null });
});

test("a new session starts without anything of the last", () => {
  const ended = run(
    listed,
    play,
    { name: "noted", facts: { soundBlocked: true, inputBy: "websocket" } },
    { name: "session-ended", message: wordsForEnd("idle", "") },
  );
  expect(ended.message?.title).toBe("Still there?");
  expect(advance(ended, play)).toMatchObject({ phase: "asking", message: null, soundBlocked: false, inputBy: null });
});

test("the latency that was asked for is shown in the next session, too", () => {
  const asked = run(listed, play, { name: "noted", facts: { latencyAsked: true } });
  const left = advance(asked, { name: "session-ended", message: wordsForEnd("idle", "") });
  expect(advance(left, play).latencyAsked).toBe(true);
});

test("an event the phase ignores gives back the very same state", () => {
  const state = run(listed);
  expect(advance(state, { name: "media-flows" })).toBe(state);
});
