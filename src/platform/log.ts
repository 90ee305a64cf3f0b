// Structured logs (pino, JSON lines). Secrets are redacted by name as a second line of defence: the first is not to
// hand them to the log at all.
import { type DestinationStream, destination, type Logger, pino } from "pino";

export type Log = Logger;

const secretFields = ["authorization", "cookie", "key", "token", "ticket", "resume", "proof", "bootstrapToken"];

/** `file`: append there instead of stdout. */
export function createLog(options: { name: string; level?: string; file?: string; stream?: DestinationStream }): Log {
  return pino(
    {
      name: options.name,
      level: options.level ?? "info",
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: secretFields.flatMap((field) => [field, `*.${field}`]), censor: "[secret]" },
    },
    options.stream ?? destination({ dest: options.file ?? 1, mkdir: true, sync: true }),
  );
}
