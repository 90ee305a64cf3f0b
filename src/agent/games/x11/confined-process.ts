// A program running in the session's sandbox, in a process group of its own: it can be stopped, continued and killed with
// everything it started.
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { killedBy } from "../../../platform/child-process.js";
import { type Confined, confine, type Sandbox } from "./sandbox.js";

export interface Exit {
  /** Null: a signal ended it. */
  readonly code: number | null;
  /** In words: "exit code 1", "SIGSEGV", and the last thing it said. */
  readonly words: string;
}

const lastWordsCharsMax = 200;

export class ConfinedProcess {
  /** Resolves when it is gone; never rejects. */
  readonly exited: Promise<Exit>;
  /** What it writes to its stdout. */
  readonly output: Readable;
  /** What it writes to its descriptor 3. */
  readonly report: Readable;
  readonly #child: ChildProcess;
  #lastWords = "";

  constructor(sandbox: Sandbox, confined: Confined) {
    const [program = "", ...args] = confine(sandbox, confined);
    this.#child = spawn(program, args, { detached: true, env: {}, stdio: ["ignore", "pipe", "pipe", "pipe"] });
    const [, output, complaints, report] = this.#child.stdio as unknown as [null, Readable, Readable, Readable];
    this.output = output;
    this.report = report;
    complaints.setEncoding("utf8").on("data", (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-lastWordsCharsMax);
    });
    this.exited = new Promise((resolve) => {
      this.#child.once("error", (error) => resolve({ code: 127, words: error.message }));
      this.#child.once("close", (code, signal) => resolve(this.#exit(code, signal)));
    });
  }

  /** Everything in its group stands still, or goes on. */
  signal(signal: "SIGSTOP" | "SIGCONT" | "SIGKILL"): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    process.kill(-pid, signal);
  }

  /** Kills it; resolves when it is gone. */
  async end(): Promise<void> {
    this.signal("SIGKILL");
    await this.exited;
  }

  #exit(code: number | null, signal: NodeJS.Signals | null): Exit {
    const killer = killedBy(code, signal);
    const how = killer ?? `exit code ${code}`;
    const said = this.#lastWords.trim().split("\n").at(-1);
    return { code: killer === null ? code : null, words: said ? `${how}: ${said}` : how };
  }
}
