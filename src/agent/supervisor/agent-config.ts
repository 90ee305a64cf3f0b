// The agent's one configuration: the JSON file named by `hotseat agent --config`, written by whoever made the VM.
//
// Everything is read once at start, except the two URLs: the control plane rewrites the file when its port changed, so
// they are read again before each new attempt to reach it. The bootstrap token is good for one enrolment and is not
// part of what the agent keeps.
import { readFile } from "node:fs/promises";
import * as z from "zod";
import { httpUrl } from "../../contracts/http-url.js";
import { vmId } from "../../contracts/orchestrator.js";
import { ConfigError, parseConfig } from "../../platform/config.js";
import type { Log } from "../../platform/log.js";

const udpPort = z.int().min(1).max(65_535);

const endpoints = z.object({
  orchestratorUrl: httpUrl,
  streamingUrl: z
    .union([httpUrl.transform((one) => [one]), z.array(httpUrl).min(1).max(100)])
    .describe("One, or several of which any will do"),
});
export type Endpoints = Readonly<z.infer<typeof endpoints>>;

const agentConfig = z.object({
  vmId,
  epoch: z.int().min(0).describe("Which launch of the VM this is: an agent of another one is fenced"),
  ...endpoints.shape,
  bootstrapToken: z.string().min(1).max(500).describe("Single use: traded for a key of the agent's own"),
  logLevel: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
  logFile: z.string().min(1).optional().describe("Default: stdout"),
  controlPlaneLostSecondsMax: z
    .number()
    .min(0.1)
    .max(86_400)
    .default(60)
    .describe("Without a control plane and without a player the agent ends itself after so long"),
  sessionsMax: z.int().min(1).optional().describe("Sessions at most, if the machine is found to carry more"),
  encoders: z
    .array(z.enum(["h264_nvenc", "h264_vaapi", "libx264"]))
    .min(1)
    .optional()
    .describe("The only ones to be tried, by FFmpeg's names; default: all. The order of choice stays"),
  bindAddress: z.string().min(1).optional().describe("The address media uses; default: every one"),
  udpPorts: z
    .object({ begin: udpPort, end: udpPort })
    .refine(({ begin, end }) => begin <= end, "begin must not be after end")
    .optional()
    .describe("The range media uses, both ends included; default: any free port"),
});
export type AgentConfig = Readonly<z.infer<typeof agentConfig>>;

/** @throws ConfigError when the file is missing, not JSON, or has wrong settings (each is named). */
export async function readAgentConfig(path: string): Promise<AgentConfig> {
  return parseConfig(agentConfig, await readJson(path));
}

/** Where the control plane is now, by the file; where it was last, while the file cannot be read. */
export function followEndpoints(path: string, first: Endpoints, log: Log): () => Promise<Endpoints> {
  let last = first;
  return async () => {
    try {
      last = parseConfig(endpoints, await readJson(path));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      log.warn({ err: error }, "the agent's configuration cannot be read again");
    }
    return last;
  };
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`Cannot read the agent's configuration ${path}.`, { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ConfigError(`The agent's configuration ${path} is not JSON.`, { cause });
  }
}
