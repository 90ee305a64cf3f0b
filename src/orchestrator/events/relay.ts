// Publishes every event at least once, in order for each VM, whichever replica does it: to the log, one line an event.
import { setTimeout as sleep } from "node:timers/promises";
import type { VmEvent } from "../../contracts/events.js";
import type { Database, Queryable } from "../../platform/database.js";
import type { Log } from "../../platform/log.js";
import { windowFrom } from "./cursor.js";
import { heldMs, readWindow } from "./feed.js";
import { readHorizon, withRelayCursor } from "./outbox-store.js";

const relayName = "log";

/** Publishes what is committed; what an older transaction still holds back is waited for until the signal. */
export async function relay(db: Database, publish: (event: VmEvent) => void, signal: AbortSignal): Promise<void> {
  for (;;) {
    const held = await db.transaction((tx) => withRelayCursor(tx, relayName, (fromXid) => relayFrom(tx, fromXid, publish)));
    if (held !== true || signal.aborted) return;
    await sleep(heldMs);
  }
}

async function relayFrom(tx: Queryable, fromXid: bigint, publish: (event: VmEvent) => void) {
  const { horizon, held } = await readHorizon(tx);
  let movedTo: bigint | null = null;
  for await (const event of readWindow(tx, windowFrom(fromXid, horizon))) {
    publish(event);
    movedTo = horizon;
  }
  return { movedTo, result: held };
}

export const logEvent =
  (log: Log) =>
  (event: VmEvent): void =>
    log.info({ event }, `${event.type} ${event.subject}`);
