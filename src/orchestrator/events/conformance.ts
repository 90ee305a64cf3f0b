// The sink port's contract, as tests that every sink passes.
import { describe, expect, test } from "vitest";
import type { VmEvent } from "../../contracts/events.js";
import { type EventSink, publishMsMax } from "./sink.js";

export interface SinkUnderTest {
  /** A sink on the same place each time: the first one's successor after a restart. */
  open(): Promise<EventSink>;
  /** Everything stored there, in its order. */
  read(): Promise<VmEvent[]>;
  /** Runs the work while the place is away; left out where it cannot be. */
  readonly away?: (work: () => Promise<void>) => Promise<void>;
}

let seq = 0;

/** So many events, the next ones each time, of three VMs. */
export const someEvents = (count: number): VmEvent[] =>
  Array.from({ length: count }, () => {
    seq += 1;
    const vmId = `vm-${seq % 3}`;
    return {
      specversion: "1.0",
      id: String(seq),
      source: "/hotseat/orchestrator",
      type: "VMReady",
      subject: vmId,
      time: new Date(1_800_000_000_000 + seq).toISOString(),
      datacontenttype: "application/json",
      data: { vmId, region: "us-east-1", templateId: "L4-90" },
    };
  });

/** As a consumer that is idempotent by id sees them. */
export const firstOfEach = (events: readonly VmEvent[]): VmEvent[] => [
  ...new Map(events.map((event) => [event.id, event])).values(),
];

export function describeSink(name: string, subject: SinkUnderTest): void {
  describe(`the ${name} sink`, () => {
    /** What was stored since the reading before. */
    const reader = async () => {
      const before = new Set((await subject.read()).map(({ id }) => id));
      return async () => firstOfEach((await subject.read()).filter(({ id }) => !before.has(id)));
    };

    test("stores batches whole, unchanged and in order", async () => {
      await using sink = await subject.open();
      const stored = await reader();
      const events = someEvents(300);
      await sink.publish(events.slice(0, 256));
      await sink.publish(events.slice(256));
      expect(await stored()).toEqual(events);
    });

    test("takes a batch again, and one that overlaps, without a trace for who goes by ids", async () => {
      const stored = await reader();
      const events = someEvents(12);
      {
        await using sink = await subject.open();
        await sink.publish(events.slice(0, 8));
        await sink.publish(events.slice(0, 8));
      }
      await using successor = await subject.open();
      await successor.publish(events.slice(4));
      expect(await stored()).toEqual(events);
    });

    test("takes an empty batch for done", async () => {
      await using sink = await subject.open();
      const stored = await reader();
      await sink.publish([]);
      expect(await stored()).toEqual([]);
    });

    const { away } = subject;
    if (away === undefined) return;
    test("says in time that its place is away, and takes the batch when it is back", async () => {
      await using sink = await subject.open();
      const stored = await reader();
      const events = someEvents(20);
      await sink.publish(events.slice(0, 10));
      await away(async () => {
        const asked = performance.now();
        await expect(sink.publish(events.slice(10))).rejects.toThrow();
        expect(performance.now() - asked).toBeLessThan(publishMsMax + 1_000);
      });
      await expect
        .poll(
          () =>
            sink.publish(events.slice(10)).then(
              () => true,
              () => false,
            ),
          { timeout: 10_000 },
        )
        .toBe(true);
      expect(await stored()).toEqual(events);
    });
  });
}
