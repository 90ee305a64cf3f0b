// Following the outbox: for each reader of the SSE feed, and for the relay.
import type { VmEvent } from "../../contracts/events.js";
import type { Database, Queryable } from "../../platform/database.js";
import type { FeedItem } from "../../platform/sse.js";
import type { Bell } from "../loop.js";
import { type EventId, nextPage, type Window, windowAfter, windowFrom } from "./cursor.js";
import { readHorizon, readPage } from "./outbox-store.js";

const pageMax = 500;
const idleMs = 1_000;
/** While committed events wait for an older transaction to end. */
export const heldMs = 10;

/** Every event of the window, in order, page by page. */
export async function* readWindow(db: Queryable, window: Window): AsyncGenerator<VmEvent> {
  for (let rest: Window | null = window; rest !== null; ) {
    const page = await readPage(db, rest, pageMax);
    for (const { event } of page) yield event;
    rest = nextPage(rest, page, pageMax);
  }
}

/** Events from after `last` (null: from now) until the signal; some may come again after a resumption. */
export async function* followEvents(options: {
  db: Database;
  last: EventId | null;
  bell: Bell;
  signal: AbortSignal;
}): AsyncGenerator<FeedItem> {
  const { db, last, bell, signal } = options;
  const start = await readHorizon(db);
  let fromXid = start.horizon;
  if (last !== null)
    for await (const event of readWindow(db, windowAfter(last, fromXid))) yield { id: event.id, data: event };
  while (!signal.aborted) {
    const heard = bell.rings;
    const { horizon, held } = await readHorizon(db);
    if (horizon > fromXid)
      for await (const event of readWindow(db, windowFrom(fromXid, horizon))) yield { id: event.id, data: event };
    fromXid = horizon;
    await bell.next(heard, held ? heldMs : idleMs, signal);
  }
}
