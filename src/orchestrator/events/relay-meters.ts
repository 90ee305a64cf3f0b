// How far each sink is behind, for operators: the outbox must be empty but for moments.
import type { Clock } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import { Counter, Histogram, ReadGauges, type Registry } from "../../platform/metrics.js";
import type { Backlog } from "../store.js";
import type { RelayMeters } from "./relay.js";

/** Of the relays of this process: another one may lead. */
export function relayMeters(registry: Registry): RelayMeters {
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
  return {
    published: (sink, delaysSeconds) => {
      for (const seconds of delaysSeconds) delay.observe({ sink }, seconds);
    },
    failed: (sink) => failures.inc({ sink }),
  };
}

/** `read`: what each sink has not got, asked for at every scrape. */
export function backlogGauges(deps: {
  registry: Registry;
  read: () => Promise<readonly Backlog[]>;
  clock: Clock;
  log: Log;
}): void {
  const { registry, read, clock, log } = deps;
  const outbox = new ReadGauges({ registry, what: "the outbox", read, log });
  outbox.add(
    {
      name: "hotseat_outbox_lag_seconds",
      help: "Age of the oldest event a sink has not got; 0: it has all",
      labelNames: ["sink"],
    },
    (gauge, backlogs) => {
      for (const { sink, oldestAt } of backlogs)
        gauge.set({ sink }, oldestAt === null ? 0 : Math.max(0, (clock.now() - oldestAt.getTime()) / 1000));
    },
  );
  outbox.add(
    { name: "hotseat_outbox_waiting_events", help: "Events a sink has not got", labelNames: ["sink"] },
    (gauge, backlogs) => {
      for (const { sink, events } of backlogs) gauge.set({ sink }, events);
    },
  );
}
