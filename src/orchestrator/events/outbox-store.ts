// The outbox: events are appended in the transaction of the change they tell of, and read back in order (cursor.ts).
import type { EventData, EventType, VmEvent } from "../../contracts/events.js";
import type { Database, Queryable } from "../../platform/database.js";
import type { SignalNotice } from "../store.js";
import { type Cursor, cursorAfter, type Seen } from "./cursor.js";

/** The one channel other loops and replicas listen on; the payload says what to look at again. */
export const changesChannel = "orchestrator";
export type ChangeSignal = "events" | "reconcile" | "waiting";

export const listenForChanges = (db: Database, hear: (notice: SignalNotice) => void): AsyncDisposable =>
  db.listen(changesChannel, (notice) => {
    if (notice.kind === "listening") hear(notice);
    else if (isSignal(notice.payload)) hear({ kind: "signalled", signal: notice.payload });
  });

const isSignal = (payload: string): payload is ChangeSignal =>
  payload === "events" || payload === "reconcile" || payload === "waiting";

export interface NewEvent<T extends EventType = EventType> {
  readonly type: T;
  /** VM id; the region for VMPoolLowCapacity. */
  readonly subject: string;
  readonly data: EventData<T>;
  /** The VM's version after the change; null where there is no VM. */
  readonly vmVersion: number | null;
}

export const vmEventOf = <T extends EventType>(
  type: T,
  vm: { vmId: string; version: number } | null,
  subject: string,
  data: EventData<T>,
): NewEvent<T> => ({ type, subject, data, vmVersion: vm?.version ?? null });

/** Appends in the order given, and signals. Call it under the VM's row lock: `seq` is the order of its changes. */
export async function appendEvents(
  tx: Queryable,
  events: readonly NewEvent[],
  at: Date,
  signals: readonly ChangeSignal[] = [],
): Promise<void> {
  await tx.query(
    {
      name: "outbox-append",
      text: `
        with appended as (
          insert into orchestrator.outbox (type, subject, vm_version, data, created_at)
          select e.type, e.subject, e.vm_version, e.data::jsonb, $5
            from unnest($1::text[], $2::text[], $3::integer[], $4::text[]) with ordinality
              as e (type, subject, vm_version, data, ord)
           order by e.ord
        )
        select pg_notify('${changesChannel}', signal) from unnest($6::text[]) as signal`,
    },
    [
      events.map((event) => event.type),
      events.map((event) => event.subject),
      events.map((event) => event.vmVersion),
      events.map((event) => JSON.stringify(event.data)),
      at,
      [...(events.length > 0 ? ["events"] : []), ...signals],
    ],
  );
}

export interface OutboxRow {
  readonly seq: number;
  readonly event: VmEvent;
}

interface StoredEvent {
  seq: number;
  type: EventType;
  subject: string;
  data: unknown;
  at: Date;
}

type SeenEvent = StoredEvent & { xmin: string; nextXid: string };

/**
 * The next rows, and which transactions were under way. A snapshot's own xmax will not do as the bound of those: it is
 * one past the newest *completed* transaction, and one that holds an earlier seq may run above it (seen: 19 events
 * skipped). Where there is a gap we draw an id ourselves, which is above every id drawn before.
 */
export async function readOutbox(db: Queryable, after: Cursor, pageMax: number): Promise<Seen<OutboxRow>> {
  const rows = await db.query<SeenEvent>(
    {
      name: "outbox-read",
      text: `
        select seq, type, subject, data, at,
               pg_snapshot_xmin(pg_current_snapshot())::text as xmin,
               case when max(seq) over () - $1 > count(*) over () then pg_current_xact_id()
                    else pg_snapshot_xmax(pg_current_snapshot()) end::text as "nextXid"
          from (select seq, type, subject, data, created_at as at
                  from orchestrator.outbox where seq > $1 order by seq limit $2) page
         order by seq`,
    },
    [after.seq, pageMax],
  );
  return {
    rows: rows.map((row) => ({ seq: row.seq, event: toEvent(row) })),
    xmin: BigInt(rows[0]?.xmin ?? 0),
    nextXid: BigInt(rows[0]?.nextXid ?? 0),
  };
}

export const toEvent = ({ seq, type, subject, data, at }: StoredEvent) =>
  ({
    specversion: "1.0",
    id: String(seq),
    source: "/hotseat/orchestrator",
    type,
    subject,
    time: at.toISOString(),
    datacontenttype: "application/json",
    data,
  }) as VmEvent; // our own rows, typed when they were appended

/** After the newest event; after `seq` where that is earlier, and no restored database has gone back behind it. */
export async function findCursor(db: Queryable, seq: number | null): Promise<Cursor> {
  const { newest } = await db.one<{ newest: number }>("select last_value as newest from orchestrator.outbox_seq_seq");
  return cursorAfter(seq === null ? newest : Math.min(seq, newest));
}

export async function pruneEvents(db: Queryable, before: Date): Promise<void> {
  await db.query("delete from orchestrator.outbox where created_at < $1", [before]);
}
