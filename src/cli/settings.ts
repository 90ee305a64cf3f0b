// What the command line and the settings file say, in the form the roles' schemas take.
import { readFile } from "node:fs/promises";
import * as z from "zod";
import { ConfigError, parseConfig } from "../platform/config.js";

export interface ListenOptions {
  readonly host: string;
  readonly port: string;
  readonly publicUrl?: string;
  readonly allowOrigin?: string[];
  readonly logLevel: string;
  readonly config?: string;
}

export const listenSettings = (options: ListenOptions) => ({
  host: options.host,
  port: options.port,
  publicUrl: options.publicUrl,
  allowedOrigins: options.allowOrigin,
});

/** One section a role, each checked by that role's own schema. */
const settingsFile = z.strictObject({
  orchestrator: z.unknown().default({}),
  session: z.unknown().default({}),
  streaming: z.unknown().default({}),
});

/** @throws ConfigError naming the file when it cannot be read, is not JSON, or has unknown sections. */
export async function readSettings(path: string | undefined): Promise<z.infer<typeof settingsFile>> {
  if (path === undefined) return parseConfig(settingsFile, {});
  try {
    return parseConfig(settingsFile, JSON.parse(await readFile(path, "utf8")));
  } catch (cause) {
    throw new ConfigError(
      `The settings file ${path} cannot be used: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}
