// The outbox in memory. Verbs follow one another, so it has no gaps that may still be filled (events/cursor.ts); only
// where a cursor is older than what is kept there is one, which closes at the second look.
import type { Cursor, Seen } from "../../src/orchestrator/events/cursor.js";
import { type OutboxRow, toEvent } from "../../src/orchestrator/events/outbox-store.js";
import type { RelayStore } from "../../src/orchestrator/events/relay.js";
import { leaseMs } from "../../src/orchestrator/events/relay-store.js";
import type { Backlog, Outbox } from "../../src/orchestrator/store.js";
import type { MemoryTables, OutboxEvent } from "./tables.js";

export class MemoryOutbox implements Outbox {
  constructor(
    private readonly tables: MemoryTables,
    private readonly holder: string,
  ) {}

  forSink(sink: string): RelayStore {
    return new MemoryRelayStore(this.tables, sink, this.holder);
  }

  async backlogs(sinks: readonly string[]): Promise<Backlog[]> {
    return sinks.map((sink) => {
      const events = eventsAfter(this.tables, cursorOf(this.tables, sink));
      return { sink, events: events.length, oldestAt: events[0]?.at ?? null };
    });
  }

  async prune(before: Date): Promise<void> {
    const { outbox } = this.tables;
    const kept = outbox.findIndex(({ at }) => at >= before);
    this.tables.outbox = kept < 0 ? [] : outbox.slice(kept);
  }
}

class MemoryRelayStore implements RelayStore {
  constructor(
    private readonly tables: MemoryTables,
    private readonly sink: string,
    private readonly holder: string,
  ) {}

  async waits(): Promise<boolean> {
    return (this.tables.outbox.at(-1)?.seq ?? 0) > cursorOf(this.tables, this.sink);
  }

  async lead(): Promise<number | null> {
    const lease = this.tables.relayLeases.get(this.sink);
    if (lease !== undefined && lease.holder !== this.holder && lease.untilMs >= this.tables.nowMs()) return null;
    this.#renew();
    return cursorOf(this.tables, this.sink);
  }

  async read(after: Cursor, rowsMax: number): Promise<Seen<OutboxRow>> {
    const rows = eventsAfter(this.tables, after.seq, rowsMax);
    return { rows: rows.map((row) => ({ seq: row.seq, event: toEvent(row) })), xmin: 0n, nextXid: 0n };
  }

  async publishedTo(seq: number): Promise<boolean> {
    if (this.tables.relayLeases.get(this.sink)?.holder !== this.holder) return false;
    this.#renew();
    this.tables.relayCursors.set(this.sink, seq);
    return true;
  }

  async stopLeading(): Promise<void> {
    const { relayLeases } = this.tables;
    if (relayLeases.get(this.sink)?.holder === this.holder) relayLeases.delete(this.sink);
  }

  #renew(): void {
    this.tables.relayLeases.set(this.sink, { holder: this.holder, untilMs: this.tables.nowMs() + leaseMs });
  }
}

const cursorOf = (tables: MemoryTables, sink: string): number => tables.relayCursors.get(sink) ?? 0;

/** The next ones, by default all. */
function eventsAfter({ outbox }: MemoryTables, seq: number, rowsMax = outbox.length): OutboxEvent[] {
  const first = outbox[0];
  if (first === undefined) return [];
  const start = Math.max(0, seq + 1 - first.seq);
  return outbox.slice(start, start + rowsMax);
}
