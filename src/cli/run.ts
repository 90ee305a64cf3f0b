// Runs a command until it is done or the process is told to stop; what a person can mend is said in one line.
import { Problem } from "../contracts/problems.js";
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

/** Runs a command that ends by itself. */
export async function runOnce(command: () => Promise<void>): Promise<void> {
  try {
    await command();
  } catch (error) {
    console.error(explain(error));
    process.exitCode = 1;
  }
}

/** Resolves when the signal fires. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

const isAbort = (error: unknown) => error instanceof Error && error.name === "AbortError";

const checkUrl = "Check DATABASE_URL (or --database-url).";
/** PostgreSQL's and the network's codes for what only whoever set the URL can mend. */
const databaseRefusals: Record<string, string> = {
  ECONNREFUSED: `Nothing listens there. ${checkUrl}`,
  ENOTFOUND: `There is no such host. ${checkUrl}`,
  "28000": `There is no such user there. ${checkUrl}`,
  "28P01": `The password is wrong. ${checkUrl}`,
  "3D000": `There is no such database. ${checkUrl}`,
  "42501": "The user needs the right to create schemas in this database.",
};

function explain(failure: unknown): string {
  // A problem is for callers; whoever starts a role wants its cause.
  const error = failure instanceof Problem && failure.cause !== undefined ? failure.cause : failure;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOSPC") return "The disk is full: free some space, then start again. Nothing that was saved is lost.";
  if (code === "EACCES" || code === "EROFS")
    return `${String(error)}\nThe data folder cannot be written: choose another with --data.`;
  if (code === "EEXIST" || code === "ENOTDIR") return `${String(error)}\nThe data folder must be a folder: see --data.`;
  const refusal = typeof code === "string" ? databaseRefusals[code] : undefined;
  if (refusal !== undefined) return `The database refuses: ${String(error)}\n${refusal}`;
  if (error instanceof DatabaseStartError) return `${error.message}\n${error.hint}`;
  if (error instanceof UserError || error instanceof ConfigError || error instanceof ListenError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
