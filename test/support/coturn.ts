// The real coturn, with the configuration and the start script of deploy/coturn, and a secret and a certificate of its
// own. Where it listens, and what else a test wants otherwise, is said on the command line, as an operator may.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  /** Without, one that is its alone. */
  readonly certificate?: TestCertificate;
  /** The command to run it by: `ip netns exec …`. */
  readonly within?: readonly string[];
}

export const turnSecrets = ["the newest secret of the test's TURN server", "an older one, still taken"] as const;

/** Vouched for by nobody. */
export interface TestCertificate extends Disposable {
  readonly keyFile: string;
  readonly file: string;
  /** SHA-256 of its public key, base64: what Chromium's `--ignore-certificate-errors-spki-list` takes. */
  readonly keyHash: string;
}

export function makeCertificate(): TestCertificate {
  const folder = mkdtempSync(join(tmpdir(), "hotseat-certificate-"));
  const [keyFile, file] = [join(folder, "key"), join(folder, "crt")];
  const subject = ["-subj", "/CN=turn", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  execFileSync("openssl", ["req", "-x509", ...subject, "-keyout", keyFile, "-out", file], { stdio: "ignore" });
  const key = new X509Certificate(readFileSync(file)).publicKey.export({ type: "spki", format: "der" });
  return {
    keyFile,
    file,
    keyHash: createHash("sha256").update(key).digest("base64"),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export async function startTurn(options: TestTurnOptions): Promise<TestTurn> {
  const { host, port, args = [], within = [] } = options;
  const folder = mkdtempSync(join(tmpdir(), "hotseat-turn-"));
  const path = (name: string) => join(folder, name);
  writeFileSync(path("secret"), `${turnSecrets.join("\n")}\n`, { mode: 0o600 });
  const certificate = options.certificate ?? makeCertificate();
  const [command = "", ...rest] = [
    ...within,
    "deploy/coturn/turnserver.sh",
    "deploy/coturn/turnserver.conf",
    path("secret"),
    ...["--cert", certificate.file, "--pkey", certificate.keyFile],
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
      if (options.certificate === undefined) certificate[Symbol.dispose]();
    },
  };
}
