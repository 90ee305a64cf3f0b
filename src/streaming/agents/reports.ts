// Brings what agents say of their sessions to the session service, at least once, though that may be away for a while.
//
// Per VM and session only the newest state waits, except that an end is never overwritten by what came after it: what a
// VM says of another's session waits beside that one's word, which counts is the session service's to say. Bounded in
// sessions, of one VM and of all, and in attempts: what is given up is logged, and the session's own limits end it.
import { setTimeout as sleep } from "node:timers/promises";
import { Problem } from "../../contracts/problems.js";
import { type ConnectionReport, sessionRoutes } from "../../contracts/session.js";
import type { RouteClient } from "../../platform/client.js";
import { backoffMs } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";

const sessionsMax = 10_000;
/** Ten times what a VM has seats for: one that talks of others' sessions takes nobody's place here. */
const sessionsPerVmMax = 64;
const attemptsMax = 100;

/** Which of two undelivered reports of one VM is worth delivering. */
export function worthier(waiting: ConnectionReport | undefined, newer: ConnectionReport): ConnectionReport {
  const final = waiting !== undefined && waiting.state !== "connected" && waiting.state !== "disconnected";
  return final ? waiting : newer;
}

export class Reports implements AsyncDisposable {
  /** By VM, null for what ingest itself has seen, and session. */
  readonly #waiting = new Map<string | null, Map<string, ConnectionReport>>();
  #sessions = 0;
  readonly #deliveries = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  constructor(private readonly deps: { sessions: RouteClient; random: () => number; log: Log }) {}

  report(sessionId: string, report: ConnectionReport): void {
    const ofVm = this.#waiting.get(report.vmId) ?? new Map<string, ConnectionReport>();
    const waiting = ofVm.get(sessionId);
    const full = this.#sessions >= sessionsMax || (report.vmId !== null && ofVm.size >= sessionsPerVmMax);
    if (waiting === undefined && full) {
      this.deps.log.error({ sessionId, report }, "too many reports wait for the session service: this one is lost");
      return;
    }
    this.#waiting.set(report.vmId, ofVm.set(sessionId, worthier(waiting, report)));
    if (waiting !== undefined) return;
    this.#sessions += 1;
    const delivery = this.#deliver(sessionId, ofVm).finally(() => {
      this.#sessions -= 1;
      if (ofVm.size === 0) this.#waiting.delete(report.vmId);
      this.#deliveries.delete(delivery);
    });
    this.#deliveries.add(delivery);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#deliveries);
  }

  async #deliver(sessionId: string, ofVm: Map<string, ConnectionReport>): Promise<void> {
    const { sessions, random, log } = this.deps;
    const { signal } = this.#stop;
    for (let attempt = 0; attempt < attemptsMax && !signal.aborted; attempt++) {
      const report = ofVm.get(sessionId)!;
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
      if (ofVm.get(sessionId) === report) break;
    }
    ofVm.delete(sessionId);
  }
}
