// The play page: reads the key, lists the games, and wires one session flow to the views. What is shown follows from
// the page's state alone (page-state.ts); what may happen, from the phase table (phase.ts).
import "../../player/no-eval.js";
import type { GameSummary } from "../../contracts/catalog.js";
import { orchestratorRoutes } from "../../contracts/orchestrator.js";
import { platformRoutes } from "../../contracts/routes.js";
import { sessionRoutes } from "../../contracts/session.js";
import { ApiFailure, call } from "./api.js";
import { BarView } from "./bar-view.js";
import { byId, el } from "./element.js";
import { lockKeyboardInFullscreen, toggleFullscreen } from "./fullscreen.js";
import { HelpView } from "./help-view.js";
import { KeyView, keyIn } from "./key-view.js";
import { LatencyView } from "./latency-view.js";
import { LobbyView } from "./lobby-view.js";
import { OverlayView } from "./overlay-view.js";
import { advance, opening, type PageEvent, type PageState } from "./page-state.js";
import { onStage } from "./phase.js";
import { keepRumble, rumbleWanted } from "./rumble-setting.js";
import { loadSession } from "./saved-session.js";
import { SessionFlow } from "./session-flow.js";
import { TouchPadView } from "./touch-pad.js";
import { keyNeeded, wordsForAnswer } from "./words.js";

const video = byId("video", HTMLVideoElement);
const stage = byId("stage", HTMLElement);
let state: PageState = opening;

// `?control=websocket`: input by WebSocket from the start, for a network suspected of holding data channels up.
// `?ice=relay`: media by the TURN server only, to try it.
const query = new URLSearchParams(location.search);
const flow = new SessionFlow({
  video,
  controlTransport: query.get("control") === "websocket" ? "websocket" : "auto",
  iceTransportPolicy: query.get("ice") === "relay" ? "relay" : "all",
  rumble: rumbleWanted,
  tell,
});

const toGame = () => {
  if (!help.isOpen) video.focus({ preventScroll: true });
};
const lobby = new LobbyView(play);
const key = new KeyView((pasted) => void unlock(pasted));
const help = new HelpView({
  closed: toGame,
  setRumble: (wanted) => {
    keepRumble(wanted);
    if (flow.player !== null) flow.player.rumble = wanted;
  },
});
const overlay = new OverlayView({ leave, next });
const latency = new LatencyView();
const bar = new BarView({
  toggleSound: () => flow.player !== null && (flow.player.muted = !flow.player.muted),
  toggleFullscreen: () => void toggleFullscreen(stage),
  toggleLatency,
  help: () => {
    document.exitPointerLock(); // By keyboard one comes here with the pointer locked.
    flow.player?.releaseInput();
    help.open(state);
  },
  end: () => void flow.end(),
  done: toGame,
});
const enableSound = el("button", { type: "button", class: "primary", id: "enable-sound" }, "Turn the sound on");
enableSound.addEventListener("click", () => {
  tell({ name: "noted", facts: { soundBlocked: false } });
  void flow.player?.enableSound();
  toGame();
});
byId("sound", HTMLElement).append(enableSound);
// Before the game's own listener, which would take it for a key of the game's.
window.addEventListener("keydown", takeShortcut, { capture: true });
const pad = new TouchPadView((code, down) => flow.player?.press(code, down));
lockKeyboardInFullscreen((keyboardLocked) => tell({ name: "noted", facts: { keyboardLocked } }));
// The printed link, opened in a tab that is here already, changes the fragment only.
window.addEventListener("hashchange", () => void open());
void open();

function tell(event: PageEvent): void {
  const before = state;
  state = advance(state, event);
  if (state !== before) render(before);
}

function render(before: PageState): void {
  const { phase } = state;
  document.body.dataset.phase = phase;
  byId("lobby", HTMLElement).hidden = onStage(phase);
  byId("opening", HTMLElement).hidden = phase !== "opening";
  byId("key", HTMLElement).hidden = phase !== "locked";
  byId("choose", HTMLElement).hidden = phase !== "list";
  byId("sound", HTMLElement).hidden = !(state.soundBlocked && phase === "playing");
  stage.hidden = !onStage(phase);
  document.title = onStage(phase) && state.game !== null ? `${state.game.title} · Hotseat` : "Hotseat";
  for (const view of [lobby, key, overlay, latency, bar, pad, help]) view.render(state);
  if (phase === before.phase) return;
  if (phase === "playing") {
    toGame();
    bar.show();
  }
  if (phase === "asking") bar.reset();
  if (phase === "list" && document.fullscreenElement !== null) void document.exitFullscreen();
}

function toggleLatency(): void {
  tell({ name: "noted", facts: { latencyAsked: !state.latencyAsked } });
}

function takeShortcut(event: KeyboardEvent): void {
  if (!(event.ctrlKey && event.shiftKey && event.code === "KeyL") || state.phase !== "playing") return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (!event.repeat) toggleLatency();
}

/** The printed link's key, if it has one, then the games, then the session this tab was in. */
async function open(): Promise<void> {
  const { hash, pathname, search } = location;
  if (hash.startsWith("#key=")) {
    history.replaceState(null, "", pathname + search);
    await unlock(keyIn(hash));
  } else await listGames();
}

async function unlock(pasted: string): Promise<void> {
  try {
    await call(platformRoutes.cookie, { body: { key: pasted } });
  } catch (error) {
    if (error instanceof ApiFailure && isRefusal(error)) tell({ name: "key-needed", message: keyNeeded.wrong });
    else broke(error);
    return;
  }
  await listGames();
}

async function listGames(): Promise<void> {
  try {
    const [games, regions] = await Promise.all([
      call(sessionRoutes.listGames),
      call(orchestratorRoutes.regionCapacities).catch((error: unknown) => {
        // Not with this key, or not reachable: the page does without a choice of region.
        if (error instanceof ApiFailure) return null;
        throw error;
      }),
    ]);
    tell({ name: "games-listed", games: games.body.games, regions: regions?.body.regions ?? null });
    if (loadSession() !== null) await flow.comeBack();
  } catch (error) {
    if (error instanceof ApiFailure && isRefusal(error)) tell({ name: "key-needed", message: keyNeeded.missing });
    else broke(error);
  }
}

const isRefusal = ({ problem }: ApiFailure) => problem?.status === 401 || problem?.status === 400;

function broke(error: unknown): void {
  if (!(error instanceof ApiFailure)) throw error;
  tell({ name: "broke", message: wordsForAnswer(error.problem) });
}

function play(game: GameSummary): void {
  void flow.play(game, lobby.choice);
}

function leave(): void {
  void flow.leave();
  if (state.games.length === 0) void listGames();
}

function next(): void {
  if (state.message?.next === "reload") location.reload();
  else if (state.message?.next === "try-again") void tryAgain();
  else if (state.game !== null) play(state.game);
  else leave();
}

async function tryAgain(): Promise<void> {
  if (await flow.comeBack()) return;
  if (state.game !== null) play(state.game);
  else await listGames();
}
