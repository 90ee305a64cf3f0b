// Following the outbox: for each reader of the SSE feed, and for the relay.
import type { VmEvent } from "../../contracts/events.js";
import type { Database, Queryable } from "../../platform/database.js";
import type { FeedItem } from "../../platform/sse.js";
import type { Bell } from "../loop.js";
import { advance, type Cursor } from "./cursor.js";
import { findCursor, readOutbox } from "./outbox-store.js";

const pageMax = 500;
const idleMs = 1_000;
/** How soon to look again whether a gap has closed. */
export const gapMs = 10;

/** Every event that may be read now, page by page; returns the cursor after them. */
export async function* readOn(db: Queryable, from: Cursor): AsyncGenerator<VmEvent, Cursor> {
  for (let cursor = from; ; ) {
    const seen = await readOutbox(db, cursor, pageMax);
    const step = advance(cursor, seen);
    cursor = step.cursor;
    for (const { event } of step.publish) yield event;
    if (step.publish.length < pageMax) return cursor;
  }
}

/** Events from after `last` (null: from now on) until the signal. */
export async function* followEvents(options: {
  db: Database;
  last: number | null;
  bell: Bell;
  signal: AbortSignal;
}): AsyncGenerator<FeedItem> {
  const { db, last, bell, signal } = options;
  let cursor = await findCursor(db, last);
  while (!signal.aborted) {
    const heard = bell.rings;
    const events = readOn(db, cursor);
    let next = await events.next();
    for (; !next.done; next = await events.next()) yield { id: next.value.id, data: next.value };
    cursor = next.value;
    await bell.next(heard, cursor.gap === null ? idleMs : gapMs, signal);
  }
}
