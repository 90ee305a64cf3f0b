// A session's process, seen from the supervisor: typed messages over its IPC channel, and its end for certain.
//
// Nothing is assumed of it: what it says is parsed, one that does not answer in time is killed, and so is one that does
// not end within 1.5 s of being asked. Messages to a process that is gone are dropped; `exited` has said that it is. If
// the supervisor dies, the channel closes and the process ends by itself.
//
// Its environment is only what it needs: the supervisor's own may hold secrets. Where this machine allows it, it lives in
// a room of its own (room.ts).
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { readAs } from "../../contracts/read-as.js";
import { killedBy } from "../../platform/child-process.js";
import type { Log } from "../../platform/log.js";
import { type FromChild, fromChild, inRoom, type ToChildInput } from "../session/protocol.js";
import type { Room } from "./room.js";

export const endMsMax = 1_500;
const lastWordsMsMax = 500;

const program = fileURLToPath(new URL("../session/main.js", import.meta.url));
const environment = { UV_THREADPOOL_SIZE: "8" };

/** The process ended, said that it failed, or did not answer in time. */
export class SessionChildError extends Error {
  override name = "SessionChildError";
}

type Message<T extends FromChild["type"]> = Extract<FromChild, { type: T }>;

export class SessionChild {
  readonly pid: number | undefined;
  /** Resolves when the process is gone, with why. */
  readonly exited: Promise<string>;
  readonly #child: ChildProcess;
  readonly #listeners = new Set<(message: FromChild) => void>();
  #failure: string | undefined;

  constructor(
    room: Room,
    private readonly log: Log,
  ) {
    this.#child = forked(room);
    this.pid = this.#child.pid;
    this.exited = new Promise((resolve) => {
      this.#child.on("error", (error) => {
        // Emitted also for a message that could not be sent; only a process that never started emits no `exit`.
        if (this.#child.pid === undefined) resolve(`it cannot be started: ${error.message}`);
      });
      this.#child.on("exit", (code, signal) => {
        const killer = killedBy(code, signal);
        const tell = () => resolve(this.#failure ?? (killer === null ? `exit code ${code}` : `killed by ${killer}`));
        if (!this.#child.connected) return tell();
        // Its last words may still be on their way.
        this.#child.once("disconnect", tell);
        setTimeout(tell, lastWordsMsMax).unref();
      });
    });
    this.#child.on("message", (raw) => this.#receive(raw));
  }

  listen(listener: (message: FromChild) => void): void {
    this.#listeners.add(listener);
  }

  send(message: ToChildInput): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  /**
   * The first message of this type from now on.
   * @throws SessionChildError when the process ends before it, or does not say it in time; it is killed then.
   */
  async next<T extends FromChild["type"]>(type: T, msMax: number): Promise<Message<T>> {
    let listener: ((message: FromChild) => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<Message<T>>((resolve, reject) => {
        listener = (message) => {
          if (isOfType(message, type)) resolve(message);
        };
        this.#listeners.add(listener);
        timer = setTimeout(() => {
          this.#failure ??= `it was not ${type} within ${msMax} ms`;
          this.#child.kill("SIGKILL");
        }, msMax);
        void this.exited.then((why) => reject(new SessionChildError(why)));
      });
    } finally {
      clearTimeout(timer);
      if (listener !== undefined) this.#listeners.delete(listener);
    }
  }

  /** Asks it to end, then kills it; resolves when it is gone. */
  async end(): Promise<void> {
    this.send({ type: "stop" });
    const insist = setTimeout(() => this.#child.kill("SIGKILL"), endMsMax);
    await this.exited;
    clearTimeout(insist);
  }

  #receive(raw: unknown): void {
    const message = readAs(fromChild, raw);
    if (!message.success) {
      this.log.error({ err: message.error, pid: this.pid }, "a session's process says what the protocol does not know");
      return;
    }
    if (message.data.type === "failed") this.#failure = message.data.detail;
    for (const listener of this.#listeners) listener(message.data);
  }
}

/**
 * In a room it is out of our process group: a signal to the group would end the room before it could close, and our own
 * end takes the room along anyway.
 */
function forked(room: Room): ChildProcess {
  const options = { serialization: "advanced", env: environment } as const;
  if (room.command === null) return fork(program, [], { ...options, execArgv: [] });
  const [execPath, ...execArgv] = [...room.command, process.execPath];
  return fork(program, [inRoom], { ...options, execPath, execArgv, detached: true });
}

const isOfType = <T extends FromChild["type"]>(message: FromChild, type: T): message is Message<T> =>
  message.type === type;
