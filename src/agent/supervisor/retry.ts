// Waiting and trying again, both ended by a signal.
import { Problem } from "../../contracts/problems.js";
import { backoffMs } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";

export const backoff = { baseMs: 100, capMs: 5_000 } as const;

/** Resolves after `ms`, or as soon as `signal` fires. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal.addEventListener("abort", wake);
  });

/** Repeats `attempt` with back-off while it fails in a way that may pass; rejects when it may not, or on the signal. */
export async function retry<T>(
  { random, log, signal }: { random: () => number; log: Log; signal: AbortSignal },
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; failures++) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Problem) || !isPassing(error)) throw error;
      const waitMs = backoffMs(failures, random(), backoff);
      log.warn({ problem: error.message, waitMs }, "the control plane does not answer; trying again");
      await pause(waitMs, signal);
    }
  }
}

const isPassing = ({ type }: Problem) => type === "unavailable" || type === "internal" || type === "rate-limited";
