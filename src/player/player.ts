// The player SDK: connects a <video> to a running session and plays.
//
//   const player = connect(session, { video }); // as POST /api/session/v1 answered, or { urls, ticket }
//   player.on("ended", ({ reason }) => …);
//
// Guarantees: exactly one `ended` or `problem`, the last event, after which nothing is left open; the loss of the
// signalling socket does not touch media that flows; a connection that lost its way, or whose network changed, is kept
// while another is made beside it, and the first of the two that carries media stays (ADR 25: no ICE restart); without
// any, a new one is made through the resume secret until the session's end or `reconnectMsMax`. The page keeps the
// secret from `welcome` to survive a reload.
import "./no-eval.js";
import type { KeyCode } from "../contracts/input.js";
import { latencyLimits } from "../contracts/latency.js";
import { verdictOf } from "../contracts/latency-verdict.js";
import { decodeRumble, type Rumble, RumbleFormatError } from "../contracts/rumble.js";
import type { IceServer } from "../contracts/session.js";
import type { StreamInfo } from "../contracts/signalling.js";
import type { Credential, Player, PlayerEvents, PlayerOptions, ProblemKind, Target } from "./api.js";
import { Connection, type ConnectionFailure, playsH264 } from "./connection.js";
import { Emitter } from "./emitter.js";
import { Devices } from "./input/devices.js";
import { InputSender } from "./input/sender.js";
import { InputWays, type Transport } from "./input/ways.js";
import { Latency } from "./latency/latency.js";
import { watchNetwork } from "./network.js";
import { Nodes } from "./nodes.js";
import { recoveryFor, retryDelayMs, retryLimits } from "./recovery.js";
import { type Heard, SignallingClient } from "./signalling-client.js";
import { Sound } from "./sound.js";

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
  readonly #nodes: Nodes;
  readonly #signalling: SignallingClient;
  readonly #ways: InputWays;
  readonly #devices: Devices;
  readonly #latency = new Latency();
  readonly #sound = new Sound(() => this.#events.emit("soundBlocked", {}));
  readonly #closed = new AbortController();
  rumble = true;
  #credential: Credential;
  #iceServers: IceServer[];
  #stream: StreamInfo | null = null;
  /** The one that shows its picture, or is to be the first to. */
  #connection: Connection | null = null;
  /** Made beside it, to replace it once it carries media. */
  #spare: Connection | null = null;
  /** Whose tracks the page plays. */
  #shown: Connection | null = null;
  #everConnected = false;
  /** Whether nothing came for a second though ICE sees no fault. */
  #silent = false;
  /** Since when no media has flowed; the reason given at the first failure since then. */
  #outage: { readonly sinceMs: number; readonly kind: ProblemKind } | null = null;
  #serverSaid: string | null = null;
  /** Connections replaced since the last one that worked. */
  #repairs = 0;
  /** Whether a fresh ticket was asked for since the last welcome. */
  #renewed = false;
  #reportedAtMs = Number.NEGATIVE_INFINITY;
  #transport: Transport | null = null;

  constructor(target: Target, options: PlayerOptions) {
    const { urls } = target;
    // Field by field: a whole session, as POST answered it, is a target too.
    const credential = "resume" in target ? { resume: target.resume } : { ticket: target.ticket };
    this.#options = options;
    this.#credential = credential;
    this.#iceServers = urls.iceServers;
    this.#nodes = new Nodes(urls);
    this.#signalling = new SignallingClient(() => this.#nodes.signalling, {
      credential: () => this.#credential,
      message: (message, goesOn) => this.#receive(message, goesOn),
      closed: (code, downMs) => this.#signallingClosed(code, downMs),
    });
    this.#ways = new InputWays({
      url: () => this.#nodes.control,
      transport: options.controlTransport ?? "auto",
      resume: () => ("resume" in this.#credential ? this.#credential.resume : ""),
      ready: (transport) => this.#inputReady(transport),
    });
    const sender = new InputSender(
      () => this.#ways.current,
      undefined,
      (seq) => this.#latency.sent(seq),
    );
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
    const { signal } = this.#closed;
    signal.addEventListener("abort", () => clearInterval(timer), { once: true });
    watchNetwork(() => this.#replace(), signal);
    this.#devices.listen(signal);
    this.#latency.watch(this.#options.video, signal);
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
    this.#dropSpare();
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
        // Last, as every event is: a listener that closes the player leaves nothing behind it to go on.
        this.#events.emit("welcome", { stream: message.stream, resume: message.resume });
        break;
      case "stream":
        this.#stream = message.stream;
        this.#events.emit("stream", { stream: message.stream });
        break;
      case "answer":
        this.#attempt((connection) => connection.answer(message.sdp, message.to));
        break;
      case "candidate":
        this.#attempt((connection) => connection.addCandidate(message.candidate));
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
    // Only signalling was lost: media flows, and nothing has begun that it was needed for.
    if (this.#spare === null && this.#connection?.isConnected) return;
    this.#ways.welcomed();
    const newest = this.#newest;
    if (goesOn && newest?.isNegotiating) {
      newest.allowMore(); // Its answer is still to come, or comes again.
      return;
    }
    const stale =
      JSON.stringify(iceServers) !== JSON.stringify(this.#iceServers) ||
      newest === null ||
      newest.isUsed ||
      performance.now() - newest.madeAtMs > offerMsMax;
    this.#iceServers = iceServers;
    if (stale) this.#prepare();
    this.#negotiate();
  }

  #negotiate(): void {
    this.#attempt((connection) => connection.negotiate((sdp) => this.#signalling.say({ type: "offer", sdp })));
  }

  /** The one that is negotiated. */
  get #newest(): Connection | null {
    return this.#spare ?? this.#connection;
  }

  // A description or candidate the browser rejects breaks that connection, not the player.
  #attempt(negotiation: (connection: Connection) => Promise<void>): void {
    const connection = this.#newest;
    if (connection === null) return;
    negotiation(connection).catch(() => this.#connectionFailed(connection, "network-blocked"));
  }

  /** A connection to offer: a spare while the one there is may still have its way, or find it again. */
  #prepare(): void {
    this.#dropSpare();
    const { iceTransportPolicy = "all" } = this.#options;
    const connection = new Connection(
      { iceServers: this.#iceServers, iceTransportPolicy },
      {
        candidate: (candidate) => {
          if (connection === this.#newest) this.#signalling.say({ type: "candidate", candidate });
        },
        track: (track) => {
          // The first is prepared for its picture; a later one gets the page's when it has one.
          if (!this.#everConnected) this.#show(track);
        },
        rumble: (bytes) => this.#rumbles(bytes),
        receipt: (bytes) => {
          if (connection === this.#connection) this.#latency.received(bytes);
        },
        connected: () => this.#connected(connection),
        interrupted: (wayLost) => this.#interrupted(connection, wayLost),
        failed: (why) => this.#connectionFailed(connection, why),
      },
    );
    if (this.#connection?.wasConnected) this.#spare = connection;
    else {
      this.#dropConnection();
      this.#connection = connection;
    }
  }

  #show(track: MediaStreamTrack): void {
    if (track.kind === "audio") {
      this.#sound.attach(track);
      return;
    }
    const { video } = this.#options;
    video.muted = true; // It has no sound of its own, and only muted video starts without a click.
    const shown = video.srcObject;
    if (shown instanceof MediaStream && this.#everConnected) {
      // Within one stream the last picture of one track stays until the first of the next.
      shown.addTrack(track);
      for (const older of shown.getVideoTracks()) if (older !== track) shown.removeTrack(older);
    } else video.srcObject = new MediaStream([track]);
    // Refused or replaced by a newer track: `autoplay` starts it as soon as the browser lets it.
    void video.play().catch(() => undefined);
  }

  #connected(connection: Connection): void {
    const firstTime = !this.#everConnected;
    const before = this.#connection;
    // The machine plays for whichever connected last: so do we.
    if (connection === this.#spare) {
      this.#spare = null;
      this.#connection = connection;
      this.#latency.restart();
    } else this.#dropSpare();
    if (this.#everConnected && connection !== this.#shown) for (const track of connection.tracks) this.#show(track);
    this.#shown = connection;
    this.#everConnected = true;
    this.#silent = false;
    this.#outage = null;
    this.#repairs = 0;
    this.#ways.connected(connection);
    if (before !== connection) before?.close();
    this.#events.emit("connected", { firstTime });
  }

  /** `wayLost`: by the network; else the machine closed its end, and `ended` may follow. */
  #interrupted(connection: Connection, wayLost: boolean): void {
    if (connection !== this.#connection || this.#spare !== null) return;
    if (wayLost) this.#replace();
    this.#events.emit("interrupted", {});
  }

  /**
   * Makes another connection beside the one there is, now, or at the next welcome: its way is gone, or may be, since the
   * network changed.
   */
  #replace(): void {
    this.#signalling.probe();
    if (this.#spare !== null || !this.#connection?.wasConnected) return;
    this.#prepare();
    if (this.#signalling.isWelcome) this.#negotiate();
  }

  #inputReady(transport: Transport): void {
    this.#transport = transport;
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

  #connectionFailed(connection: Connection, why: ConnectionFailure): void {
    if (connection === this.#spare) {
      this.#dropSpare();
      if (this.#connection !== null) return; // Its own deadline, or the next silent second, decides.
    } else if (connection === this.#connection) {
      this.#dropConnection();
      if (this.#spare !== null) {
        this.#connection = this.#spare;
        this.#spare = null;
        return;
      }
    } else return; // Replaced already.
    const kind = this.#everConnected ? "connection-lost" : why;
    this.#outage ??= { sinceMs: performance.now(), kind };
    if (!this.#everConnected || this.#outageMs > retryLimits.reconnectMsMax) {
      this.#fail(kind, null);
      return;
    }
    // A new join by the resume secret, and a new offer at its welcome.
    this.#signalling.openAfter(retryDelayMs(this.#repairs++, Math.random()));
    this.#events.emit("interrupted", {});
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
    this.#nodes.next();
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
    const path = await connection.rates();
    if (path === null || connection !== this.#connection) return;
    // The machine sends a picture or sound all the time: ICE would notice seconds later that the way is gone.
    if (path.bitrateKbps > 0 && this.#silent) this.#connected(connection);
    else if (path.bitrateKbps === 0) {
      this.#silent = true;
      this.#interrupted(connection, true);
    }
    const measured = { control: this.#transport, recent: this.#latency.recent(path) };
    this.#events.emit("stats", { ...path, latency: measured.recent, verdict: verdictOf(measured) });
    const nowMs = performance.now();
    if (nowMs - this.#reportedAtMs < latencyLimits.reportMs - statsMs / 2) return;
    this.#reportedAtMs = nowMs;
    this.#signalling.report({ type: "report", ...measured, session: this.#latency.session });
  }

  #dropSpare(): void {
    this.#spare?.close();
    this.#spare = null;
  }

  #dropConnection(): void {
    this.#ways.disconnected();
    this.#connection?.close();
    this.#connection = null;
    this.#latency.restart();
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
