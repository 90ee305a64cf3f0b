// One configuration a process: parsed once by zod, frozen, every error reported at once with what to set.
import * as z from "zod";
import { httpUrl } from "../contracts/http-url.js";
import { readAs } from "../contracts/read-as.js";

export class ConfigError extends Error {
  override name = "ConfigError";
}

/** @throws ConfigError listing every wrong or missing setting. */
export function parseConfig<S extends z.ZodType>(schema: S, raw: unknown): Readonly<z.output<S>> {
  const parsed = readAs(schema, raw);
  if (parsed.success) return Object.freeze(parsed.data) as Readonly<z.output<S>>;
  const lines = parsed.error.issues.map((issue) => `  ${issue.path.join(".") || "(configuration)"}: ${issue.message}`);
  throw new ConfigError(`The configuration is wrong:\n${lines.join("\n")}`);
}

/** Where a role listens. Port 0: any free one. */
export const listenConfig = z.object({
  host: z.string().default("127.0.0.1"),
  port: z.coerce.number().int().min(0).max(65_535).default(8080),
  publicUrl: httpUrl.optional().describe("How browsers reach this server, when not by host and port"),
  allowedOrigins: z.array(httpUrl).default([]).describe("Other origins whose pages may open sockets here"),
});
export type ListenConfig = z.infer<typeof listenConfig>;
