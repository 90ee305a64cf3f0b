// What the command line and the settings file say, in the form the roles' schemas take.
import { readFile } from "node:fs/promises";
import * as z from "zod";
import { ConfigError, parseConfig } from "../platform/config.js";
import { tenantsConfig } from "../platform/quotas.js";

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

/** Checked by the role's own schema, but for what stands beside the sections. */
const section = z
  .looseObject({ tenants: z.undefined("stands beside the sections of roles, for all of them").optional() })
  .default({});

/** One section a role, and the tenants, which are the same for all. */
const settingsFile = z.strictObject({
  tenants: tenantsConfig,
  orchestrator: section,
  session: section,
  streaming: section,
});

/** The roles' settings, for each to check. */
export interface Settings {
  readonly orchestrator: object;
  readonly session: object;
  readonly streaming: object;
}

/** @throws ConfigError naming the file when it cannot be read, is not JSON, or has unknown sections. */
export async function readSettings(path: string | undefined): Promise<Settings> {
  if (path === undefined) return { orchestrator: {}, session: {}, streaming: {} };
  try {
    const { tenants, orchestrator, session, streaming } = parseConfig(
      settingsFile,
      JSON.parse(await readFile(path, "utf8")),
    );
    return { orchestrator: { ...orchestrator, tenants }, session: { ...session, tenants }, streaming };
  } catch (cause) {
    throw new ConfigError(
      `The settings file ${path} cannot be used: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
}
