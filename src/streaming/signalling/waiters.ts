// Players who leave while their session waits for a seat: one that stays away loses its place, lest the session later
// hold a seat for nobody.
//
// Only a player that had proved itself here starts the time; any hello of the session stops it, proved or not, for
// what could prove it may be away. A session nobody connected to is not known here. In memory and of this node: after
// its restart the session's own limits are what is left. Once there is a seat, the time is the session's to keep.
//
// When the time is up the other nodes are asked, which takes a moment: whoever is back by then has kept the place. A node
// that still times the session answers for it: of one that went from here to there and left that, too, the newest time
// counts.
import { type Connection, isProved } from "./connection.js";

export interface WaitersDeps {
  readonly waiterGoneMs: number;
  /** Whether the session has a player at another node, or one is timed there; null: not known now. */
  readonly playsElsewhere: (sessionId: string) => Promise<boolean | null>;
  /** The session's player has been away for that long, from all nodes. */
  readonly left: (sessionId: string) => void;
}

interface Away {
  readonly timer: NodeJS.Timeout;
  isOver: boolean;
}

export class Waiters implements Disposable {
  /** Null: somebody is there again. */
  readonly #leaving = new Map<string, Away | null>();
  #disposed = false;

  constructor(private readonly deps: WaitersDeps) {}

  /** Whether its player may yet be back in time. */
  times(sessionId: string): boolean {
    return this.#leaving.get(sessionId)?.isOver === false;
  }

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
    this.#leaving.set(sessionId, alone ? this.#time(sessionId) : null);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const sessionId of [...this.#leaving.keys()]) this.#forget(sessionId);
  }

  #time(sessionId: string): Away {
    const away: Away = {
      isOver: false,
      timer: setTimeout(() => void this.#giveUp(sessionId, away), this.deps.waiterGoneMs),
    };
    return away;
  }

  async #giveUp(sessionId: string, away: Away): Promise<void> {
    away.isOver = true;
    const elsewhere = await this.deps.playsElsewhere(sessionId);
    if (this.#leaving.get(sessionId) !== away) return;
    this.#forget(sessionId);
    // While it is not known the place is kept: nobody renews it then, and it expires by itself.
    if (elsewhere === false) this.deps.left(sessionId);
  }

  #forget(sessionId: string): boolean {
    clearTimeout(this.#leaving.get(sessionId)?.timer);
    return this.#leaving.delete(sessionId);
  }
}
