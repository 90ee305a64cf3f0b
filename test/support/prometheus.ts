// The real promtool and Prometheus, unpacked by scripts/setup.mjs.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { freePort } from "./free-port.js";

const prometheus =
  process.env.PROMETHEUS_PATH ?? fileURLToPath(new URL("../../.tools/usr/bin/prometheus", import.meta.url));

/** `output` is what it said on both streams, the exit code `code`. */
export async function promtool(args: readonly string[], input = ""): Promise<{ code: number | null; output: string }> {
  const child = spawn(join(dirname(prometheus), "promtool"), args);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  child.stdin.end(input);
  const [code] = await once(child, "close");
  return { code, output };
}

export interface TestPrometheus extends AsyncDisposable {
  /** The `data` of an answer of its HTTP API, `/api/v1/` left out of the path. */
  get(path: string, query?: Record<string, string>): Promise<unknown>;
}

/** Ready to answer; its data goes to `dataDir`. */
export async function startPrometheus(configFile: string, dataDir: string): Promise<TestPrometheus> {
  const listen = `127.0.0.1:${await freePort()}`;
  const args = [`--config.file=${configFile}`, `--storage.tsdb.path=${dataDir}`, `--web.listen-address=${listen}`];
  const child = spawn(prometheus, args, { stdio: ["ignore", "ignore", "pipe"] });
  const gone = once(child, "exit");
  await new Promise<void>((ready, reject) => {
    const lines: string[] = [];
    child.once("exit", () => reject(new Error(`prometheus ended:\n${lines.join("\n")}`)));
    createInterface({ input: child.stderr }).on("line", (line) => {
      lines.push(line);
      if (line.includes("Server is ready to receive web requests")) ready();
    });
  });
  return {
    async get(path, query = {}) {
      const response = await fetch(`http://${listen}/api/v1/${path}?${new URLSearchParams(query)}`);
      const { data, error } = (await response.json()) as { data?: unknown; error?: string };
      if (error !== undefined) throw new Error(`${path} ${JSON.stringify(query)}: ${error}`);
      return data;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}
