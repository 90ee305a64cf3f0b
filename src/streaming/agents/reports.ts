// Brings what agents say of their sessions to the session service, at least once, though that may be away for a while.
//
// Per session only the newest state waits, except that an end is never overwritten by what came after it. Bounded in
// sessions and in attempts: what is given up is logged, and the session's own limits end it.
import { setTimeout as sleep } from "node:timers/promises";
import { Problem } from "../../contracts/problems.js";
import { type ConnectionReport, sessionRoutes } from "../../contracts/session.js";
import type { RouteClient } from "../../platform/client.js";
import { backoffMs } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";

const sessionsMax = 10_000;
const attemptsMax = 100;

/** Which of two undelivered reports is worth delivering. */
export function worthier(waiting: ConnectionReport | undefined, newer: ConnectionReport): ConnectionReport {
  const final = waiting !== undefined && waiting.state !== "connected" && waiting.state !== "disconnected";
  return final && waiting.vmId === newer.vmId ? waiting : newer;
}

export class Reports implements AsyncDisposable {
  readonly #waiting = new Map<string, ConnectionReport>();
  readonly #deliveries = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  constructor(private readonly deps: { sessions: RouteClient; random: () => number; log: Log }) {}

  report(sessionId: string, report: ConnectionReport): void {
    const waiting = this.#waiting.get(sessionId);
    if (waiting === undefined && this.#waiting.size >= sessionsMax) {
      this.deps.log.error({ sessionId, report }, "too many reports wait for the session service: this one is lost");
      return;
    }
    this.#waiting.set(sessionId, worthier(waiting, report));
    if (waiting !== undefined) return;
    const delivery = this.#deliver(sessionId).finally(() => this.#deliveries.delete(delivery));
    this.#deliveries.add(delivery);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#deliveries);
  }

  async #deliver(sessionId: string): Promise<void> {
    const { sessions, random, log } = this.deps;
    const { signal } = this.#stop;
    for (let attempt = 0; attempt < attemptsMax && !signal.aborted; attempt++) {
      const report = this.#waiting.get(sessionId)!;
      try {
        await sessions.call(sessionRoutes.reportConnection, { params: { sessionId }, body: report, signal });
        attempt = 0;
      } catch (error) {
        if (signal.aborted) break;
        log.warn({ err: error, sessionId, report, attempt }, "a report did not reach the session service");
        if (!(error instanceof Problem && error.status < 500)) {
          await sleep(backoffMs(attempt, random()), undefined, { signal }).catch(() => undefined);
          continue;
        }
      }
      if (this.#waiting.get(sessionId) === report) break;
    }
    this.#waiting.delete(sessionId);
  }
}
