// The sessions of this VM: which run, who plays them, and what became of them.
//
// Each runs in a process of its own, so that a crash in an add-on or a game costs one session. A session whose process
// dies is reported as stream-failed and never started again by itself: the player hears of it, and the control plane
// decides. Per session one connection signals and one carries input by WebSocket; the newest wins, and the one before
// is told so. Media and input by data channel flow beside all this, and go on when a connection here ends. When the link
// to ingest was away, ingest joins its connections again by their ids: the same join is answered anew, not refused. What
// a page and its session say to each other is numbered on a line (page-line.ts), whichever connection carries it.
import type { SeatSpec } from "../../contracts/orchestrator.js";
import type { FromAgent, StreamInfo, ToAgent } from "../../contracts/signalling.js";
import { fitted } from "../../contracts/text.js";
import type { Clock } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import type { FromChild } from "../session/protocol.js";
import { PageLine, type Signal } from "./page-line.js";
import { plan, type SessionPhase } from "./plan.js";
import type { SessionChild } from "./session-child.js";
import { ResumeSecret, UsedTickets } from "./tickets.js";

type Join = Extract<ToAgent, { type: "join" }>;
type Channel = Join["channel"];
type Refusal = Extract<FromAgent, { type: "refused" }>["reason"];
type Report = Extract<FromAgent, { type: "session" }>;
type SessionState = Report["state"];

/** After these the session has nothing left to run. */
const finalStates: ReadonlySet<SessionState> = new Set(["left", "game-exited", "stream-failed"]);

/** Far above what it takes from a spare: a game may be slow to open, on a machine that is busy. */
const startMsMax = 20_000;

const detailCharsMax = 500;

interface Run {
  readonly seat: SeatSpec;
  readonly child: SessionChild;
  /** The newest. Null when it ended before it could be played. */
  stream: Promise<StreamInfo | null>;
  readonly resume: ResumeSecret;
  readonly connections: Map<Channel, string>;
  /** Of the page that joined last; null when that numbers nothing. */
  line: PageLine | null;
  phase: SessionPhase;
  /** Whether a seat may still be listed for it when its process has gone. */
  seated: boolean;
  report: Report | null;
}

interface Joined {
  readonly run: Run;
  readonly channel: Channel;
  readonly proof: Join["proof"];
  readonly line: PageLine | null;
}

const lineIdBytes = 12;

export interface SessionsContext {
  /** A process that was told to start the seat. */
  readonly launch: (seat: SeatSpec) => SessionChild;
  readonly send: (message: FromAgent) => void;
  /** Asks the control plane once more what must run. */
  readonly refresh: () => Promise<void>;
  readonly random: (bytes: number) => Buffer;
  readonly clock: Clock;
  readonly log: Log;
}

export class Sessions {
  readonly #runs = new Map<string, Run>();
  readonly #byConnection = new Map<string, Joined>();
  readonly #usedTickets = new UsedTickets();

  constructor(private readonly context: SessionsContext) {}

