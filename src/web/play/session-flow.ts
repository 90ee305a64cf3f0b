// One player's way through a session, over HTTP and the player SDK: make it, join it, come back to it, end it. Tells
// the page what happens as PageEvents and decides nothing about what is shown.
//
// Guarantees: at most one player at a time; what a session the player has left still answers is not told; a session
// made after the player cancelled is given back.
import type { GameSummary, RegionId, VideoMode } from "../../contracts/catalog.js";
import { type Session, sessionRoutes } from "../../contracts/session.js";
import { connect, type Player, type PlayerProblem, type Progress, type Target } from "../../player/player.js";
import { ApiFailure, call } from "./api.js";
import type { PageEvent } from "./page-state.js";
import { vibrate } from "./rumble-setting.js";
import { forgetSession, loadSession, saveSession } from "./saved-session.js";
import { type Message, wordsForAnswer, wordsForEnd, wordsForProblem } from "./words.js";

export interface Choice {
  readonly cap?: VideoMode;
  readonly region?: RegionId;
}

export interface FlowOptions {
  readonly video: HTMLVideoElement;
  readonly controlTransport: "auto" | "websocket";
  readonly iceTransportPolicy: "all" | "relay";
  readonly rumble: () => boolean;
  readonly tell: (event: PageEvent) => void;
}

/** The machine confirms the end within a round trip; past this, the session is ended over HTTP. */
const endMsMax = 2_000;

export class SessionFlow {
  player: Player | null = null;
  readonly #options: FlowOptions;
  #sessionId: string | null = null;
  #current = new AbortController();

  constructor(options: FlowOptions) {
    this.#options = options;
  }

  async play(game: GameSummary, choice: Choice): Promise<void> {
    const { tell, signal } = this.#begin();
    const before = this.#sessionId;
    this.#sessionId = null;
    forgetSession();
    tell({ name: "play-pressed", game });
    try {
      if (before !== null) await giveBack(before);
      const { body: made } = await call(sessionRoutes.createSession, { body: { gameId: game.gameId, ...choice } });
      if (signal.aborted) return await giveBack(made.sessionId);
      this.#sessionId = made.sessionId;
      saveSession({ sessionId: made.sessionId, game, resume: null });
      tell(waitEvent(made));
      this.#join({ urls: made.urls, ticket: made.ticket }, game);
    } catch (error) {
      tell({ name: "broke", message: wordsForError(error) });
    }
  }

  /** Back to a session this tab was in. False: there is none. */
  async comeBack(): Promise<boolean> {
    const saved = loadSession();
    if (saved === null) return false;
    const { tell, signal } = this.#begin();
    const { sessionId, game, resume } = saved;
    this.#sessionId = sessionId;
    tell({ name: "returning", game });
    try {
      const { body: session } = await call(sessionRoutes.getSession, { params: { sessionId }, signal });
      if (session.end !== null) this.#over(tell, wordsForEnd(session.end.reason, session.end.detail));
      else if (resume !== null) this.#join({ urls: resume.urls, resume: resume.secret }, game);
      else this.#join(await freshTicket(sessionId, signal), game);
    } catch (error) {
      if (signal.aborted) return true;
      if (error instanceof ApiFailure && error.problem?.status === 404) forgetSession();
      tell({ name: "broke", message: wordsForError(error) });
    }
    return true;
  }

  /** The player ends it. */
  async end(): Promise<void> {
    const { player } = this;
    const sessionId = this.#sessionId;
    if (player === null || sessionId === null) return;
    const { signal } = this.#current;
    const confirmed = player.end() && (await happens(player, "ended", endMsMax));
    if (confirmed || signal.aborted) return;
    this.#stop();
    const { tell } = this.#begin();
    try {
      await call(sessionRoutes.endSession, { params: { sessionId } });
      this.#over(tell, wordsForEnd("ended-by-player", ""));
    } catch (error) {
      tell({ name: "broke", message: wordsForError(error) });
    }
  }

  /** Back to the games: cancels a start, gives the seat back. */
  async leave(): Promise<void> {
    const sessionId = this.#sessionId;
    this.#options.tell({ name: "left" });
    this.#stop();
    this.#sessionId = null;
    forgetSession();
    if (sessionId !== null) await giveBack(sessionId);
  }

