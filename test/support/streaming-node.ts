// One streaming node as a process of its own, and what its metrics say.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "./free-port.js";
import { until } from "./hotseat.js";
import { type RoleProcess, startRole } from "./role-process.js";

export interface StreamingNode extends RoleProcess {
  /** The value of one of its metrics, by the line's beginning. */
  metric(line: string): Promise<number>;
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
  const { folder, secretsPath, sessionUrl, key, settings, port = await freePort() } = options;
  const config = join(folder, `streaming-${port}.json`);
  writeFileSync(config, JSON.stringify({ streaming: settings }));
  const args = ["--secrets", secretsPath, "--session-url", sessionUrl, "--config", config, ...(options.args ?? [])];
  const role = await startRole("streaming", { port, args });
  return {
    ...role,
    async metric(line) {
      const response = await fetch(`${role.url}/metrics`, { headers: { authorization: `Bearer ${key}` } });
      const found = (await response.text()).split("\n").find((text) => text.startsWith(line));
      return Number(found?.slice(found.lastIndexOf(" ") + 1) ?? Number.NaN);
    },
  };
}

/** Resolves once a metric has that value. */
export const metricIs = (node: StreamingNode, line: string, value: number): Promise<true> =>
  until(`${line} is ${value}`, async () => ((await node.metric(line)) === value ? true : undefined));
