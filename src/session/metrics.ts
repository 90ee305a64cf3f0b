// What operators see of sessions.
import { endReason, sessionStatus } from "../contracts/session.js";
import type { Log } from "../platform/log.js";
import { Counter, Gauge, Histogram, ReadGauges, type Registry } from "../platform/metrics.js";
import type { Quotas } from "../platform/quotas.js";
import { type TenantMeters, tenantMeters } from "../platform/tenant-meters.js";
import type { SessionRecord } from "./lifecycle.js";
import type { SessionStore } from "./session-store.js";

export class SessionMetrics {
  readonly #created: Counter<"status">;
  readonly #over: Counter<"status" | "reason">;
  readonly #untilConnected: Histogram;
  readonly #tenants: TenantMeters<"sessions">;

  readonly #feedUp: Gauge;

  /** `store` is asked at every scrape. */
  constructor(deps: { registry: Registry; store: SessionStore; quotas: Quotas; log: Log }) {
    const { registry, store, quotas, log } = deps;
    const registers = [registry];
    this.#created = new Counter({
      name: "hotseat_sessions_created_total",
      help: "Sessions created, by what their creator was answered",
      labelNames: ["status"],
      registers,
    });
    this.#over = new Counter({
      name: "hotseat_sessions_over_total",
      help: "Sessions that ended or failed, by reason",
      labelNames: ["status", "reason"],
      registers,
    });
    // So that the first of a kind is seen as an increase.
    for (const status of ["ENDED", "FAILED"])
      for (const reason of endReason.options) this.#over.inc({ status, reason }, 0);
    this.#untilConnected = new Histogram({
      name: "hotseat_session_connect_seconds",
      help: "From a session's creation to its player's first connection",
      buckets: [0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 120, 300],
      registers,
    });
    this.#feedUp = new Gauge({
      name: "hotseat_session_feed_up",
      help: "1: this process hears the orchestrator's events as they come; 0: it does not, and looks every so often",
      registers,
    });
    this.#tenants = tenantMeters(registry, {
      limits: { sessions: { name: "sessions", help: "Live sessions" } },
      quotas,
      read: async () =>
        new Map([...(await store.countLiveByTenant(null))].map(([tenant, sessions]) => [tenant, { sessions }])),
      log,
    });
    const counts = new ReadGauges({ registry, what: "the number of sessions", read: () => store.count(), log });
    const statuses = sessionStatus.options.filter((status) => status !== "ENDED" && status !== "FAILED");
    counts.add(
      { name: "hotseat_sessions", help: "Live sessions, by status", labelNames: ["status"] },
      (gauge, { live }) => {
        for (const status of statuses) gauge.set({ status }, 0);
        for (const { status, sessions } of live) gauge.set({ status }, sessions);
      },
    );
    counts.add(
      { name: "hotseat_sessions_owing_seats", help: "Sessions that are over and have not given their seat back yet" },
      (gauge, { owing }) => gauge.set(owing),
    );
  }

  /** The tenant has as many as it may. */
  refused(tenant: string): void {
    this.#tenants.refused("sessions", tenant);
  }

  feedIs(up: boolean): void {
    this.#feedUp.set(up ? 1 : 0);
  }

  created(record: SessionRecord): void {
    this.#created.inc({ status: record.status });
  }

  changed(before: SessionRecord, after: SessionRecord): void {
    if (after.end !== null) this.#over.inc({ status: after.status, reason: after.end.reason });
    if (before.joinedAt === null && after.joinedAt !== null)
      this.#untilConnected.observe((after.joinedAt - after.createdAt) / 1000);
  }
}
