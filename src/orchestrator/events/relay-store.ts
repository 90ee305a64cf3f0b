// One sink's cursor in the outbox, and the lease that makes one relay its only mover.
import type { Database, Queryable } from "../../platform/database.js";
import { giveLeaseBack, type Lease, renewLease, takeLease } from "../../platform/lease-store.js";
import type { Backlog } from "../store.js";
import type { Cursor } from "./cursor.js";
import { readOutbox } from "./outbox-store.js";
import type { RelayStore } from "./relay.js";
import { publishMsMax } from "./sink.js";

/** Longer than a batch takes: its statements are short, its publishing is bounded. */
export const leaseMs = publishMsMax + 2_000;

const cursorOf = `coalesce((select seq from orchestrator.relay_cursors where name = $1), 0)`;

export class SqlRelayStore implements RelayStore {
  readonly #lease: Lease;

  /** `holder`: another one for each process and relay. */
  constructor(
    private readonly db: Database,
    private readonly sink: string,
    holder: string,
  ) {
    this.#lease = { name: `relay ${sink}`, holder, msMax: leaseMs };
  }

  async waits(): Promise<boolean> {
    const { waits } = await this.db.one<{ waits: boolean }>(
      {
        name: "relay-waits",
        text: `select exists (select from orchestrator.outbox where seq > ${cursorOf}) as waits`,
      },
      [this.sink],
    );
    return waits;
  }

  async lead(): Promise<number | null> {
    if (!(await takeLease(this.db, this.#lease))) return null;
    const { seq } = await this.db.one<{ seq: number }>({ name: "relay-cursor", text: `select ${cursorOf} as seq` }, [
      this.sink,
    ]);
    return seq;
  }

  read(after: Cursor, rowsMax: number) {
    return readOutbox(this.db, after, rowsMax);
  }

  publishedTo(seq: number): Promise<boolean> {
    return this.db.transaction(async (tx) => {
      if (!(await renewLease(tx, this.#lease))) return false;
      await tx.query(
        {
          name: "relay-move",
          text: `
            insert into orchestrator.relay_cursors (name, seq) values ($1, $2)
            on conflict (name) do update set seq = excluded.seq`,
        },
        [this.sink, seq],
      );
      return true;
    });
  }

  stopLeading(): Promise<void> {
    return giveLeaseBack(this.db, this.#lease);
  }
}

export async function readBacklogs(db: Queryable, sinks: readonly string[]): Promise<Backlog[]> {
  return db.query<Backlog>(
    `select sink, coalesce(newest.seq - greatest(coalesce(c.seq, 0), oldest.seq - 1), 0) as events,
            oldest.created_at as "oldestAt"
       from unnest($1::text[]) as sink
       left join orchestrator.relay_cursors c on c.name = sink
       left join lateral (select seq, created_at from orchestrator.outbox o
                           where o.seq > coalesce(c.seq, 0) order by o.seq limit 1) oldest on true
       left join lateral (select max(seq) as seq from orchestrator.outbox where oldest.seq is not null) newest on true`,
    [sinks],
  );
}
