// Between a replica and what it calls: the store and the providers. Here calls are delayed, lost, answered to nobody,
// and here replicas die: before a call, after it, and above all between a provider's answer and the commit that would
// tell of it. A call that was sent is carried out even if its caller has died since.
import { Problem } from "../src/contracts/problems.js";
import { ProviderError } from "../src/orchestrator/providers/provider.js";
import type { Process } from "./kernel/process.js";
import type { Random } from "./kernel/random.js";
import { describe } from "./kernel/trace.js";
import type { Stage } from "./stage.js";

/** `note`: a write that touches neither VMs nor sessions. */
export type CallKind = "read" | "note" | "write" | "provider" | "sink";

/** How much more a crash is wanted at some calls than at others. */
const crashWeight: Record<CallKind, number> = { read: 0.3, note: 1, write: 2, provider: 10, sink: 5 };
const noAnswerMs = 3_000;

export class Wire {
  /** The last thing the replica heard is a provider's answer, and it has not told the store since. */
  #afterProvider = false;
  readonly #random: Random;

  constructor(
    private readonly stage: Stage,
    private readonly process: Process,
    private readonly deps: {
      /** Runs when a write was carried out, before anybody else acts. */
      readonly afterStep: (what: string) => void;
      readonly crash: (why: string) => void;
      readonly isStoreAway: () => boolean;
    },
  ) {
    this.#random = stage.random(`wire ${process.name}`);
  }

  call<T>(kind: CallKind, what: string, args: readonly unknown[], carryOut: () => Promise<T>): Promise<T> {
    const { stage, process } = this;
    const { faults, kernel } = stage;
    return new Promise<T>((resolve, reject) => {
      if (!process.alive) return;
      if (this.#crashes(kind, what)) return;
      const noAnswer = kind === "provider" ? new ProviderError("it timed out") : new Problem("unavailable");
      const toStore = kind !== "provider" && kind !== "sink";
      const lost = () => process.after(noAnswerMs, () => reject(noAnswer));
      if (toStore && this.deps.isStoreAway()) return process.after(5, () => reject(new Problem("unavailable")));
      if (faults.strikes("request-lost", what)) return lost();
      const slow = faults.strikes("slow-call", what);
      const slowMs = () => (slow ? faults.random("slow-call").between(50, 4_000) : 0);
      kernel.after(this.#random.between(0, 3) + slowMs(), () => {
        carryOut().then(
          (value) => this.#answer(kind, what, args, value, () => resolve(value), slowMs(), lost),
          (error: unknown) => this.#answer(kind, what, args, error, () => reject(error), slowMs(), lost),
        );
      });
    });
  }

  #crashes(kind: CallKind, what: string): boolean {
    const { faults } = this.stage;
    const between = kind === "write" && this.#afterProvider;
    if (kind === "write") this.#afterProvider = false;
    const crashes =
      (between && faults.strikes("crash-after-provider", what)) ||
      faults.strikes("crash-before-call", what, crashWeight[kind]);
    if (crashes) this.deps.crash(`before ${what}`);
    return crashes;
  }

  #answer(
    kind: CallKind,
    what: string,
    args: readonly unknown[],
    outcome: unknown,
    settle: () => void,
    delayMs: number,
    lost: () => void,
  ): void {
    const { stage, process } = this;
    stage.trace.add(`${process.name} ${what}(${describe(args)}) → ${describe(outcome)}`);
    if (kind === "write") this.deps.afterStep(what);
    if (!process.alive) return;
    if (kind === "provider") this.#afterProvider = true;
    if (stage.faults.strikes("crash-after-call", what, crashWeight[kind])) this.deps.crash(`after ${what}`);
    else if (stage.faults.strikes("reply-lost", what)) lost();
    else if (delayMs === 0 && process.running) settle();
    else process.after(delayMs, settle);
  }
}
