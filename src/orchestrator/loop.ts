// Work that is done again and again: when something rang for it, and anyway every so often.
import type { Log } from "../platform/log.js";

/** Runs it after so long, unless what it answers is called before. */
export type Timer = (run: () => void, ms: number) => () => void;

const realTimer: Timer = (run, ms) => {
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
};

/** Rings are counted, so that one which comes while its listener is busy is not missed. */
export class Bell {
  #rings = 0;
  readonly #sleepers = new Set<() => void>();

  constructor(readonly timer: Timer = realTimer) {}

  get rings(): number {
    return this.#rings;
  }

  readonly ring = (): void => {
    this.#rings += 1;
    for (const wake of this.#sleepers) wake();
  };

  /** Resolves once it has rung since `heard`, after `msMax`, or on the signal. */
  async next(heard: number, msMax: number, signal: AbortSignal): Promise<void> {
    if (this.#rings !== heard || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const wake = () => {
        cancel();
        signal.removeEventListener("abort", wake);
        this.#sleepers.delete(wake);
        resolve();
      };
      const cancel = this.timer(wake, msMax);
      signal.addEventListener("abort", wake);
      this.#sleepers.add(wake);
    });
  }
}

/**
 * Until the signal: one round after another, never two at once. A round that throws is logged, and the next one comes
 * as it would have.
 */
export async function keepDoing(
  what: string,
  round: () => Promise<void>,
  options: { bell: Bell; everyMs: number; signal: AbortSignal; log: Log },
): Promise<void> {
  const { bell, everyMs, signal, log } = options;
  while (!signal.aborted) {
    const heard = bell.rings;
    try {
      await round();
    } catch (error) {
      log.error({ err: error }, `${what} failed: it is tried again`);
      await bell.next(bell.rings, Math.min(everyMs, 1_000), signal);
    }
    await bell.next(heard, everyMs, signal);
  }
}
