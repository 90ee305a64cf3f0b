// What goes wrong, by the seed: a mixture of its own, each kind counted.
//
// A kind strikes with a share of its opportunities, times how heavily this seed leans on it. Every kind has its own
// stream of randomness. After `stop` nothing strikes any more: then the world must come to rest.
import { Random } from "./kernel/random.js";
import type { Trace } from "./kernel/trace.js";

/** The share of its opportunities at which each kind strikes, before the seed's leaning. */
const shares = {
  /** A replica dies before a call it is about to make; its opportunities are weighed by what the call is. */
  "crash-before-call": 0.000_3,
  /** … after the call was carried out and before its answer came. */
  "crash-after-call": 0.000_3,
  /** … between a provider's answer and the commit that would tell of it. */
  "crash-after-provider": 0.01,
  /** Carried out, but the caller hears that nobody answered. */
  "reply-lost": 0.004,
  /** Not carried out, and the caller hears the same. */
  "request-lost": 0.004,
  "slow-call": 0.01,
  /** The machine was made, and the caller hears of a time-out. */
  "create-timed-out": 0.05,
  "create-failed": 0.04,
  /** The provider lists what was so a while ago. */
  "stale-list": 0.03,
  /** The provider says that it ended the machine, which runs on. */
  "delete-ignored": 0.1,
  /** Two machines for one VM, for all the client token says. */
  "double-launch": 0.5,
  "boot-never": 0.04,
  /** Its agent comes up after the deadline. */
  "boot-late": 0.04,
  /** A request arrives a second time, later. */
  "duplicate-message": 0.015,
  /** A message is overtaken by those sent after it. */
  "reordered-message": 0.015,
  /** A listener is deaf for a while, and told so afterwards. */
  "news-gap": 0.002,
} as const;

/** Kinds that begin by themselves, and how far apart they are on average, before the seed's leaning. */
const periods = {
  /** A place, or all of a provider, has no room for a while; counted for each launch refused. */
  "capacity-error": 20 * 60_000,
  /** The provider refuses every call for a while; counted for each. */
  throttled: 30 * 60_000,
  /** An agent cannot be reached for a while, and returns. */
  "silent-agent": 6 * 60_000,
  /** … for so long that its VM is given up, and its machine survives that. */
  "zombie-agent": 20 * 60_000,
  "machine-lost": 12 * 60_000,
  /** A replica stands still, and then everything of it comes late together. */
  "replica-paused": 12 * 60_000,
  "sink-down": 25 * 60_000,
  "database-away": 40 * 60_000,
} as const;

type ChanceKind = keyof typeof shares;
export type PeriodKind = keyof typeof periods;
export type FaultKind = ChanceKind | PeriodKind;
export const faultKinds = [...Object.keys(shares), ...Object.keys(periods)] as FaultKind[];
export type FaultCounts = Record<FaultKind, number>;

/** How heavily a seed leans on a kind: most lean on most, none on all. */
const leanings = [0, 0.3, 0.5, 1, 1, 1, 1.5, 2, 3];

export class Faults {
  readonly counts = Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as FaultCounts;
  readonly #random: Record<FaultKind, Random>;
  readonly #leaning: Record<FaultKind, number>;
  #on: boolean;

  constructor(
    seed: number,
    private readonly trace: Trace,
    options: { on: boolean },
  ) {
    const mixture = new Random(seed, "fault mixture");
    const each = <T>(value: (kind: FaultKind) => T) =>
      Object.fromEntries(faultKinds.map((kind) => [kind, value(kind)])) as Record<FaultKind, T>;
    this.#leaning = each(() => mixture.pick(leanings));
    this.#random = each((kind) => new Random(seed, `fault ${kind}`));
    this.#on = options.on;
  }

  get on(): boolean {
    return this.#on;
  }

  stop(): void {
    this.#on = false;
  }

  /** Whether it strikes now; counted and traced if so. `weight`: how much more this opportunity counts than others. */
  strikes(kind: ChanceKind, what: string, weight = 1): boolean {
    if (!this.#on || !this.#random[kind].chance(shares[kind] * this.#leaning[kind] * weight)) return false;
    this.note(kind, what);
    return true;
  }

  note(kind: FaultKind, what: string): void {
    this.counts[kind] += 1;
    this.trace.add(`fault ${kind}: ${what}`);
  }

  /** The randomness of what the kind does. */
  random(kind: FaultKind): Random {
    return this.#random[kind];
  }

  /** How long until the next period of the kind begins; null: never in this seed. */
  nextPeriodMs(kind: PeriodKind): number | null {
    const leaning = this.#leaning[kind];
    return leaning === 0 ? null : this.#random[kind].wait(periods[kind] / leaning);
  }
}