  #begin(): { tell: (event: PageEvent) => void; signal: AbortSignal } {
    this.#stop();
    this.#current = new AbortController();
    const { signal } = this.#current;
    return { signal, tell: (event) => !signal.aborted && this.#options.tell(event) };
  }

  #stop(): void {
    this.#current.abort();
    this.player?.close();
    this.player = null;
  }

  #join(target: Target, game: GameSummary): void {
    const { tell, signal } = this.#begin();
    const sessionId = this.#sessionId!;
    const player = connect(target, {
      video: this.#options.video,
      controlTransport: this.#options.controlTransport,
      iceTransportPolicy: this.#options.iceTransportPolicy,
      freshTicket: () => freshTicket(sessionId, signal),
    });
    this.player = player;
    player.rumble = this.#options.rumble();
    player.on("rumble", vibrate);
    player.on("pointer", ({ locked }) => locked !== null && tell({ name: "noted", facts: { pointer: locked } }));
    player.on("progress", (progress) => tell(progressEvent(progress)));
    player.on("welcome", ({ stream, resume }) => {
      saveSession({ sessionId, game, resume: { urls: target.urls, secret: resume } });
      tell({ name: "noted", facts: { stream } });
      tell({ name: "joining", progress: null });
    });
    player.on("stream", ({ stream }) => tell({ name: "noted", facts: { stream } }));
    player.on("connected", () => tell({ name: "media-flows" }));
    player.on("interrupted", () => tell({ name: "media-lost" }));
    player.on("control", ({ transport }) => tell({ name: "noted", facts: { inputBy: transport } }));
    player.on("soundBlocked", () => tell({ name: "noted", facts: { soundBlocked: true } }));
    player.on("stats", (stats) => tell({ name: "noted", facts: { stats } }));
    player.on("ended", ({ reason, detail }) => this.#over(tell, wordsForEnd(reason, detail)));
    player.on("problem", (problem) => void this.#explain(tell, problem));
  }

  #over(tell: (event: PageEvent) => void, message: Message): void {
    this.#sessionId = null;
    forgetSession();
    tell({ name: "session-ended", message });
  }

  // Of a session that is over the server knows why; of anything else the player does.
  async #explain(tell: (event: PageEvent) => void, problem: PlayerProblem): Promise<void> {
    tell({ name: "broke", message: wordsForProblem(problem) });
    if (this.#sessionId === null || (problem.kind !== "over" && problem.kind !== "not-found")) return;
    const { signal } = this.#current;
    try {
      const { body } = await call(sessionRoutes.getSession, { params: { sessionId: this.#sessionId }, signal });
      if (body.end !== null) this.#over(tell, wordsForEnd(body.end.reason, body.end.detail));
    } catch (error) {
      // The problem stands as it was told: there is nothing to add to it.
      if (!(error instanceof ApiFailure) && !signal.aborted) throw error;
    }
  }
}

function wordsForError(error: unknown): Message {
  if (error instanceof ApiFailure) return wordsForAnswer(error.problem);
  throw error;
}

async function freshTicket(sessionId: string, signal: AbortSignal) {
  const { body } = await call(sessionRoutes.createTicket, { params: { sessionId }, signal });
  return { urls: body.urls, ticket: body.ticket };
}

/** Best effort: a session nobody joins gives its seat back by itself within a minute. */
async function giveBack(sessionId: string): Promise<void> {
  await call(sessionRoutes.endSession, { params: { sessionId } }).catch((error: unknown) => {
    if (!(error instanceof ApiFailure)) throw error;
  });
}

const progressEvent = (progress: Progress): PageEvent => {
  const name = (
    { "finding-seat": "seat-sought", "starting-machine": "machine-starting", connecting: "joining" } as const
  )[progress.step];
  return { name, progress };
};

function waitEvent({ status, queue }: Session): PageEvent {
  if (status !== "QUEUED" && status !== "PROVISIONING") return { name: "joining", progress: null };
  return progressEvent({
    status,
    step: status === "QUEUED" ? "finding-seat" : "starting-machine",
    position: queue?.position ?? null,
    etaSeconds: queue?.etaSeconds ?? null,
    reason: queue?.reason ?? null,
  });
}

/** Whether the player emits it in time. */
function happens(player: Player, name: "ended", withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => done(false), withinMs);
    const off = player.on(name, () => done(true));
    const done = (happened: boolean) => {
      clearTimeout(timer);
      off();
      resolve(happened);
    };
  });
}
