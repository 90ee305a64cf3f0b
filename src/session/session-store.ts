// Sessions in PostgreSQL. Every verb is one statement, hence one transaction; a change is compare-and-set on the
// version, and its notification leaves with its commit. (`intend` alone, against a limit, takes more.)

import type { SessionStatus } from "../contracts/session.js";
import type { Database, Queryable } from "../platform/database.js";
import { Lanes } from "../platform/lanes.js";
import type { SessionRecord } from "./lifecycle.js";

/** NOTIFY channel of changed sessions; the payload is the session's id. */
export const changedChannel = "hotseat_session_changed";

/** When the sweeper must look at a session. Times in ms since the epoch. */
export interface Timers {
  readonly deadlineAt: number | null;
  readonly checkAt: number | null;
  readonly withdrawAt: number | null;
}

export interface Page {
  readonly sessions: SessionRecord[];
  readonly nextCursor: string | null;
}

interface Row {
  session_id: string;
  tenant: string;
  player_id: string | null;
  preset_id: SessionRecord["presetId"];
  request: SessionRecord["request"];
  status: SessionStatus;
  status_since: Date;
  intent: boolean;
  seat: SessionRecord["seat"];
  queue: SessionRecord["queue"];
  end_reason: NonNullable<SessionRecord["end"]>["reason"] | null;
  end_detail: string | null;
  owes_withdraw: boolean;
  created_at: Date;
  ready_at: Date | null;
  joined_at: Date | null;
  ended_at: Date | null;
  version: number;
}

const columns = `session_id, tenant, player_id, preset_id, request, status, status_since, intent, seat, queue,
  end_reason, end_detail, owes_withdraw, created_at, ready_at, joined_at, ended_at, version`;

export class SessionStore {
  readonly #creations = new Lanes();

  constructor(private readonly database: Database) {}

