// Every session as it changes, to any number of readers, on whichever replica it changed: PostgreSQL carries the ids.
//
// Not durable and not complete: a reader that is slow sees only a session's newest state, and is cut off when too many
// are waiting for it. Whoever reconnects reads again what it cares about.
import type { Session } from "../contracts/session.js";
import type { FeedItem } from "../platform/sse.js";
import { toSession } from "./lifecycle.js";
import type { SessionStore } from "./session-store.js";

const waitingMax = 10_000;

interface Reader {
  /** Changed sessions it has not taken yet, by id: newest state, oldest change first. */
  readonly waiting: Map<string, Session>;
  wake(): void;
}

export class SessionFeed {
  readonly #readers = new Set<Reader>();

  constructor(private readonly store: SessionStore) {}

  /** Tells readers that a session changed. */
  async changed(sessionId: string): Promise<void> {
    if (this.#readers.size === 0) return;
    const record = await this.store.get(sessionId);
    if (record === null) return;
    const session = toSession(record);
    for (const reader of this.#readers) {
      const known = reader.waiting.get(sessionId);
      if (known !== undefined && known.version >= session.version) continue;
      reader.waiting.set(sessionId, session);
      reader.wake();
    }
  }

  /** Cuts every reader off: changes may have been missed. */
  gap(): void {
    for (const reader of this.#readers) {
      this.#readers.delete(reader);
      reader.wake();
    }
  }

  async *subscribe(signal: AbortSignal): AsyncGenerator<FeedItem> {
    let wake = () => {};
    const reader: Reader = { waiting: new Map(), wake: () => wake() };
    const onAbort = () => reader.wake();
    signal.addEventListener("abort", onAbort);
    this.#readers.add(reader);
    try {
      while (!signal.aborted && this.#readers.has(reader) && reader.waiting.size <= waitingMax) {
        const [next] = reader.waiting.values();
        if (next === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        reader.waiting.delete(next.sessionId);
        yield { id: `${next.sessionId}.${next.version}`, data: next };
      }
    } finally {
      this.#readers.delete(reader);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
