// A session's process as the supervisor forks it, told what to do by a bench instead: so that it runs at a mode which
// this machine's probe would not promise.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type FromChild, fromChild, type ToChildInput } from "../../src/agent/session/protocol.js";
import type { VideoMode } from "../../src/contracts/catalog.js";
import type { WebRtcSink } from "./webrtc-sink.js";

const program = fileURLToPath(new URL("../agent/session/main.js", import.meta.url));
const startMsMax = 60_000;

export class DrivenSession implements AsyncDisposable {
  readonly pid: number;
  /** What it runs at in truth: a machine that is too busy steps down. */
  mode: VideoMode;
  readonly #child: ChildProcess;
  #connections = 0;

  private constructor(child: ChildProcess, mode: VideoMode) {
    this.#child = child;
    this.pid = child.pid!;
    this.mode = mode;
    child.on("message", (raw) => {
      const message = fromChild.parse(raw);
      if (message.type === "started" || message.type === "stream") this.mode = message.stream.mode;
    });
  }

  /** Begins at exactly this mode. */
  static async start(options: {
    gameId: string;
    mode: VideoMode;
    bitrateKbpsMin: number;
    bitrateKbpsMax: number;
    execArgv?: string[];
  }): Promise<DrivenSession> {
    const { mode, execArgv = [], ...seat } = options;
    const child = fork(program, [], { serialization: "advanced", execArgv, env: { UV_THREADPOOL_SIZE: "8" } });
    const session = new DrivenSession(child, mode);
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
