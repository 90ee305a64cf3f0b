// When a pool (region × template) is said to run low: once, when its free seats fall below the threshold, and again
// only after they were above twice that, so that a pool hovering at the line does not call every few seconds.

export interface LowCapacityPolicy {
  /** Share of the pool's seats, 0–1. */
  readonly share: number;
  /** And never less than so many VMs' seats. */
  readonly vms: number;
}

export interface PoolSeats {
  readonly free: number;
  readonly total: number;
  readonly vms: number;
}

/** In sessions, for a pool with VMs. */
export const lowThreshold = ({ total, vms }: PoolSeats, policy: LowCapacityPolicy): number =>
  Math.max(policy.share * total, (policy.vms * total) / vms);

/** `low` as it was; answers as it is now, and whether to say so. A pool without VMs is none, and forgets. */
export function judgePool(low: boolean, pool: PoolSeats, policy: LowCapacityPolicy): { low: boolean; fire: boolean } {
  if (pool.vms === 0) return { low: false, fire: false };
  const threshold = lowThreshold(pool, policy);
  if (!low) return { low: pool.free < threshold, fire: pool.free < threshold };
  return { low: pool.free <= 2 * threshold, fire: false };
}
