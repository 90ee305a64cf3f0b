// Reading the outbox in an order consumers can rely on: by `seq`, without skipping what commits late.
//
// `seq` is drawn while the VM's row is locked, so it is the order of each VM's changes. But transactions commit in
// another order, so the rows that are visible have gaps, and a gap is either still being written or was rolled back.
// A reader stops at a gap, notes which transactions could still fill it (all that have an id by then), and goes on
// once the oldest running transaction is past those: then what is missing will stay missing. Without a gap it waits
// for nobody.
//
// Not by (xid, seq) up to the oldest running transaction, the usual way: a transaction takes its xid at its first
// lock and may then wait for a VM that a later xid is changing. If it commits while an unrelated one between the two
// still runs, its change of the VM is shown before the one it waited for (found by cursor.test.ts; our seat takes its
// xid by its placement, before the VM).

/** Where a reader is. */
export interface Cursor {
  /** Every event up to here was read, or will never be there. */
  readonly seq: number;
  /** What is missing up to here will stay missing. */
  readonly settledTo: number;
  /** What is missing below `below` stays missing once no transaction below `barrierXid` runs. */
  readonly gap: { readonly below: number; readonly barrierXid: bigint } | null;
}

/** A part of the outbox as one snapshot saw it. */
export interface Seen<Row extends { readonly seq: number }> {
  /** The visible rows after the cursor in order of seq, the first so many of them. */
  readonly rows: readonly Row[];
  /** The oldest transaction running at the time; where there is a gap, an id above all that were drawn by then. */
  readonly xmin: bigint;
  readonly nextXid: bigint;
}

export const cursorAfter = (seq: number): Cursor => ({ seq, settledTo: seq, gap: null });

/** What may be published now, and the cursor after it. With `gap` set, the rest has to wait a little. */
export function advance<Row extends { readonly seq: number }>(
  cursor: Cursor,
  { rows, xmin, nextXid }: Seen<Row>,
): { publish: Row[]; cursor: Cursor } {
  const closed = cursor.gap !== null && xmin >= cursor.gap.barrierXid;
  const settledTo = closed ? cursor.gap.below : cursor.settledTo;
  const publish: Row[] = [];
  let { seq } = cursor;
  for (const row of rows) {
    if (row.seq !== seq + 1 && row.seq > settledTo) break;
    publish.push(row);
    seq = row.seq;
  }
  if (publish.length === rows.length) return { publish, cursor: { seq, settledTo, gap: null } };
  const gap = closed ? null : cursor.gap;
  return { publish, cursor: { seq, settledTo, gap: gap ?? { below: rows.at(-1)!.seq, barrierXid: nextXid } } };
}

/** The position an event's id stands for; null when it is not the id of an event. */
export function parseEventId(text: string): number | null {
  const seq = Number(text);
  return /^\d{1,16}$/.test(text) && Number.isSafeInteger(seq) ? seq : null;
}
