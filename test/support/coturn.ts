// The real coturn, with the configuration and the start script of deploy/coturn, and a secret and a certificate of its
// own. Where it listens, and what else a test wants otherwise, is said on the command line, as an operator may.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface TestTurn extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** What Hotseat's `sharedSecretFile` names. */
  readonly secretFile: string;
  /** What it printed so far. */
  readonly lines: readonly string[];
}

export interface TestTurnOptions {
  readonly host: string;
  readonly port: number;
  readonly args?: readonly string[];
  /** The command to run it by: `ip netns exec …`. */
  readonly within?: readonly string[];
}

export const turnSecrets = ["the newest secret of the test's TURN server", "an older one, still taken"] as const;

export async function startTurn({ host, port, args = [], within = [] }: TestTurnOptions): Promise<TestTurn> {
  const folder = mkdtempSync(join(tmpdir(), "hotseat-turn-"));
  const path = (name: string) => join(folder, name);
  writeFileSync(path("secret"), `${turnSecrets.join("\n")}\n`, { mode: 0o600 });
  const subject = ["-subj", "/CN=turn", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const certificate = ["req", "-x509", ...subject, "-keyout", path("key"), "-out", path("crt")];
  execFileSync("openssl", certificate, { stdio: "ignore" });
  const [command = "", ...rest] = [
    ...within,
    "deploy/coturn/turnserver.sh",
    "deploy/coturn/turnserver.conf",
    path("secret"),
    ...["--cert", path("crt"), "--pkey", path("key")],
    ...["--listening-ip", host, "--relay-ip", host, "--listening-port", String(port)],
    ...["--tls-listening-port", String(port + 1)],
    ...args,
  ];
  const child: ChildProcess = spawn(command, rest, {
    env: { ...process.env, RUNTIME_DIRECTORY: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  await new Promise<void>((ready, reject) => {
    for (const stream of [child.stdout!, child.stderr!])
      createInterface({ input: stream }).on("line", (line) => {
        lines.push(line);
        if (line.includes("Total General servers")) ready();
      });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`turnserver ended with ${code}:\n${lines.join("\n")}`)));
  });
  return {
    host,
    port,
    secretFile: path("secret"),
    lines,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGKILL");
        await once(child, "exit");
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
