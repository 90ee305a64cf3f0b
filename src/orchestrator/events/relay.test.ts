// The relay against an outbox and a sink that fail as they please.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { VmEvent } from "../../contracts/events.js";
import { silentLog } from "../../platform/test-postgres.js";
import { firstOfEach, someEvents } from "./conformance.js";
import type { Cursor, Seen } from "./cursor.js";
import type { OutboxRow } from "./outbox-store.js";
import { batchMax, Relay, type RelayStore } from "./relay.js";
import type { EventSink } from "./sink.js";

/** One outbox and its lease, as several relays see it. */
class Outbox {
  readonly rows: OutboxRow[] = [];
  publishedTo = 0;
  holder: string | null = null;

  append(count: number): void {
    for (const event of someEvents(count)) {
      const seq = this.rows.length + 1;
      this.rows.push({ seq, event: { ...event, id: String(seq) } });
    }
  }

  store(holder: string, fault: () => "crash" | "none"): RelayStore {
    return {
      waits: async () => this.rows.length > this.publishedTo,
      lead: async () => {
        this.holder ??= holder;
        return this.holder === holder ? this.publishedTo : null;
      },
      read: async (after: Cursor, max: number): Promise<Seen<OutboxRow>> => ({
        rows: this.rows.filter(({ seq }) => seq > after.seq).slice(0, max),
        xmin: 1n,
        nextXid: 1n,
      }),
      publishedTo: async (seq) => {
        if (fault() === "crash") throw new Error("the database was lost at the commit");
        if (this.holder !== holder) return false;
        this.publishedTo = seq;
        return true;
      },
      stopLeading: async () => {
        if (this.holder === holder) this.holder = null;
      },
    };
  }
}

type Luck = "good" | "refuses" | "loses the tail" | "loses the answer";
const luck = fc.constantFrom<Luck>("good", "good", "refuses", "loses the tail", "loses the answer");

test("whatever fails, every event arrives, and first arrivals are in order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          luck,
          commit: fc.constantFrom("none" as const, "none" as const, "crash" as const),
          takeOver: fc.boolean(),
          more: fc.nat(400),
        }),
        {
          maxLength: 25,
        },
      ),
      async (rounds) => {
        const outbox = new Outbox();
        const stored: VmEvent[] = [];
        let now: (typeof rounds)[number] | undefined;
        const sink: EventSink = {
          name: "test",
          publish: async (events) => {
            expect(events.length).toBeLessThanOrEqual(batchMax);
            if (now?.luck === "refuses") throw new Error("away");
            stored.push(...(now?.luck === "loses the tail" ? events.slice(0, events.length >> 1) : events));
            if (now?.luck === "loses the tail" || now?.luck === "loses the answer") throw new Error("no answer");
          },
          async [Symbol.asyncDispose]() {},
        };
        const relays = ["one", "two"].map(
          (holder) =>
            new Relay({
              store: outbox.store(holder, () => now?.commit ?? "none"),
              sink,
              meters: { published() {}, failed() {} },
              clock: { now: () => 0 },
              random: () => 0,
              log: silentLog,
            }),
        );
        for (now of rounds) {
          outbox.append(now.more);
          if (now.takeOver) outbox.holder = outbox.holder === "one" ? "two" : "one";
          for (const relay of relays) await relay.round().catch(() => undefined);
        }
        now = undefined;
        for (let i = 0; outbox.publishedTo < outbox.rows.length; i++) {
          expect(i).toBeLessThan(1_000);
          for (const relay of relays) await relay.round();
        }
        expect(firstOfEach(stored)).toEqual(outbox.rows.map(({ event }) => event));
      },
    ),
    { numRuns: 100 },
  );
});
