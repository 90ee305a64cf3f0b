// The player SDK: connects a <video> to a running session and plays.
//
//   const player = connect(session, { video }); // as POST /api/session/v1 answered, or { urls, ticket }
//   player.on("ended", ({ reason }) => …);
//
// Guarantees: exactly one `ended` or `problem`, the last event, after which nothing is left open; the loss of the
// signalling socket does not touch media that flows; lost media is replaced by a new connection, through the resume
// secret, until the session's end or `reconnectMsMax`. The page keeps the secret from `welcome` to survive a reload.
import "./no-eval.js";
import type { KeyCode } from "../contracts/input.js";
import { decodeRumble, type Rumble, RumbleFormatError } from "../contracts/rumble.js";
import type { IceServer } from "../contracts/session.js";
import type { StreamInfo } from "../contracts/signalling.js";
import type { Credential, Player, PlayerEvents, PlayerOptions, ProblemKind, Target } from "./api.js";
import { Connection, type ConnectionFailure, playsH264 } from "./connection.js";
import { Emitter } from "./emitter.js";
import { Devices } from "./input/devices.js";
import { InputSender } from "./input/sender.js";
import { InputWays } from "./input/ways.js";
import { recoveryFor, retryDelayMs, retryLimits } from "./recovery.js";
import { type Heard, SignallingClient } from "./signalling-client.js";
import { Sound } from "./sound.js";
import { rates, type StatsSample, sample } from "./statistics.js";

export type * from "./api.js";

const statsMs = 1_000;
/** Ports and addresses the browser found may be gone after this: an offer made earlier is made again. */
const offerMsMax = 20_000;

/** Starts at once; listeners added in the same task miss nothing. */
export function connect(target: Target, options: PlayerOptions): Player {
  const session = new PlayerSession(target, options);
  queueMicrotask(() => session.start());
  return session;
}

class PlayerSession implements Player {
  readonly #events = new Emitter<PlayerEvents>();
  readonly #options: PlayerOptions;
  readonly #signalling: SignallingClient;
  readonly #ways: InputWays;
  readonly #devices: Devices;
  readonly #sound = new Sound(() => this.#events.emit("soundBlocked", {}));
  readonly #closed = new AbortController();
  rumble = true;
  #credential: Credential;
  #iceServers: IceServer[];
  #stream: StreamInfo | null = null;
  #connection: Connection | null = null;
  #everConnected = false;
  /** Since when no media has flowed; the reason given at the first failure since then. */
  #outage: { readonly sinceMs: number; readonly kind: ProblemKind } | null = null;
  #serverSaid: string | null = null;
  /** Connections replaced since the last one that worked. */
  #repairs = 0;
  /** Whether a fresh ticket was asked for since the last welcome. */
  #renewed = false;
  #lastSample: StatsSample | null = null;

