// What an integrator's page sees of the player SDK. Types only: the build makes player.d.ts of this file and of the schemas
// whose types it names, so that a page written in TypeScript needs nothing else (scripts/player-types.mjs).
import type { KeyCode } from "../contracts/input.js";
import type { RecentLatency } from "../contracts/latency.js";
import type { Verdict } from "../contracts/latency-verdict.js";
import type { EndReason, StreamUrls, Ticket } from "../contracts/session.js";
import type { Progress, StreamInfo } from "../contracts/signalling.js";

export type { EndReason, KeyCode, Progress, RecentLatency, StreamInfo, StreamUrls, Ticket, Verdict };

/** A right to play: a ticket the first time, the `resume` secret of an earlier `welcome` after a page reload. */
export type Credential = { readonly ticket: string } | { readonly resume: string };
export type Target = { readonly urls: StreamUrls } & Credential;

export interface PlayerOptions {
  readonly video: HTMLVideoElement;
  /** "auto": data channels, and the WebSocket where they do not open within 3 s. */
  readonly controlTransport?: "auto" | "websocket";
  /** "relay": media takes a TURN server's way only, for a network that is to be tried without direct ways. */
  readonly iceTransportPolicy?: "all" | "relay";
  /** Gets a new ticket (POST …/ticket) when the one given is refused. Without it, a refusal is a `problem`. */
  readonly freshTicket?: () => Promise<Pick<Ticket, "ticket">>;
}

export interface PlayerEvents {
  /** Before the session has its seat. */
  progress: Progress;
  /** The machine knows us. `resume` is the secret to come back with. */
  welcome: { readonly stream: StreamInfo; readonly resume: string };
  /** What the stream runs at has changed: `stream.why` says why, in words. */
  stream: { readonly stream: StreamInfo };
  /** Media flows: the first time and after each interruption. */
  connected: { readonly firstTime: boolean };
  /** No media for a moment; the player reconnects by itself. */
  interrupted: Record<string, never>;
  /** The way input takes, once it is open. */
  control: { readonly transport: "data-channel" | "websocket" };
  /** The pointer was locked, or let go (null). `unadjusted`: its motion comes without the system's acceleration. */
  pointer: { readonly locked: { readonly unadjusted: boolean } | null };
  /** The game rumbles. `felt`: a gamepad does; else the page may let the phone vibrate. Strengths are 0–1. */
  rumble: {
    readonly index: number;
    readonly strong: number;
    readonly weak: number;
    readonly durationMs: number;
    readonly felt: boolean;
  };
  /** The browser wants a click before it plays sound: offer a button that calls `enableSound`. */
  soundBlocked: Record<string, never>;
  /** Once a second while connected. */
  stats: PlayerStats;
  ended: { readonly reason: EndReason; readonly detail: string };
  problem: PlayerProblem;
}

export interface Player {
  on<Name extends keyof PlayerEvents>(name: Name, listener: (event: PlayerEvents[Name]) => void): () => void;
  /** A key of an on-screen keyboard. */
  press(code: KeyCode, down: boolean): void;
  /** Releases everything held; for a page that opens a dialog over the game. */
  releaseInput(): void;
  enableSound(): Promise<void>;
  muted: boolean;
  /** Whether gamepads rumble when the game says so; true at first. */
  rumble: boolean;
  /** Ends the session; `ended` follows. False: not connected to say so, end it over HTTP. */
  end(): boolean;
  /** Leaves without ending: the session waits for its grace time. Emits nothing. */
  close(): void;
}

/** Why a player gave up, for programs. Words for people are the page's. */
export type ProblemKind =
  | "unreachable" // the server's WebSocket cannot be reached
  | "unavailable" // the server answers, but a service behind it does not
  | "refused" // neither ticket nor resume secret is accepted
  | "not-found" // there is no such session
  | "over" // the session had ended before we came back
  | "taken-over" // another page plays this session now
  | "no-answer" // the machine did not answer our offer
  | "network-blocked" // no path for media between here and the machine
  | "connection-lost" // there was a path, and no new one was found in time
  | "unsupported" // this browser cannot play H.264 over WebRTC
  | "misunderstood"; // page and server speak different versions

export interface PlayerProblem {
  readonly kind: ProblemKind;
  /** What the server said, in words; null when it said nothing. */
  readonly detail: string | null;
}

export interface PlayerStats {
  readonly width: number;
  readonly height: number;
  /** Frames decoded per second. */
  readonly fps: number;
  readonly bitrateKbps: number;
  /** To the machine and back, by ICE checks; null before the first. */
  readonly rttMs: number | null;
  /** Packets lost of all received and lost since the last report, 0–1. */
  readonly lossRatio: number;
  /** Seconds of sound weighted by loudness (`totalAudioEnergy`): grows when something is heard. */
  readonly audioEnergy: number;
  /** Where the time from input to picture went in the last 10 s, by stage; null while no frame shown has a receipt. */
  readonly latency: RecentLatency | null;
  /** What that means, in words. */
  readonly verdict: Verdict;
}
