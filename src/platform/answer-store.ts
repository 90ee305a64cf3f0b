// Answers kept by caller, operation and Idempotency-Key. Each verb is one statement.
import type { Queryable } from "./database.js";

/** Which call it is: a key belongs to one caller and one operation, and to one request, told by its fingerprint. */
export interface KeyedCall {
  readonly caller: string;
  readonly operation: string;
  readonly key: string;
  readonly fingerprint: string;
}

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: unknown;
}

export interface KeptCall {
  readonly fingerprint: string;
  /** null: it is not answered yet. */
  readonly answer: Answer | null;
}

export interface NewClaim {
  readonly claim: string;
  readonly effectId: string;
  readonly now: Date;
  readonly claimedUntil: Date;
  /** What began before counts as forgotten. */
  readonly keptSince: Date;
}

/**
 * The right to do the work of a call: its effect's id, the same one each time until the call is forgotten. Null:
 * somebody has it, or it is answered, or the key belongs to another request.
 */
export async function claimCall(db: Queryable, call: KeyedCall, claim: NewClaim): Promise<string | null> {
  const row = await db.maybeOne<{ effectId: string }>(
    {
      name: "answer-claim",
      text: `
        insert into platform.answers as a
          (caller, operation, key, fingerprint, effect_id, claim, claimed_until, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (caller, operation, key) do update
          set fingerprint = excluded.fingerprint, claim = excluded.claim, claimed_until = excluded.claimed_until,
              status = null, content_type = null, body = null,
              effect_id = case when a.created_at < $9 then excluded.effect_id else a.effect_id end,
              created_at = case when a.created_at < $9 then excluded.created_at else a.created_at end
         where a.created_at < $9
            or (a.status is null and a.claimed_until < $8 and a.fingerprint = excluded.fingerprint)
        returning effect_id as "effectId"`,
    },
    [
      call.caller,
      call.operation,
      call.key,
      call.fingerprint,
      claim.effectId,
      claim.claim,
      claim.claimedUntil,
      claim.now,
      claim.keptSince,
    ],
  );
  return row?.effectId ?? null;
}

export async function findCall(db: Queryable, { caller, operation, key }: KeyedCall): Promise<KeptCall | null> {
  const row = await db.maybeOne<{
    fingerprint: string;
    status: number | null;
    contentType: string | null;
    body: unknown;
  }>(
    `select fingerprint, status, content_type as "contentType", body from platform.answers
      where caller = $1 and operation = $2 and key = $3`,
    [caller, operation, key],
  );
  if (row === null) return null;
  const { fingerprint, status, contentType, body } = row;
  return { fingerprint, answer: status === null || contentType === null ? null : { status, contentType, body } };
}

/** Only while the claim still stands: who took too long has been succeeded. */
export async function keepAnswer(db: Queryable, call: KeyedCall, claim: string, answer: Answer): Promise<void> {
  await db.query(
    {
      name: "answer-keep",
      text: `
        update platform.answers set status = $5, content_type = $6, body = $7::json
         where caller = $1 and operation = $2 and key = $3 and claim = $4`,
    },
    [call.caller, call.operation, call.key, claim, answer.status, answer.contentType, JSON.stringify(answer.body)],
  );
}

/** The next call with the key may do the work at once. */
export async function giveClaimBack(db: Queryable, call: KeyedCall, claim: string): Promise<void> {
  await db.query(
    `update platform.answers set claimed_until = '-infinity'
      where caller = $1 and operation = $2 and key = $3 and claim = $4 and status is null`,
    [call.caller, call.operation, call.key, claim],
  );
}

/** The oldest ones first, so many at a time. */
export async function forgetCalls(db: Queryable, before: Date, callsMax: number): Promise<void> {
  await db.query(
    `delete from platform.answers where (caller, operation, key) in
       (select caller, operation, key from platform.answers where created_at < $1
         order by created_at limit $2 for update skip locked)`,
    [before, callsMax],
  );
}
