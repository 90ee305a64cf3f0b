// Players who leave while their session waits for a seat: one that stays away loses its place, lest the session later
// hold a seat for nobody.
//
// Only a player that had proved itself here starts the time; any hello of the session stops it, proved or not, for
// what could prove it may be away. A session nobody connected to is not known here. In memory and of this node: after
// its restart the session's own limits are what is left. Once there is a seat, the time is the session's to keep.
import { type Connection, isProved } from "./connection.js";

export interface WaitersDeps {
  readonly waiterGoneMs: number;
  /** The session's player has been away for that long. */
  readonly left: (sessionId: string) => unknown;
}

export class Waiters implements Disposable {
  /** Null: somebody is there again. */
  readonly #leaving = new Map<string, NodeJS.Timeout | null>();
  #disposed = false;

  constructor(private readonly deps: WaitersDeps) {}

  /** A signalling socket of the session said hello. */
  greeted(sessionId: string): void {
    if (this.#forget(sessionId)) this.#leaving.set(sessionId, null);
  }

  /** A signalling socket of the session closed; `alone`: no other of them has said hello. */
  left(connection: Connection, alone: boolean): void {
    const { sessionId, session } = connection;
    const known = this.#forget(sessionId);
    const settled = session !== null && (session.vmId !== null || session.end !== null);
    if (this.#disposed || settled || !(known || isProved(connection))) return;
    this.#leaving.set(sessionId, alone ? setTimeout(() => this.#giveUp(sessionId), this.deps.waiterGoneMs) : null);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const sessionId of [...this.#leaving.keys()]) this.#forget(sessionId);
  }

  #giveUp(sessionId: string): void {
    this.#forget(sessionId);
    this.deps.left(sessionId);
  }

  #forget(sessionId: string): boolean {
    clearTimeout(this.#leaving.get(sessionId) ?? undefined);
    return this.#leaving.delete(sessionId);
  }
}