  /** The sessions that have a process. */
  running(): string[] {
    return [...this.#runs.values()].filter(({ phase }) => phase !== "over").map(({ seat }) => seat.sessionId);
  }

  /** Whether a player is connected anywhere. */
  playing(): boolean {
    return [...this.#runs.values()].some(({ phase, report }) => phase === "running" && report?.state === "connected");
  }

  /** The newest state of each session: said again on every new link, the one before may have lost it on its way. */
  reports(): Report[] {
    return [...this.#runs.values()].flatMap(({ report }) => report ?? []);
  }

  /** Makes the VM run these seats, and nothing else. */
  apply(seats: readonly SeatSpec[]): void {
    const known = new Map([...this.#runs].map(([sessionId, { phase }]) => [sessionId, phase]));
    const { start, stop, forget } = plan(seats, known);
    for (const seat of start) this.#start(seat);
    for (const sessionId of stop) this.#withdraw(sessionId);
    for (const sessionId of forget) this.#forget(sessionId);
  }

  /** Acts on a message of the link. */
  receive(message: Exclude<ToAgent, { type: "ping" }>): void {
    switch (message.type) {
      case "join":
        this.#join(message).catch((err: unknown) => {
          this.context.log.error({ err, sessionId: message.sessionId }, "a join failed");
          this.#refuse(message.connectionId, "session-failed", "The session cannot be joined.");
        });
        break;
      case "signal": {
        const found = this.#signalledBy(message);
        // Who signals has the answer to its join, and so its newest resume secret.
        found?.run.resume.confirm();
        if (found === null || !this.#isNew(found, message)) break;
        const connectionId = found.line?.peerId ?? message.connectionId;
        const number = message.message.type === "offer" && message.seq !== undefined ? { number: message.seq } : {};
        found.run.child.send({ ...message.message, connectionId, ...number });
        break;
      }
      case "ack":
        this.#hearAck(message.connectionId, message.received);
        break;
      case "ice-servers": {
        const { connectionId, iceServers } = message;
        const found = this.#byConnection.get(connectionId);
        found?.run.child.send({ type: "ice-servers", connectionId: found.line?.peerId ?? connectionId, iceServers });
        break;
      }
      case "bye": {
        const found = this.#signalledBy(message);
        if (found !== null && this.#isNew(found, message)) this.#report(found.run, "left");
        break;
      }
      case "gone":
        this.#leave(message.connectionId);
        break;
    }
  }

  /** What a signalling connection has joined; one that has not, or not this session, is refused. */
  #signalledBy({ sessionId, connectionId }: { sessionId: string; connectionId: string }): Joined | null {
    const found = this.#byConnection.get(connectionId);
    if (found?.channel === "signalling" && found.run.seat.sessionId === sessionId) return found;
    this.#refuse(connectionId, "no-such-session", "This connection has not joined the session here.");
    return null;
  }

  /** False for what was heard before, and for what follows a loss and will come again. */
  #isNew({ line }: Joined, { connectionId, seq }: { connectionId: string; seq?: number | undefined }): boolean {
    if (line === null || seq === undefined) return true;
    if (!line.hear(seq)) return false;
    this.context.send({ type: "ack", connectionId, received: line.state.received });
    return true;
  }

  /** Input of a control connection; of any other it is dropped, like input after the end. */
  receiveControl(connectionId: string, input: Uint8Array): void {
    const found = this.#byConnection.get(connectionId);
    if (found?.channel === "control") found.run.child.send({ type: "control", input: new Uint8Array(input) });
  }

  /** Ends every session; resolves when all processes are gone. */
  async end(): Promise<void> {
    await Promise.all(
      [...this.#runs.values()].map((run) => {
        run.phase = "closing";
        return run.child.end();
      }),
    );
  }

  #start(seat: SeatSpec): void {
    const { launch, random, log } = this.context;
    const { sessionId, gameId } = seat;
    const child = launch(seat);
    const run: Run = {
      seat,
      child,
      stream: child.next("started", startMsMax).then(
        ({ stream }) => stream,
        () => null,
      ),
      resume: new ResumeSecret(random),
      connections: new Map(),
      line: null,
      phase: "running",
      seated: true,
      report: null,
    };
    this.#runs.set(sessionId, run);
    child.listen((message) => this.#hear(run, message));
    void child.exited.then((why) => this.#exited(run, why));
    log.info({ sessionId, gameId, pid: child.pid }, "session starts");
  }

  #hear(run: Run, message: FromChild): void {
    const { log } = this.context;
    switch (message.type) {
      case "started":
        log.info({ sessionId: run.seat.sessionId, ...message.stream }, "session runs");
        for (const note of message.notes)
          log.warn({ sessionId: run.seat.sessionId, note }, "the game lacks something here");
        break;
      case "stream":
        log.info({ sessionId: run.seat.sessionId, ...message.stream }, "the stream has changed");
        this.#tellStream(run, message.stream);
        break;
      case "state":
        this.#report(run, message.state, message.detail);
        break;
      case "refused":
        this.#refuseOwn(run, this.#endLine(run, message.connectionId), message.reason, message.detail);
        break;
      case "answer":
      case "candidate": {
        const { connectionId, ...signal } = message;
        this.#signal(run, connectionId, signal);
        break;
      }
      case "prepared":
      case "probed":
      case "ready":
      case "failed": // Its exit, with the same words, follows.
        break;
    }
  }

  /** What the session's process says to a page it knows by `peerId`. */
  #signal(run: Run, peerId: string, message: Signal): void {
    const { send, log } = this.context;
    const { line } = run;
    if (line?.peerId !== peerId) {
      const found = this.#byConnection.get(peerId);
      if (found?.run === run && found.line === null) send({ type: "signal", connectionId: peerId, message });
      return;
    }
    const seq = line.say(message);
    if (seq === null) {
      log.warn({ sessionId: run.seat.sessionId }, "too much is unacked: the page's line is given up");
      this.#refuse(this.#endLine(run, peerId), "session-failed", "Acks are missing: connect again.");
    } else if (line.carrier !== null) send({ type: "signal", connectionId: line.carrier, message, seq });
  }

  #hearAck(connectionId: string, received: number): void {
    const line = this.#byConnection.get(connectionId)?.line;
    if (!line) return;
    const again = line.hearAck(received);
    if (line.carrier !== connectionId) return;
    for (const { seq, message } of again) this.context.send({ type: "signal", connectionId, message, seq });
  }

