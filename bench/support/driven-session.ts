// A session's process, told what to do by a bench instead of a supervisor: so that it runs at a mode which this machine's
// probe would not promise, and stays there. It differs from the product's (session/main.ts) in that alone: what it has no
// time for, or what the path is short of, makes it skip frames or bits, never step down.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { openerOfGames } from "../../src/agent/games/open-game.js";
import { type FromChild, fromChild, type ToChildInput } from "../../src/agent/session/protocol.js";
import type { VideoMode } from "../../src/contracts/catalog.js";
import { runSessionProcess } from "./bench-session.js";
import type { WebRtcSink } from "./webrtc-sink.js";

/** The argument by which a bench's file is run as such a process. */
export const sessionMode = "--session";
const startMsMax = 60_000;

export class DrivenSession implements AsyncDisposable {
  readonly pid: number;
  readonly #child: ChildProcess;
  #connections = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid!;
  }

  /** Runs the game at exactly this mode. */
  static async start(options: {
    gameId: string;
    mode: VideoMode;
    bitrateKbpsMin: number;
    bitrateKbpsMax: number;
  }): Promise<DrivenSession> {
    const { mode, ...seat } = options;
    const child = fork(process.argv[1]!, [sessionMode], {
      serialization: "advanced",
      execArgv: [],
      env: { UV_THREADPOOL_SIZE: "8" },
    });
    const session = new DrivenSession(child);
    session.#tell({
      type: "start",
      seat: {
        ...seat,
        mode,
        sessionId: "driven",
        presetId: "default-standard",
        title: seat.gameId,
        pointer: "relative",
        idleMs: 3_600_000,
      },
      capabilities: { encoder: "libx264", pixelsPerSecond: 1e9, sustains: mode, sessionsMax: 1 },
      network: { bindAddress: "127.0.0.1" },
    });
    await session.#hears((message) => message.type === "started");
    return session;
  }

  /** Media flows to the sink when it resolves; closing the sink pauses the game, once the session has noticed. */
  async playInto(sink: WebRtcSink): Promise<() => Promise<void>> {
    const connectionId = `sink-${++this.#connections}`;
    const carry = (raw: unknown) => {
      const message = fromChild.parse(raw);
      if ((message.type === "answer" || message.type === "candidate") && message.connectionId === connectionId)
        sink.receive(message);
    };
    this.#child.on("message", carry);
    this.#tell({ type: "connect", connectionId, iceServers: [] });
    const connected = this.#hears((message) => message.type === "state" && message.state === "connected");
    sink.carry((signal) => this.#tell({ ...signal, connectionId }));
    await connected;
    return async () => {
      this.#child.off("message", carry);
      const paused = this.#hears((message) => message.type === "state" && message.state === "disconnected");
      this.#tell({ type: "disconnect", connectionId, bye: false });
      await paused;
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    if (this.#child.connected) this.#tell({ type: "stop" });
    await exited;
  }

  #tell(message: ToChildInput): void {
    this.#child.send(message);
  }

  #hears(matches: (message: FromChild) => boolean): Promise<FromChild> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => done(new Error(`a session said nothing of it in ${startMsMax} ms`)), startMsMax);
      const done = (outcome: FromChild | Error) => {
        clearTimeout(late);
        this.#child.off("message", listen).off("exit", ended);
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      };
      const ended = (code: number | null) => done(new Error(`the session ended with ${code}`));
      const listen = (raw: unknown) => {
        const message = fromChild.parse(raw);
        if (message.type === "failed" || message.type === "refused") done(new Error(message.detail));
        else if (matches(message)) done(message);
      };
      this.#child.on("message", listen).on("exit", ended);
    });
  }
}

/** The session's own process; resolves when it was told to stop. */
export const runDrivenSession = (): Promise<void> =>
  runSessionProcess({
    games: openerOfGames({ inRoom: false, seed: 1, random: Math.random }),
    steps: (mode, kbpsMin) => [{ mode, kbpsMin }],
    cores: availableParallelism(),
  });
