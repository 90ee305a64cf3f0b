// A real game in a room of its own, as a session's process would have it, without the stream around it.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import { findRoom } from "../../src/agent/supervisor/room.js";
import type { GameProgram, VideoMode, X11Program } from "../../src/contracts/catalog.js";
import type { GameInput, KeyCode } from "../../src/contracts/input.js";
import { listProcesses } from "../../src/platform/process-identity.js";

const program = join(import.meta.dirname, "../system/run-x11-game.mjs");
const lookEveryMs = 50;
const mode: VideoMode = { width: 1280, height: 720, fps: 60 };

export class X11Room {
  readonly process: ChildProcess;
  readonly #answers = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  #asked = 0;

  private constructor(command: readonly string[]) {
    const [execPath, ...execArgv] = [...command, process.execPath];
    this.process = fork(program, [], { serialization: "advanced", execPath, execArgv, detached: true });
    this.process.on("message", (message: { id: number; result?: unknown; error?: string }) => {
      const { resolve, reject } = this.#answers.get(message.id)!;
      this.#answers.delete(message.id);
      if (message.error === undefined) resolve(message.result);
      else reject(new Error(message.error));
    });
  }

  static async make(): Promise<X11Room> {
    const room = await findRoom();
    if (room.command === null) throw new Error(room.missing);
    return new X11Room(room.command);
  }

  static async with(game: X11Program, title = "The game"): Promise<X11Room> {
    const room = await X11Room.make();
    await room.#ask("open", { title, program: game, mode });
    return room;
  }

  missing = (programs: readonly GameProgram[]) => this.#ask<Record<string, string>>("missing", programs);
  input = (event: GameInput) => this.#ask<void>("input", event);
  draw = () => this.#ask<Uint8Array>("draw");
  rest = () => this.#ask<void>("rest");
  notes = () => this.#ask<readonly string[]>("notes");
  exited = () => this.#ask<string>("exited");
  close = () => this.#ask<void>("close");

  /** The loudest of the next 20 ms. */
  async loudness(): Promise<number> {
    const samples = await this.#ask<Int16Array>("sound", 1_920);
    return samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
  }

  /** Draws again and again, slowly enough for the game to have the machine, until `look` sees what it looks for. */
  async sees<T>(look: (picture: Picture) => T | undefined): Promise<T> {
    for (;;) {
      const seen = look(new Picture(await this.draw()));
      if (seen !== undefined) return seen;
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
  }

  /** Not long enough for the display to repeat it. */
  async press(code: KeyCode): Promise<void> {
    await this.input({ kind: "key", code, down: true });
    await this.input({ kind: "key", code, down: false });
  }

  /** Holds a key while it looks. */
  async holding<T>(code: KeyCode, look: (picture: Picture) => T | undefined): Promise<T> {
    await this.input({ kind: "key", code, down: true });
    try {
      return await this.sees(look);
    } finally {
      await this.input({ kind: "key", code, down: false });
    }
  }

  /** Every process that lives in the room, and the room's own. */
  processes(): number[] {
    const all = listProcesses();
    const under = (pid: number): number[] =>
      all.filter(({ parent }) => parent === pid).flatMap((child) => [child.pid, ...under(child.pid)]);
    return [this.process.pid!, ...under(this.process.pid!)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exit = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exit;
  }

  #ask<T>(verb: string, argument?: unknown): Promise<T> {
    const id = this.#asked++;
    return new Promise<unknown>((resolve, reject) => {
      this.#answers.set(id, { resolve, reject });
      this.process.send({ id, verb, argument });
    }) as Promise<T>;
  }
}

export class Picture {
  constructor(private readonly i420: Uint8Array) {}

  /** How much of a rectangle, 0–1, is of such colours. */
  share(
    x: number,
    y: number,
    width: number,
    height: number,
    such: (y: number, u: number, v: number) => boolean,
  ): number {
    const { width: w, height: h } = mode;
    let found = 0;
    for (let row = y; row < y + height; row += 2)
      for (let column = x; column < x + width; column += 2) {
        const chroma = w * h + (row >> 1) * (w >> 1) + (column >> 1);
        if (such(this.i420[row * w + column]!, this.i420[chroma]!, this.i420[chroma + ((w * h) >> 2)]!)) found++;
      }
    return found / (Math.ceil(width / 2) * Math.ceil(height / 2));
  }

  /** Where the bright pixels of a rectangle are, on average; null when there are hardly any. */
  brightX(x: number, y: number, width: number, height: number): number | null {
    let count = 0;
    let sum = 0;
    for (let row = y; row < y + height; row++)
      for (let column = x; column < x + width; column++)
        if (this.i420[row * mode.width + column]! > 150) {
          count++;
          sum += column;
        }
    return count < 100 ? null : sum / count;
  }
}

/** Resolves once none of them lives: nobody announces that. */
export async function gone(pids: readonly number[]): Promise<void> {
  while (listProcesses().some(({ pid }) => pids.includes(pid))) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** To run something on the same machine without this program on it; what runs is the process itself, no wrapper. */
export const withoutProgram = (path: string): string[] => {
  const own = process.getuid!() === 0 ? [] : ["--user", "--map-current-user", "--keep-caps"];
  const hide = `mount --bind /dev/null ${path} && exec setpriv --ambient-caps=-all --inh-caps=-all "$@"`;
  return ["/usr/bin/unshare", ...own, "--mount", "/bin/sh", "-c", hide, "sh"];
};

/**
 * To run something as this user where it can read this checkout, which may lie in a folder of root's own. By root; what runs
 * is the process itself, no wrapper.
 */
export const asUser = (uid: number): string[] => {
  // The folder is covered by one that everybody may enter; from within, its parts are still in reach, as long as `mount`
  // does not make their paths whole (-c).
  const open = `cd "$0" && mount -t tmpfs -o mode=755 none "$0" && cp package.json "$0" &&
    for part in */; do mkdir "$0/$part" && mount -c --bind "./$part" "$0/$part" || exit; done && cd / && exec "$@"`;
  const checkout = resolve(import.meta.dirname, "../..");
  const user = ["/usr/bin/setpriv", "--reuid", `${uid}`, "--regid", `${uid}`, "--clear-groups"];
  return ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", open, checkout, ...user];
};
