// The outbox: events are appended in the transaction of the change they tell of, and read back by windows (cursor.ts).
import type { EventData, EventType, VmEvent } from "../../contracts/events.js";
import type { Queryable } from "../../platform/database.js";
import { type EventId, formatEventId, type Window } from "./cursor.js";

/** The one channel other loops and replicas listen on; the payload says what to look at again. */
export const changesChannel = "orchestrator";
export type ChangeSignal = "events" | "reconcile" | "waiting";

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

/** Appends in the order given, and signals. Call it after the rows' locks are taken: `seq` is their order. */
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

export interface OutboxRow extends EventId {
  readonly event: VmEvent;
  readonly vmVersion: number | null;
}

/** The oldest transaction still running, and whether committed events wait for it to end. */
export async function readHorizon(db: Queryable): Promise<{ horizon: bigint; held: boolean }> {
  const { horizon, held } = await db.one<{ horizon: string; held: boolean }>({
    name: "outbox-horizon",
    text: `
      select s.xmin::text as horizon, exists (select from orchestrator.outbox where xid >= s.xmin) as held
        from (select pg_snapshot_xmin(pg_current_snapshot()) as xmin) s`,
  });
  return { horizon: BigInt(horizon), held };
}

export async function readPage(db: Queryable, window: Window, pageMax: number): Promise<OutboxRow[]> {
  const rows = await db.query<{
    xid: string;
    seq: string;
    type: EventType;
    subject: string;
    vmVersion: number | null;
    data: unknown;
    at: Date;
  }>(
    {
      name: "outbox-page",
      text: `
        select xid::text, seq::text, type, subject, vm_version as "vmVersion", data, created_at as at
          from orchestrator.outbox
         where xid < $1::xid8 and (xid > $2::xid8 or seq > $3::bigint) and seq > $4::bigint
         order by outbox.seq limit $5`,
    },
    [String(window.toXid), String(window.afterXid), String(window.orAfterSeq), String(window.pageSeq), pageMax],
  );
  return rows.map(({ type, subject, data, at, vmVersion, ...position }) => {
    const id = { xid: BigInt(position.xid), seq: BigInt(position.seq) };
    const event = {
      specversion: "1.0",
      id: formatEventId(id),
      source: "/hotseat/orchestrator",
      type,
      subject,
      time: at.toISOString(),
      datacontenttype: "application/json",
      data,
    } as VmEvent; // our own rows, typed when they were appended
    return { ...id, event, vmVersion };
  });
}

/**
 * Runs `publish` as the only relay of this name, from its cursor, and moves the cursor to where it says it came.
 * Null: another replica relays.
 */
export async function withRelayCursor<R>(
  tx: Queryable,
  name: string,
  publish: (fromXid: bigint) => Promise<{ movedTo: bigint | null; result: R }>,
): Promise<R | null> {
  const { locked } = await tx.one<{ locked: boolean }>(
    "select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as locked",
    [`hotseat relay ${name}`],
  );
  if (!locked) return null;
  const cursor = await tx.maybeOne<{ fromXid: string }>(
    `select from_xid::text as "fromXid" from orchestrator.relay_cursors where name = $1`,
    [name],
  );
  const { movedTo, result } = await publish(BigInt(cursor?.fromXid ?? "1"));
  if (movedTo !== null)
    await tx.query(
      `insert into orchestrator.relay_cursors (name, from_xid) values ($1, $2::xid8)
       on conflict (name) do update set from_xid = excluded.from_xid`,
      [name, String(movedTo)],
    );
  return result;
}

/** Forgets events older than `before`; consumers that were away longer start anew. */
export async function pruneEvents(db: Queryable, before: Date): Promise<void> {
  await db.query("delete from orchestrator.outbox where created_at < $1", [before]);
}
