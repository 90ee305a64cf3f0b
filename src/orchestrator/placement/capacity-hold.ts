// The circuit breaker of a place (region × template) whose provider said, in its own typed error, that it has no room.
//
// Open: nothing is made there until a time, longer after each failure in a row. Half open: that time is past, and one VM
// at a time is tried. A VM that comes up there closes it (its row goes); one more failure opens it again for longer.
import type { ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import type { CapacityScope } from "../providers/provider.js";

export interface CapacityHold {
  readonly region: RegionId;
  readonly templateId: TemplateId;
  readonly provider: ProviderId;
  /** What has run out: this place, or whatever the provider has. */
  readonly scope: CapacityScope;
  /** In a row. */
  readonly failures: number;
  readonly until: Date;
}

export interface HoldPolicy {
  /** After the first failure; doubled by each further one. */
  readonly holdMs: number;
  readonly holdMsMax: number;
}

export type FoundFull = Pick<CapacityHold, "region" | "templateId" | "provider" | "scope"> & {
  readonly policy: HoldPolicy;
};

/** The failures of launches that were under way together count once. */
export function failuresAfter(before: Pick<CapacityHold, "failures" | "until"> | undefined, nowMs: number): number {
  if (before === undefined) return 1;
  return before.until.getTime() > nowMs ? before.failures : before.failures + 1;
}

export const holdMsAfter = (failures: number, { holdMs, holdMsMax }: HoldPolicy): number =>
  Math.min(holdMsMax, holdMs * 2 ** Math.min(failures - 1, 30));

/** What the place's hold, `before`, becomes by one more such word of the provider. */
export function holdAfter(before: CapacityHold | undefined, found: FoundFull, nowMs: number): CapacityHold {
  const { policy, ...place } = found;
  const failures = failuresAfter(before, nowMs);
  const unchanged = before !== undefined && failures === before.failures;
  return { ...place, failures, until: unchanged ? before.until : new Date(nowMs + holdMsAfter(failures, policy)) };
}

export const isOpen = ({ until }: Pick<CapacityHold, "until">, nowMs: number): boolean => until.getTime() > nowMs;

/** For an operator to read. */
export function holdInWords({ templateId, failures, until }: CapacityHold, nowMs: number): string {
  const times = failures === 1 ? "" : `, ${failures} times in a row`;
  const leftSeconds = Math.ceil((until.getTime() - nowMs) / 1000);
  const next = leftSeconds > 0 ? `it is asked again in ${leftSeconds} s` : "it is asked for one VM at a time";
  return `${templateId}: the provider had no capacity${times}; ${next}.`;
}
