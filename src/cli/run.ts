// Runs a command until it is done or the process is told to stop; what a person can mend is said in one line.
import { ConfigError } from "../platform/config.js";
import { DatabaseStartError } from "../platform/database-start-error.js";
import { ListenError } from "../platform/listen-error.js";

const stopMsMax = 5_000;

/** A wrong situation that a person can mend; the message says how. */
export class UserError extends Error {
  override name = "UserError";
}

/** `command` gets a signal that fires on the first SIGINT or SIGTERM; a second one, or 5 s, ends the process. */
export async function runUntilSignalled(command: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  const onSignal = () => {
    if (stop.signal.aborted) process.exit(130);
    stop.abort();
    setTimeout(() => {
      console.error("Stopping took too long: ended by force.");
      process.exit(1);
    }, stopMsMax).unref();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    await command(stop.signal);
    process.exitCode = 0;
  } catch (error) {
    if (!stop.signal.aborted || !isAbort(error)) {
      console.error(explain(error));
      process.exitCode = 1;
    }
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

/** Resolves when the signal fires. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

const isAbort = (error: unknown) => error instanceof Error && error.name === "AbortError";

function explain(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOSPC") return "The disk is full: free some space, then start again. Nothing that was saved is lost.";
  if (code === "EACCES" || code === "EROFS")
    return `${String(error)}\nThe data folder cannot be written: choose another with --data.`;
  if (error instanceof DatabaseStartError) return `${error.message}\n${error.hint}`;
  if (error instanceof UserError || error instanceof ConfigError || error instanceof ListenError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