  /**
   * Stores the intent of a session before anything is asked for it; with `liveMax` only if its tenant has fewer live
   * sessions, exactly, whoever else asks at the same time. null: stored; else how many live sessions there are.
   */
  async intend(record: SessionRecord, timers: Timers, liveMax: number | null): Promise<number | null> {
    const { tenant } = record;
    if (liveMax === null) {
      await this.#insert(this.database, record, timers);
      return null;
    }
    // Looked at first: a tenant that has them all is refused without waiting for anybody.
    const seen = await countLive(this.database, tenant);
    if (seen >= liveMax) return seen;
    return this.#creations.run(tenant, () =>
      this.database.transaction(async (tx) => {
        // A statement of its own: the next one then sees what the lock's last holder committed.
        await tx.query("select pg_advisory_xact_lock(hashtextextended('hotseat sessions of ' || $1, 0))", [tenant]);
        const live = await countLive(tx, tenant);
        if (live >= liveMax) return live;
        await this.#insert(tx, record, timers);
        return null;
      }),
    );
  }

  async #insert(db: Queryable, record: SessionRecord, timers: Timers): Promise<void> {
    await db.query(
      `insert into session.sessions (${columns}, game_id, deadline_at, check_at, withdraw_at)
       values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22)`,
      [
        record.sessionId,
        record.tenant,
        record.playerId,
        record.presetId,
        record.request,
        ...mutable(record),
        instant(record.createdAt),
        instant(record.readyAt),
        instant(record.joinedAt),
        instant(record.endedAt),
        record.version,
        record.request.gameId,
        instant(timers.deadlineAt),
        instant(timers.checkAt),
        instant(timers.withdrawAt),
      ],
    );
  }

  /** Forgets an intent the orchestrator refused: nothing was done for it. */
  async discard(sessionId: string): Promise<void> {
    await this.database.query("delete from session.sessions where session_id = $1 and intent", [sessionId]);
  }

  /** Replaces version `next.version - 1`; false when the session is not at it any more. */
  async commit(next: SessionRecord, timers: Timers): Promise<boolean> {
    const changed = await this.database.query(
      `update session.sessions
          set status = $2, status_since = $3, intent = $4, seat = $5, queue = $6, end_reason = $7, end_detail = $8,
              owes_withdraw = $9, ready_at = $10, joined_at = $11, ended_at = $12, version = $13,
              deadline_at = $14, check_at = $15, withdraw_at = $16
        where session_id = $1 and version = $13 - 1
        returning pg_notify('${changedChannel}', session_id)`,
      [
        next.sessionId,
        ...mutable(next),
        instant(next.readyAt),
        instant(next.joinedAt),
        instant(next.endedAt),
        next.version,
        instant(timers.deadlineAt),
        instant(timers.checkAt),
        instant(timers.withdrawAt),
      ],
    );
    return changed.length === 1;
  }

  async get(sessionId: string): Promise<SessionRecord | null> {
    const row = await this.database.maybeOne<Row>(`select ${columns} from session.sessions where session_id = $1`, [
      sessionId,
    ]);
    return row === null ? null : fromRow(row);
  }

  /** Newest first. `cursor` is an earlier page's; null when it is not one. */
  async list(filter: {
    tenant: string | null;
    status: SessionStatus | null;
    limit: number;
    cursor: string | null;
  }): Promise<Page | null> {
    const after = filter.cursor === null ? { createdAt: null, sessionId: null } : parseCursor(filter.cursor);
    if (after === null) return null;
    const rows = await this.database.query<Row>(
      `select ${columns} from session.sessions
        where ($1::text is null or tenant = $1)
          and ($2::text is null or status = $2)
          and ($3::timestamptz is null or (created_at, session_id) < ($3, $4::text))
        order by created_at desc, session_id desc
        limit $5 + 1`,
      [filter.tenant, filter.status, instant(after.createdAt), after.sessionId, filter.limit],
    );
    const sessions = rows.slice(0, filter.limit).map(fromRow);
    const last = sessions.at(-1);
    return { sessions, nextCursor: rows.length > filter.limit && last !== undefined ? formatCursor(last) : null };
  }

  /** Live sessions, by status, and ended ones that have not given their seat back. */
  async count(): Promise<{ live: { status: SessionStatus; sessions: number }[]; owing: number }> {
    const live = await this.database.query<{ status: SessionStatus; sessions: number }>(
      "select status, count(*) as sessions from session.sessions where ended_at is null group by status",
    );
    const { owing } = await this.database.one<{ owing: number }>(
      "select count(*) as owing from session.sessions where withdraw_at is not null",
    );
    return { live, owing };
  }

  /** Live sessions of one tenant, or of each that has any. */
  async countLiveByTenant(tenant: string | null): Promise<Map<string, number>> {
    const rows = await this.database.query<{ tenant: string; sessions: number }>(
      `select tenant, count(*) as sessions from session.sessions
        where ended_at is null and ($1::text is null or tenant = $1) group by tenant`,
      [tenant],
    );
    return new Map(rows.map(({ tenant, sessions }) => [tenant, sessions]));
  }

  /** Sessions whose limit has passed. */
  async pastDeadline(now: number, limit: number): Promise<string[]> {
    const rows = await this.database.query<{ session_id: string }>(
      "select session_id from session.sessions where deadline_at <= $1 order by deadline_at limit $2",
      [instant(now), limit],
    );
    return rows.map((row) => row.session_id);
  }

  /** Takes sessions that are due for a comparison with the orchestrator; they are due again at `again`. */
  async claimChecks(now: number, again: { waiting: number; seated: number }, limit: number): Promise<string[]> {
    const rows = await this.database.query<{ session_id: string }>(
      `update session.sessions set check_at = case when seat is null then $2::timestamptz else $3 end
        where session_id in (select session_id from session.sessions where check_at <= $1
                              order by check_at limit $4 for update skip locked)
        returning session_id`,
      [instant(now), instant(again.waiting), instant(again.seated), limit],
    );
    return rows.map((row) => row.session_id);
  }

  /** Makes every live session due for a comparison: after a gap in what was heard. */
  async checkAll(now: number): Promise<void> {
    await this.database.query(
      "update session.sessions set check_at = $1 where ended_at is null and not intent and check_at > $1",
      [instant(now)],
    );
  }

  /** Takes sessions that owe a withdrawal; unless settled, each is due again after its own back-off. */
  async claimWithdrawals(now: number, limit: number, backoff: { baseMs: number; capMs: number }): Promise<string[]> {
    const rows = await this.database.query<{ session_id: string }>(
      `update session.sessions
          set withdraw_attempts = withdraw_attempts + 1,
              withdraw_at = $1::timestamptz
                + least($3::float8 * power(2, least(withdraw_attempts, 20)), $4::float8) * interval '1 millisecond'
        where session_id in (select session_id from session.sessions where withdraw_at <= $1
                              order by withdraw_at limit $2 for update skip locked)
        returning session_id`,
      [instant(now), limit, backoff.baseMs, backoff.capMs],
    );
    return rows.map((row) => row.session_id);
  }

  /** A seat may have been granted after the session's end, and even after its withdrawal: one more is due at `at`. */
  async oweWithdrawal(sessionId: string, at: number): Promise<void> {
    await this.database.query(
      `update session.sessions set owes_withdraw = true, withdraw_at = $2, withdraw_attempts = 0
        where session_id = $1 and ended_at is not null and not owes_withdraw`,
      [sessionId, instant(at)],
    );
  }

  /** The orchestrator has confirmed that the session holds nothing. */
  async settleWithdrawal(sessionId: string): Promise<void> {
    await this.database.query(
      "update session.sessions set owes_withdraw = false, withdraw_at = null where session_id = $1",
      [sessionId],
    );
  }

  async readCursor(feed: string): Promise<string | null> {
    const row = await this.database.maybeOne<{ last_event_id: string }>(
      "select last_event_id from session.cursors where feed = $1",
      [feed],
    );
    return row?.last_event_id ?? null;
  }

  async saveCursor(feed: string, lastEventId: string): Promise<void> {
    await this.database.query(
      `insert into session.cursors (feed, last_event_id) values ($1, $2)
       on conflict (feed) do update set last_event_id = excluded.last_event_id`,
      [feed, lastEventId],
    );
  }
}

