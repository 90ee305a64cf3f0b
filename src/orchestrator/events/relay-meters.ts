// How far each sink is behind, for operators: the outbox must be empty but for moments.
import { Counter, Gauge, Histogram, type Registry } from "../../platform/metrics.js";
import type { Backlog } from "../store.js";
import type { RelayMeters } from "./relay.js";

/** `read`: what each sink has not got, asked for at every scrape. */
export function relayMeters(
  registry: Registry,
  read: () => Promise<readonly Backlog[]>,
  now: () => number,
): RelayMeters {
  const registers = [registry];
  const delay = new Histogram({
    name: "hotseat_outbox_delay_seconds",
    help: "From an event's transaction to its acknowledgement by a sink",
    labelNames: ["sink"],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 300],
    registers,
  });
  const failures = new Counter({
    name: "hotseat_outbox_failures_total",
    help: "Attempts to publish that a sink did not acknowledge",
    labelNames: ["sink"],
    registers,
  });
  let reading: Promise<readonly Backlog[]> | null = null;
  const current = () =>
    (reading ??= read().finally(() => {
      reading = null;
    }));
  new Gauge({
    name: "hotseat_outbox_lag_seconds",
    help: "Age of the oldest event a sink has not got; 0: it has all",
    labelNames: ["sink"],
    registers,
    async collect() {
      for (const { sink, oldestAt } of await current())
        this.set({ sink }, oldestAt === null ? 0 : Math.max(0, (now() - oldestAt.getTime()) / 1000));
    },
  });
  new Gauge({
    name: "hotseat_outbox_waiting_events",
    help: "Events a sink has not got",
    labelNames: ["sink"],
    registers,
    async collect() {
      for (const { sink, events } of await current()) this.set({ sink }, events);
    },
  });
  return {
    published: (sink, delaysSeconds) => {
      for (const seconds of delaysSeconds) delay.observe({ sink }, seconds);
    },
    failed: (sink) => failures.inc({ sink }),
  };
}
