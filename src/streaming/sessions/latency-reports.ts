// The newest latency report of each session that has a player here: for its status, and counted into the metrics.
//
// One is kept as long as one of the session's sockets is open, so there are never more of them than sockets. It is the
// player's word (contracts/latency.ts).
import { type LatencyReport, latencyLimits } from "../../contracts/latency.js";
import { verdictOf } from "../../contracts/latency-verdict.js";
import type { StreamLatency } from "../../contracts/streaming.js";
import type { StreamingMetrics } from "../metrics.js";

export class LatencyReports {
  readonly #newest = new Map<string, { readonly report: LatencyReport; readonly atMs: number }>();

  constructor(private readonly metrics: Pick<StreamingMetrics, "latency" | "verdicts">) {}

  /** One that comes too soon after the one before changes nothing. */
  hear(sessionId: string, report: LatencyReport, nowMs: number): void {
    const before = this.#newest.get(sessionId);
    if (before !== undefined && nowMs - before.atMs < latencyLimits.reportMsMin) return;
    this.#newest.set(sessionId, { report, atMs: nowMs });
    this.metrics.verdicts.inc({ verdict: verdictOf(report).kind });
    for (const [stage, { p50, p95, p99 }] of Object.entries(report.recent?.stages ?? {})) {
      this.metrics.latency.observe({ stage, percentile: "50" }, p50 / 1000);
      this.metrics.latency.observe({ stage, percentile: "95" }, p95 / 1000);
      this.metrics.latency.observe({ stage, percentile: "99" }, p99 / 1000);
    }
  }

  of(sessionId: string, nowMs: number): StreamLatency | null {
    const newest = this.#newest.get(sessionId);
    if (newest === undefined) return null;
    const { report, atMs } = newest;
    return {
      reportedAt: new Date(atMs).toISOString(),
      ageMs: Math.round(nowMs - atMs),
      verdict: verdictOf(report),
      ...report,
    };
  }

  forget(sessionId: string): void {
    this.#newest.delete(sessionId);
  }
}
