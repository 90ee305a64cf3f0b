// Runs a command until it is done or the process is told to stop; what a person can mend is said in one line.
import { ConfigError } from "../platform/config.js";
import { DatabaseStartError } from "../platform/database-start-error.js";
import { ListenError } from "../platform/listen-error.js";

const stopMsMax = 5_000;
const sameWishMs = 1_000;
const stopSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A wrong situation that a person can mend; the message says how. */
export class UserError extends Error {
  override name = "UserError";
}

/**
 * `command` gets a signal that fires on the first SIGINT, SIGTERM or SIGHUP; a later one, or 5 s, ends the process.
 * Within a second more of them are the same wish: npm passes on a Ctrl-C that the terminal has sent to us as well.
 */
export async function runUntilSignalled(command: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  let firstAt = 0;
  const onSignal = () => {
    if (stop.signal.aborted) {
      if (performance.now() - firstAt > sameWishMs) process.exit(130);
      return;
    }
    firstAt = performance.now();
    stop.abort();
    setTimeout(() => {
      console.error("Stopping took too long: ended by force.");
      process.exit(1);
    }, stopMsMax).unref();
  };
  for (const name of stopSignals) process.on(name, onSignal);
  try {
    await command(stop.signal);
    process.exitCode = 0;
  } catch (error) {
    if (!stop.signal.aborted || !isAbort(error)) {
      console.error(explain(error));
      process.exitCode = 1;
    }
  } finally {
    for (const name of stopSignals) process.off(name, onSignal);
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
