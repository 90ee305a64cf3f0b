// One streaming node as a process of its own, to be killed.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "./free-port.js";
import { cli, until } from "./hotseat.js";

export interface StreamingNode extends AsyncDisposable {
  readonly url: string;
  readonly child: ChildProcess;
  /** The value of one of its metrics, by the line's beginning. */
  metric(line: string): Promise<number>;
  kill(): Promise<void>;
}

export async function startStreamingNode(options: {
  readonly folder: string;
  readonly secretsPath: string;
  readonly sessionUrl: string;
  /** With the scope `read`. */
  readonly key: string;
  readonly settings: object;
  readonly args?: readonly string[];
  readonly port?: number;
}): Promise<StreamingNode> {
  const port = options.port ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const config = join(options.folder, `streaming-${port}.json`);
  writeFileSync(config, JSON.stringify({ streaming: options.settings }));
  const args = ["--port", String(port), "--secrets", options.secretsPath, "--session-url", options.sessionUrl];
  const child = spawn(process.execPath, [cli, "streaming", ...args, "--config", config, ...(options.args ?? [])], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => line.includes("streaming listens") && resolve());
    void exited.then(([code]) => reject(new Error(`hotseat streaming exited with ${code}`)));
  });
  const kill = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await exited;
  };
  return {
    url,
    child,
    async metric(line) {
      const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${options.key}` } });
      const found = (await response.text()).split("\n").find((text) => text.startsWith(line));
      return Number(found?.slice(found.lastIndexOf(" ") + 1) ?? Number.NaN);
    },
    kill: () => kill("SIGKILL"),
    [Symbol.asyncDispose]: () => kill("SIGTERM"),
  };
}

/** Resolves once a metric has that value. */
export const metricIs = (node: StreamingNode, line: string, value: number): Promise<true> =>
  until(`${line} is ${value}`, async () => ((await node.metric(line)) === value ? true : undefined));
