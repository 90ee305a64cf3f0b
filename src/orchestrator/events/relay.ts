// Publishes every event to one sink, at least once and in order, by whichever replica holds the sink's lease.
//
// The cursor moves after the sink has acknowledged, in a transaction that checks the lease: a relay that dies in
// between is succeeded by one that publishes the batch again, which the sink (or its consumers) finds by the ids. No
// connection is held while the sink works, and each sink has its own relay: one that is away holds up nobody.
import type { VmEvent } from "../../contracts/events.js";
import { backoffMs, type Clock } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import { Bell } from "../loop.js";
import { advance, type Cursor, cursorAfter, type Seen } from "./cursor.js";
import { gapMs } from "./feed.js";
import type { OutboxRow } from "./outbox-store.js";
import type { EventSink } from "./sink.js";

export const batchMax = 256;
const idleMs = 1_000;
const retry = { leastMs: 100, baseMs: 200, capMs: 10_000 };
const lastWordsMsMax = 2_000;

/** The outbox as one sink's relay sees it. */
export interface RelayStore {
  /** Whether anything is there that the sink has not got. */
  waits(): Promise<boolean>;
  /** How far the sink has come, if this relay leads; null: another one does. */
  lead(): Promise<number | null>;
  read(after: Cursor, rowsMax: number): Promise<Seen<OutboxRow>>;
  /** False: another relay leads by now, and says itself how far it came. */
  publishedTo(seq: number): Promise<boolean>;
  /** Another relay may lead at once. */
  stopLeading(): Promise<void>;
}

export interface RelayMeters {
  published(sink: string, delaysSeconds: readonly number[]): void;
  failed(sink: string): void;
}

export interface RelayDeps {
  readonly store: RelayStore;
  readonly sink: EventSink;
  readonly meters: RelayMeters;
  readonly clock: Clock;
  /** In [0, 1): jitter. */
  readonly random: () => number;
  readonly log: Log;
}

type Round = { readonly did: "published" | "nothing" } | { readonly did: "waited"; readonly gap: Cursor };

export class Relay {
  /** Where it stands at a gap in the outbox, with what it knows of it. */
  #gap: Cursor | null = null;
  #failures = 0;

  constructor(private readonly deps: RelayDeps) {}

  /** Until the signal; woken by the bell. */
  async run(bell: Bell, signal: AbortSignal): Promise<void> {
    const { sink, meters, random, log } = this.deps;
    const patience = new Bell(bell.timer);
    while (!signal.aborted) {
      const heard = bell.rings;
      try {
        const round = await this.round();
        if (this.#failures > 0 && round.did === "published") {
          log.info({ sink: sink.name, failures: this.#failures }, "the sink takes events again");
          this.#failures = 0;
        }
        if (round.did !== "published") await bell.next(heard, round.did === "waited" ? gapMs : idleMs, signal);
      } catch (error) {
        meters.failed(sink.name);
        if (this.#failures++ === 0)
          log.warn({ err: error, sink: sink.name }, "the sink takes no events: they are kept, and tried again");
        await patience.next(0, retry.leastMs + backoffMs(this.#failures, random(), retry), signal);
      }
    }
  }

  /** At most one batch. */
  async round(): Promise<Round> {
    const { store, sink, meters, clock } = this.deps;
    if (!(await store.waits())) return { did: "nothing" };
    const seq = await store.lead();
    if (seq === null) return { did: "nothing" };
    const from = this.#gap?.seq === seq ? this.#gap : cursorAfter(seq);
    const { publish, cursor } = advance(from, await store.read(from, batchMax));
    this.#gap = cursor.gap === null ? null : cursor;
    if (publish.length === 0) return cursor.gap === null ? { did: "nothing" } : { did: "waited", gap: cursor };
    const events = publish.map(({ event }) => event);
    await sink.publish(events);
    const now = clock.now();
    meters.published(
      sink.name,
      events.map((event) => delaySeconds(event, now)),
    );
    await store.publishedTo(cursor.seq);
    return { did: "published" };
  }

  /** What stopping has to tell, if the sink takes events; the next start publishes the rest. */
  async lastWords(): Promise<void> {
    const { clock, log, sink, store } = this.deps;
    const until = clock.now() + lastWordsMsMax;
    try {
      if (this.#failures === 0) while (clock.now() < until && (await this.round()).did === "published");
      await store.stopLeading();
    } catch (error) {
      log.warn({ err: error, sink: sink.name }, "the last events stay in the outbox until the next start");
    }
  }
}

const delaySeconds = (event: VmEvent, nowMs: number) => Math.max(0, (nowMs - Date.parse(event.time)) / 1000);