  constructor(target: Target, options: PlayerOptions) {
    const { urls } = target;
    // Field by field: a whole session, as POST answered it, is a target too.
    const credential = "resume" in target ? { resume: target.resume } : { ticket: target.ticket };
    this.#options = options;
    this.#credential = credential;
    this.#iceServers = urls.iceServers;
    this.#signalling = new SignallingClient(urls.signalling, {
      credential: () => this.#credential,
      message: (message, goesOn) => this.#receive(message, goesOn),
      closed: (code, downMs) => this.#signallingClosed(code, downMs),
    });
    this.#ways = new InputWays({
      url: urls.control,
      transport: options.controlTransport ?? "auto",
      resume: () => ("resume" in this.#credential ? this.#credential.resume : ""),
      ready: (transport) => this.#inputReady(transport),
    });
    const sender = new InputSender(() => this.#ways.current);
    this.#devices = new Devices({
      video: options.video,
      send: sender.send,
      wantsLock: () => this.#stream?.pointer === "relative",
      lockChanged: (locked) => this.#events.emit("pointer", { locked }),
    });
  }

  start(): void {
    if (this.#closed.signal.aborted) return;
    if (!playsH264()) {
      this.#fail("unsupported", null);
      return;
    }
    this.#prepare();
    this.#signalling.open();
    const timer = setInterval(() => void this.#measure(), statsMs);
    this.#closed.signal.addEventListener("abort", () => clearInterval(timer), { once: true });
    window.addEventListener("online", () => this.#signalling.wake(), { signal: this.#closed.signal });
    this.#devices.listen(this.#closed.signal);
  }

  on<Name extends keyof PlayerEvents>(name: Name, listener: (event: PlayerEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  press(code: KeyCode, down: boolean): void {
    this.#devices.press(code, down);
  }

  releaseInput(): void {
    this.#devices.release();
  }

  enableSound(): Promise<void> {
    return this.#sound.enable();
  }

  get muted(): boolean {
    return this.#sound.muted;
  }

  set muted(muted: boolean) {
    this.#sound.muted = muted;
  }

  end(): boolean {
    if (!this.#signalling.isOpen) return false;
    this.#signalling.say({ type: "bye" });
    return true;
  }

  close(): void {
    if (this.#closed.signal.aborted) return;
    this.#devices.release();
    this.#closed.abort();
    this.#signalling.close();
    this.#ways.close();
    this.#dropConnection();
    this.#sound.close();
    this.#options.video.srcObject = null;
    this.#events.clear();
  }

  #receive(message: Heard, goesOn: boolean): void {
    switch (message.type) {
      case "progress":
        this.#events.emit("progress", message);
        break;
      case "welcome":
        this.#welcomed(message, goesOn);
        break;
      case "stream":
        this.#stream = message.stream;
        this.#events.emit("stream", { stream: message.stream });
        break;
      case "answer":
        this.#attempt(this.#connection?.answer(message.sdp, message.to));
        break;
      case "candidate":
        this.#attempt(this.#connection?.addCandidate(message.candidate));
        break;
      case "ice-servers":
        this.#iceServers = message.iceServers;
        break;
      case "ended":
        this.#finish(() => this.#events.emit("ended", { reason: message.reason, detail: message.detail }));
        break;
      case "problem":
        this.#serverSaid = message.problem.detail ?? message.problem.title;
        break;
    }
  }

  #welcomed({ resume, stream, iceServers }: Extract<Heard, { type: "welcome" }>, goesOn: boolean): void {
    this.#credential = { resume };
    this.#renewed = false;
    this.#serverSaid = null;
    this.#stream = stream;
    this.#events.emit("welcome", { stream, resume });
    if (this.#connection?.isConnected) return; // Only signalling was lost: media flows, nothing to negotiate.
    this.#ways.welcomed();
    if (goesOn && this.#connection?.isNegotiating) {
      // Its answer is still to come, or comes again.
      this.#connection.allowMore();
      return;
    }
    const stale =
      JSON.stringify(iceServers) !== JSON.stringify(this.#iceServers) ||
      this.#connection === null ||
      this.#connection.isUsed ||
      performance.now() - this.#connection.madeAtMs > offerMsMax;
    this.#iceServers = iceServers;
    if (stale) this.#prepare();
    this.#attempt(this.#connection?.negotiate((sdp) => this.#signalling.say({ type: "offer", sdp })));
  }

  // A description or candidate the browser rejects breaks this connection, not the player.
  #attempt(negotiation: Promise<void> | undefined): void {
    const connection = this.#connection;
    negotiation?.catch(() => connection === this.#connection && this.#connectionFailed("network-blocked"));
  }

  #prepare(): void {
    this.#dropConnection();
    const { iceTransportPolicy = "all" } = this.#options;
    const connection = new Connection(
      { iceServers: this.#iceServers, iceTransportPolicy },
      {
        candidate: (candidate) => void this.#signalling.say({ type: "candidate", candidate }),
        track: (track) => this.#show(track),
        rumble: (bytes) => this.#rumbles(bytes),
        connected: () => this.#connected(connection),
        interrupted: () => this.#events.emit("interrupted", {}),
        failed: (why) => this.#connectionFailed(why),
      },
    );
    this.#connection = connection;
  }

  #show(track: MediaStreamTrack): void {
    if (track.kind === "audio") {
      this.#sound.attach(track);
      return;
    }
    const { video } = this.#options;
    video.muted = true; // It has no sound of its own, and only muted video starts without a click.
    video.srcObject = new MediaStream([track]);
    // Refused or replaced by a newer track: `autoplay` starts it as soon as the browser lets it.
    void video.play().catch(() => undefined);
  }

  #connected(connection: Connection): void {
    const firstTime = !this.#everConnected;
    this.#everConnected = true;
    this.#outage = null;
    this.#repairs = 0;
    this.#ways.connected(connection);
    this.#events.emit("connected", { firstTime });
  }

  #inputReady(transport: "data-channel" | "websocket"): void {
    this.#devices.begin();
    this.#events.emit("control", { transport });
  }

  #rumbles(bytes: Uint8Array): void {
    if (!this.rumble) return;
    let rumble: Rumble;
    try {
      rumble = decodeRumble(bytes);
    } catch (error) {
      // A machine newer than this page may say more.
      if (error instanceof RumbleFormatError) return;
      throw error;
    }
    const felt = this.#devices.rumble(rumble);
    this.#events.emit("rumble", { ...rumble, felt });
  }

  #connectionFailed(why: ConnectionFailure): void {
    const kind = this.#everConnected ? "connection-lost" : why;
    this.#outage ??= { sinceMs: performance.now(), kind };
    if (!this.#everConnected || this.#outageMs > retryLimits.reconnectMsMax) {
      this.#fail(kind, null);
      return;
    }
    this.#events.emit("interrupted", {});
    this.#dropConnection();
    // A new join by the resume secret, and a new offer at its welcome.
    this.#signalling.openAfter(retryDelayMs(this.#repairs++, Math.random()));
  }

  get #outageMs(): number {
    return this.#outage === null ? 0 : performance.now() - this.#outage.sinceMs;
  }

  /** Whether to open the socket again. */
  #signallingClosed(code: number, downMs: number): boolean {
    const recovery = recoveryFor(code);
    if (recovery === "fresh-ticket") {
      this.#renew();
      return false;
    }
    if (recovery !== "retry") {
      this.#fail(recovery, this.#serverSaid);
      return false;
    }
    if (this.#connection?.isConnected) return true;
    const lostMs = Math.max(downMs, this.#outageMs);
    if (lostMs < (this.#everConnected ? retryLimits.reconnectMsMax : retryLimits.reachMsMax)) return true;
    this.#fail(this.#serverSaid === null ? (this.#outage?.kind ?? "unreachable") : "unavailable", this.#serverSaid);
    return false;
  }

  #renew(): void {
    const { freshTicket } = this.#options;
    if (freshTicket === undefined || this.#renewed) {
      this.#fail("refused", this.#serverSaid);
      return;
    }
    this.#renewed = true;
    freshTicket().then(
      ({ ticket }) => {
        if (this.#closed.signal.aborted) return;
        this.#credential = { ticket };
        this.#signalling.open();
      },
      () => this.#fail("refused", this.#serverSaid),
    );
  }

  async #measure(): Promise<void> {
    const connection = this.#connection;
    if (connection === null || !connection.isConnected) return;
    const report = await connection.stats();
    if (connection !== this.#connection) return;
    const before = this.#lastSample;
    this.#lastSample = sample(report.values(), performance.now());
    const stats = before === null ? null : rates(before, this.#lastSample);
    if (stats !== null) this.#events.emit("stats", stats);
  }

  #dropConnection(): void {
    this.#ways.disconnected();
    this.#connection?.close();
    this.#connection = null;
    this.#lastSample = null;
  }

  #fail(kind: ProblemKind, detail: string | null): void {
    this.#finish(() => this.#events.emit("problem", { kind, detail }));
  }

  #finish(announce: () => void): void {
    if (this.#closed.signal.aborted) return;
    announce();
    this.close();
  }
}
