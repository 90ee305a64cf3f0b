// Publishes every event at least once, in order, whichever replica does it: to the log, one line an event.
import { setTimeout as sleep } from "node:timers/promises";
import type { VmEvent } from "../../contracts/events.js";
import type { Database, Queryable } from "../../platform/database.js";
import type { Log } from "../../platform/log.js";
import type { Cursor } from "./cursor.js";
import { gapMs, readOn } from "./feed.js";
import { withRelayCursor } from "./outbox-store.js";

const relayName = "log";
const gapLooksMax = 1_000;

/** Publishes what is committed; at a gap it looks again until it has closed, or the signal. */
export async function relay(db: Database, publish: (event: VmEvent) => void, signal: AbortSignal): Promise<void> {
  let gap = await relayOnce(db, publish, null);
  for (let looks = 0; gap !== null && looks < gapLooksMax && !signal.aborted; looks++) {
    await sleep(gapMs);
    gap = await relayOnce(db, publish, gap);
  }
}

/** Answers where it stands at a gap; null: all is published, or another replica relays. */
function relayOnce(db: Database, publish: (event: VmEvent) => void, gap: Cursor | null): Promise<Cursor | null> {
  return db.transaction((tx) =>
    withRelayCursor(tx, relayName, (stored) => publishFrom(tx, gap?.seq === stored.seq ? gap : stored, publish)),
  );
}

async function publishFrom(tx: Queryable, from: Cursor, publish: (event: VmEvent) => void) {
  const events = readOn(tx, from);
  let next = await events.next();
  for (; !next.done; next = await events.next()) publish(next.value);
  const cursor = next.value;
  return { cursor, result: cursor.gap === null ? null : cursor };
}

export const logEvent =
  (log: Log) =>
  (event: VmEvent): void =>
    log.info({ event }, `${event.type} ${event.subject}`);
