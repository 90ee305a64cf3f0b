// Reading an outbox in an order consumers can rely on.
//
// Rows are keyed (xid, seq). Commit order is neither's order: reading by `seq > last` skips a row whose transaction
// commits late, and reading by (xid, seq) can reverse two changes of one VM (a transaction takes its xid at its first
// lock, then waits for the VM behind a later xid). So we read windows: every row whose xid is at or above the window's
// start and below the horizon, the oldest xid still running. Nothing can be added to a window any more, and within it
// `seq` is right for every VM, because it is drawn under the VM's row lock. A window is read in pages but only ever
// left as a whole: a reader that stops half-way starts it again (at least once; the event's id deduplicates).
//
// To resume after one event of a window that is no longer known, read all rows with a later xid or a later seq: that
// holds everything not yet seen, and perhaps a few events again.

export interface EventId {
  readonly xid: bigint;
  readonly seq: bigint;
}

/** Rows with `xid < toXid and (xid > afterXid or seq > orAfterSeq)`, in order of seq, those after `pageSeq`. */
export interface Window {
  readonly toXid: bigint;
  readonly afterXid: bigint;
  readonly orAfterSeq: bigint;
  readonly pageSeq: bigint;
}

const seqMax = 2n ** 63n - 1n;

export const formatEventId = ({ xid, seq }: EventId): string => `${xid}-${seq}`;

/** Null when it is not the id of an event. */
export function parseEventId(text: string): EventId | null {
  const match = /^(\d{1,19})-(\d{1,18})$/.exec(text);
  return match && { xid: BigInt(match[1]!), seq: BigInt(match[2]!) };
}

/** All that is settled now, after everything below `fromXid`. */
export const windowFrom = (fromXid: bigint, horizon: bigint): Window => ({
  toXid: horizon,
  afterXid: fromXid - 1n,
  orAfterSeq: seqMax,
  pageSeq: 0n,
});

/** All that is settled now and may not have been seen by a reader whose last event is `last`. */
export const windowAfter = (last: EventId, horizon: bigint): Window => ({
  toXid: horizon,
  afterXid: last.xid,
  orAfterSeq: last.seq,
  pageSeq: 0n,
});

/** The next page of the window; null when this page was its last. */
export const nextPage = (window: Window, page: readonly EventId[], pageMax: number): Window | null =>
  page.length < pageMax ? null : { ...window, pageSeq: page.at(-1)!.seq };