  /** The process knows that page no more, or wants no more of it: the connection to be told. */
  #endLine(run: Run, peerId: string): string {
    const { line } = run;
    if (line?.peerId !== peerId) return peerId;
    run.line = null;
    return line.carrier ?? peerId;
  }

  #tellStream(run: Run, stream: StreamInfo): void {
    run.stream = Promise.resolve(stream);
    const connectionId = run.connections.get("signalling");
    if (connectionId !== undefined) this.context.send({ type: "stream", connectionId, stream });
  }

  async #join(join: Join): Promise<void> {
    const { sessionId, connectionId, channel, iceServers } = join;
    if (!this.#runs.has(sessionId)) await this.context.refresh();
    const run = this.#runs.get(sessionId);
    if (run === undefined || !run.seated)
      return this.#refuse(connectionId, "no-such-session", "The session has no seat on this VM.");
    if (run.phase !== "running") return this.#refuse(connectionId, "session-failed", "The session is over.");
    const admitted = this.#admit(run, join);
    if ("refused" in admitted) return this.#refuse(connectionId, admitted.refused, admitted.detail);
    const known = this.#byConnection.get(connectionId)?.run === run;
    const line = this.#attach(run, join);
    const stream = await run.stream;
    // Meanwhile its socket may have closed, or another connection have taken its place.
    const joined = this.#byConnection.get(connectionId);
    if (joined?.run !== run || joined.line !== line) return;
    if (stream === null) return this.#refuse(connectionId, "session-failed", "The session could not be started.");
    if (channel === "signalling") {
      const peerId = line?.peerId ?? connectionId;
      const isNewPeer = !known && peerId === connectionId;
      run.child.send({ type: isNewPeer ? "connect" : "ice-servers", connectionId: peerId, iceServers });
    }
    this.context.send({
      type: "joined",
      connectionId,
      resume: admitted.resume,
      stream,
      ...(line !== null && { line: line.state }),
    });
    if (line === null) return;
    line.carrier = connectionId;
    for (const { seq, message } of line.unacked) this.context.send({ type: "signal", connectionId, message, seq });
  }

  /** The resume secret a join is answered with, or why it is refused. */
  #admit(run: Run, { connectionId, channel, proof }: Join): { resume: string } | { refused: Refusal; detail: string } {
    const { resume } = run;
    const before = this.#byConnection.get(connectionId);
    const again = before?.run === run && before.channel === channel ? before.proof : null;
    if ("resume" in proof) {
      const presented = proof.resume;
      const stays = channel === "control" ? resume.check(presented) : again !== null && resume.isNewest(presented);
      const next = stays ? presented : channel === "signalling" ? resume.rotate(presented) : null;
      if (next !== null) return { resume: next };
      return { refused: "resume-wrong", detail: "Another has joined since, or this was never this session's secret." };
    }
    if (channel === "control") return { refused: "resume-wrong", detail: "The control channel takes a resume secret." };
    if (again !== null && "jti" in again && again.jti === proof.jti) return { resume: resume.issue() };
    if (!this.#usedTickets.consume(proof.jti, proof.expiresAt, this.context.clock.now()))
      return { refused: "ticket-used", detail: "This ticket has been used: ask for a fresh one." };
    for (const its of run.connections.values()) if (its !== connectionId) this.#takeOver(its);
    return { resume: resume.issue() };
  }

  /** The line it is on from now on, if any. */
  #attach(run: Run, join: Join): PageLine | null {
    const { connectionId, channel, proof } = join;
    const before = run.connections.get(channel);
    if (before !== undefined && before !== connectionId) this.#takeOver(before);
    const line = channel === "control" ? null : this.#lineOf(run, join);
    if (channel === "signalling") run.line = line;
    run.connections.set(channel, connectionId);
    this.#byConnection.set(connectionId, { run, channel, proof, line });
    return line;
  }

  /** The line the page goes on with, or another when it knows none that is known here. */
  #lineOf(run: Run, { connectionId, line: its }: Join): PageLine | null {
    if (its === undefined) return null;
    const { line } = run;
    // The same join again: its first answer may not have arrived.
    const again = line !== null && this.#byConnection.get(connectionId)?.line === line;
    if (line !== null && (again || its?.id === line.id)) {
      if (its?.id === line.id) line.acknowledge(its.received);
      return line;
    }
    return new PageLine(this.context.random(lineIdBytes).toString("base64url"), connectionId);
  }

  #takeOver(connectionId: string): void {
    this.#refuse(connectionId, "taken-over", "The session is played from another connection now.");
  }

  /** What one session's process says reaches its own connections alone. */
  #refuseOwn(run: Run, connectionId: string, reason: Refusal, detail: string): void {
    if (this.#byConnection.get(connectionId)?.run === run) this.#refuse(connectionId, reason, detail);
  }

  #refuse(connectionId: string, reason: Refusal, detail: string): void {
    this.#leave(connectionId);
    this.context.send({ type: "refused", connectionId, reason, detail: fitted(detail, detailCharsMax) });
  }

  #leave(connectionId: string): void {
    const found = this.#byConnection.get(connectionId);
    if (found === undefined) return;
    this.#byConnection.delete(connectionId);
    if (found.line?.carrier === connectionId) found.line.carrier = null;
    if (found.run.connections.get(found.channel) === connectionId) found.run.connections.delete(found.channel);
  }

  #report(run: Run, state: SessionState, detail?: string): void {
    if (run.phase !== "running") return;
    const { sessionId } = run.seat;
    this.context.log.info({ sessionId, state, detail }, "session state");
    run.report = { type: "session", sessionId, state, detail: detail && fitted(detail, detailCharsMax) };
    this.context.send(run.report);
    if (finalStates.has(state)) this.#close(run);
  }

  #withdraw(sessionId: string): void {
    const run = this.#runs.get(sessionId);
    if (run === undefined) return;
    this.context.log.info({ sessionId }, "the session's seat is withdrawn");
    run.seated = false;
    this.#close(run);
  }

  #close(run: Run): void {
    run.phase = "closing";
    void run.child.end();
  }

  #exited(run: Run, why: string): void {
    const { sessionId } = run.seat;
    if (run.phase === "running") {
      this.context.log.error({ sessionId, why }, "a session's process died");
      this.#report(run, "stream-failed", `The session's process ended: ${why}.`);
    }
    run.phase = "over";
    if (!run.seated) this.#forget(sessionId);
  }

  #forget(sessionId: string): void {
    for (const its of this.#runs.get(sessionId)?.connections.values() ?? []) this.#byConnection.delete(its);
    this.#runs.delete(sessionId);
  }
}
