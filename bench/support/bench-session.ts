// A session's process of a bench: it has what the bench wants it to run, its own ladder and its own games, by x264.
import { x264 } from "../../src/agent/encode/x264.js";
import { SessionProcess, type SessionProcessOptions } from "../../src/agent/session/session-process.js";

/** Resolves when it was told to stop. */
export async function runSessionProcess(
  options: Pick<SessionProcessOptions, "games" | "steps" | "cores">,
): Promise<void> {
  const end = new AbortController();
  for (const event of ["SIGTERM", "SIGINT", "disconnect"]) process.on(event, () => end.abort());
  const session = new SessionProcess({
    ...options,
    encoders: [x264],
    tell: (message) => process.connected && process.send?.(message, undefined, undefined, () => {}),
  });
  process.on("message", (message) => session.receive(message));
  await session.run(end.signal);
}
