// What a reload of the page needs to come back to its session. Per tab (sessionStorage), so that two tabs play two
// sessions; the resume secret never reaches a server other than by the signalling socket.
import * as z from "zod";
import { gameSummary } from "../../contracts/catalog.js";
import { sessionId } from "../../contracts/orchestrator.js";
import { readAs } from "../../contracts/read-as.js";
import { streamUrls } from "../../contracts/session.js";

const savedSession = z.object({
  sessionId,
  game: gameSummary,
  /** Once the machine has welcomed the player; before that, a fresh ticket is asked for. */
  resume: z.object({ urls: streamUrls, secret: z.string() }).nullable(),
});
export type SavedSession = z.infer<typeof savedSession>;

const key = "hotseat.session";

export function saveSession(saved: SavedSession): void {
  sessionStorage.setItem(key, JSON.stringify(saved));
}

/** Null when there is none, or when an older page wrote it. */
export function loadSession(): SavedSession | null {
  try {
    const parsed = readAs(savedSession, JSON.parse(sessionStorage.getItem(key) ?? "null"));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

export function forgetSession(): void {
  sessionStorage.removeItem(key);
}
