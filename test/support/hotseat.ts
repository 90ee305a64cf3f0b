// Runs the real `hotseat` as a person would: a child process, a data folder of its own, and a count of what it leaves.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { commandLine, listProcesses } from "../../src/platform/process-identity.js";

export const cli = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface RunningHotseat extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly dataDir: string;
  /** Lines printed so far. */
  readonly lines: readonly string[];
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** The printed link, with the key in its fragment. */
  readonly link: string;
  /** An API key from the installation's secrets file. */
  key(scope: "operate" | "session" | "read" | "service"): string;
  /** Every live process that descends from this start, also the detached ones. */
  processes(): { pid: number; command: string }[];
  /** Ctrl-C; resolves with the exit code. */
  interrupt(): Promise<number | null>;
  kill(): Promise<void>;
}

/** Starts `hotseat up` and resolves once it has printed its link. The data folder is removed on dispose unless given. */
export async function startUp(
  options: {
    args?: string[];
    dataDir?: string;
    settings?: Settings;
    port?: number;
    /** The command to run it by: `ip netns exec …`. */
    within?: readonly string[];
  } = {},
): Promise<RunningHotseat> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), "hotseat-"));
  const mark = randomUUID();
  const settings = join(dataDir, "test-settings.json");
  writeFileSync(settings, JSON.stringify(withMark(options.settings ?? {}, mark)));
  const args = ["--port", String(options.port ?? 0), "--data", dataDir, "--config", settings, ...(options.args ?? [])];
  const [command = "", ...before] = [...(options.within ?? []), process.execPath];
  const child = spawn(command, [...before, cli, "up", ...args], {
    env: { ...process.env, HOTSEAT_TEST_MARK: mark },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const census = new ProcessCensus(mark, dataDir);
  const exited = once(child, "exit");
  const lines: string[] = [];
  const link = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on("line", (line) => {
        lines.push(line);
        const found = /https?:\/\/\S+#key=\S+/.exec(line)?.[0];
        if (found !== undefined) resolve(found);
      });
    child.once("exit", (code) => reject(new Error(`hotseat up exited with ${code}:\n${lines.join("\n")}`)));
  });
  return {
    child,
    dataDir,
    lines,
    link,
    url: new URL(link).origin,
    key(scope) {
      const secrets = JSON.parse(readFileSync(join(dataDir, "secrets.json"), "utf8"));
      return secrets.keys.find((key: { scope: string }) => key.scope === scope).key;
    },
    processes: () => census.count(),
    async interrupt() {
      child.kill("SIGINT");
      const [code] = await exited;
      return code;
    },
    async kill() {
      child.kill("SIGKILL");
      await exited;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGINT");
        await exited;
      }
      for (const { pid } of census.count()) process.kill(pid, "SIGKILL");
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

type Settings = Record<string, Record<string, unknown>>;

/** Local agents get a clean environment, so the mark is named in the settings. */
export const withMark = (settings: Settings, mark: string): Settings => ({
  ...settings,
  orchestrator: { agentEnvironment: { PATH: process.env.PATH, HOTSEAT_TEST_MARK: mark }, ...settings.orchestrator },
});

/**
 * Everything alive that belongs to one start: what carries its mark or names its folder, what descends from that, and
 * what is in a process group that was ever its: an orphan keeps its group.
 */
export class ProcessCensus {
  readonly #groups = new Set<number>();

  constructor(
    private readonly mark: string,
    private readonly folder: string,
  ) {}

  count(): { pid: number; command: string }[] {
    const rows = listProcesses();
    const own = rows.find(({ pid }) => pid === process.pid)!.group;
    const ours = new Set(
      rows.filter(({ pid, group }) => this.#groups.has(group) || this.#isNamed(pid)).map(({ pid }) => pid),
    );
    for (let before = -1; before !== ours.size; ) {
      before = ours.size;
      for (const { pid, parent } of rows) if (ours.has(parent)) ours.add(pid);
    }
    const found = rows.filter(({ pid }) => ours.has(pid));
    for (const { group } of found) if (group !== own) this.#groups.add(group);
    return found.map(({ pid }) => ({ pid, command: commandLine(pid) ?? "" }));
  }

  #isNamed(pid: number): boolean {
    try {
      return (
        readFileSync(`/proc/${pid}/environ`, "latin1").includes(`HOTSEAT_TEST_MARK=${this.mark}`) ||
        readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(this.folder)
      );
    } catch {
      return false;
    }
  }
}

/** Polls until `check` gives something other than undefined; for facts no event tells of. */
export async function until<T>(
  what: string,
  check: () => T | undefined | Promise<T | undefined>,
  msMax = 20_000,
): Promise<T> {
  const deadline = performance.now() + msMax;
  for (;;) {
    const value = await check();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${msMax} ms`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
