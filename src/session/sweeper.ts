// Does what only time asks for: ends sessions past their limits, compares sessions with the orchestrator, renews those in
// its queue that somebody waits for, gives back seats still owed. A loop each, so that an orchestrator that hangs does not hold up the limits.
//
// Safe to run in several replicas: work is taken row by row with `skip locked`, or decided by compare-and-set.
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../platform/clock.js";
import type { Log } from "../platform/log.js";
import type { SessionLimits } from "./deadlines.js";
import type { Renewals } from "./renewals.js";
import type { SessionService } from "./service.js";
import type { SessionStore } from "./session-store.js";

const batchMax = 200;
const callsMax = 8;
const withdrawBackoff = { baseMs: 500, capMs: 30_000 };

export interface SweeperDeps {
  readonly store: SessionStore;
  readonly service: SessionService;
  readonly renewals: Renewals;
  readonly limits: SessionLimits;
  readonly sweepMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Sweeps until `signal` fires. */
export async function sweep(deps: SweeperDeps, signal: AbortSignal): Promise<void> {
  const { store, service, renewals, limits, clock, log } = deps;
  const again = (now: number) => ({ waiting: now + limits.queueRefreshMs, seated: now + limits.seatCheckMs });
  const jobs = {
    "ending sessions past their limits": async (now: number) => {
      await inParallel(await store.pastDeadline(now, batchMax), signal, (id) => service.expire(id));
    },
    "comparing sessions with the orchestrator": async (now: number) => {
      await inParallel(await store.claimChecks(now, again(now), batchMax), signal, (id) => service.reconcile(id));
    },
    "renewing those that are waited for": () => renewals.say(),
    "giving seats back": async (now: number) => {
      const owing = await store.claimWithdrawals(now, batchMax, withdrawBackoff);
      await inParallel(owing, signal, (id) => service.withdraw(id));
    },
  };
  await Promise.all(
    Object.entries(jobs).map(async ([what, job]) => {
      while (!signal.aborted) {
        try {
          await job(clock.now());
        } catch (error) {
          if (!signal.aborted) log.warn({ err: error }, `${what} failed: it is tried again`);
        }
        await sleep(deps.sweepMs, undefined, { signal }).catch(ignoreAbort);
      }
    }),
  );
}

/** At most `callsMax` at once; one that fails stops none of the others, and is thrown at the end. */
async function inParallel(
  ids: readonly string[],
  signal: AbortSignal,
  work: (id: string) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  const queue = ids.values();
  const worker = async () => {
    for (const id of queue) {
      if (signal.aborted) return;
      await work(id).catch((error: unknown) => {
        failures.push(error);
      });
    }
  };
  await Promise.all(Array.from({ length: Math.min(callsMax, ids.length) }, worker));
  if (failures.length > 0) throw failures[0];
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error && error.name === "AbortError")) throw error;
}
