// One seed's story: so long with faults, then without them until the world has come to rest.
import type { Break } from "./breaks.js";
import type { FaultCounts } from "./faults.js";
import { Stage, startMs } from "./stage.js";
import { World } from "./world.js";

export interface SeedOptions {
  readonly seed: number;
  readonly lastsMs: number;
  readonly faults: boolean;
  /** Broken on purpose. */
  readonly break: Break | null;
  /** Gets every line of the trace at once. */
  readonly print: ((line: string) => void) | null;
}

export interface SeedResult {
  readonly seed: number;
  readonly hash: string;
  readonly faults: FaultCounts;
  readonly vms: number;
  readonly sessions: number;
  readonly events: number;
  /** Virtual time from the end of the faults until rest, ms. */
  readonly restMs: number;
  readonly broken: {
    readonly invariant: string;
    readonly what: string;
    readonly atMs: number;
    readonly trace: readonly string[];
  } | null;
}

const restMsMax = 90 * 60_000;
const lookMs = 10_000;

export async function runSeed(options: SeedOptions): Promise<SeedResult> {
  const { seed, lastsMs, print } = options;
  const stage = new Stage(options);
  const { kernel, trace } = stage;
  const unhandled = (error: unknown) =>
    stage.break("nothing unexpected is thrown", error instanceof Error ? `${error.stack}` : String(error));
  process.on("unhandledRejection", unhandled);
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = print === null ? 0 : stackTraceLimit; // a tenth of the time goes into stacks nobody reads
  try {
    const world = new World(stage, options.break);
    const isBroken = () => stage.broken !== null;
    await kernel.run(startMs + lastsMs, isBroken);
    world.calm();
    const calmAtMs = kernel.nowMs;
    while (!isBroken() && world.unrest().length > 0 && kernel.nowMs < calmAtMs + restMsMax)
      await kernel.run(kernel.nowMs + lookMs, isBroken);
    const unrest = world.unrest();
    if (unrest.length > 0)
      stage.break("convergence", `${restMsMax / 60_000} minutes after the faults: ${unrest.join(", ")}`);
    const { broken } = stage;
    return {
      seed,
      hash: trace.hash,
      faults: stage.faults.counts,
      vms: world.rows.vmsMade,
      sessions: world.sessions.made,
      events: kernel.eventsRun,
      restMs: kernel.nowMs - calmAtMs,
      broken: broken && {
        invariant: broken.invariant,
        what: broken.message,
        atMs: kernel.nowMs - startMs,
        trace: trace.last(),
      },
    };
  } finally {
    process.off("unhandledRejection", unhandled);
    Error.stackTraceLimit = stackTraceLimit;
  }
}