async function countLive(db: Queryable, tenant: string): Promise<number> {
  const { live } = await db.one<{ live: number }>(
    {
      name: "sessions-live-of-tenant",
      text: "select count(*) as live from session.sessions where tenant = $1 and ended_at is null",
    },
    [tenant],
  );
  return live;
}

const instant = (at: number | null): Date | null => (at === null ? null : new Date(at));
const time = (at: Date | null): number | null => (at === null ? null : at.getTime());

const mutable = (record: SessionRecord): unknown[] => [
  record.status,
  instant(record.statusSince),
  record.intent,
  record.seat,
  record.queue,
  record.end?.reason ?? null,
  record.end?.detail ?? null,
  record.owesWithdraw,
];

function fromRow(row: Row): SessionRecord {
  return {
    sessionId: row.session_id,
    tenant: row.tenant,
    playerId: row.player_id,
    request: row.request,
    presetId: row.preset_id,
    status: row.status,
    statusSince: row.status_since.getTime(),
    intent: row.intent,
    seat: row.seat,
    queue: row.queue,
    end: row.end_reason === null ? null : { reason: row.end_reason, detail: row.end_detail! },
    owesWithdraw: row.owes_withdraw,
    createdAt: row.created_at.getTime(),
    readyAt: time(row.ready_at),
    joinedAt: time(row.joined_at),
    endedAt: time(row.ended_at),
    version: row.version,
  };
}

const formatCursor = (last: SessionRecord) => Buffer.from(`${last.createdAt}.${last.sessionId}`).toString("base64url");

function parseCursor(cursor: string): { createdAt: number; sessionId: string } | null {
  const match = /^(\d{1,15})\.([\w-]{1,64})$/.exec(Buffer.from(cursor, "base64url").toString());
  return match === null ? null : { createdAt: Number(match[1]), sessionId: match[2]! };
}
