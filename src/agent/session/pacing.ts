// When the next frame or piece of sound is due, by real time: pure arithmetic on a counter, so no drift can add up.
// Being late skips what was missed; nothing is ever queued.

export interface Tick {
  readonly index: number;
  readonly dueMs: number;
}

/** The tick after `lastIndex`: the next on the grid, or, when that has passed, the newest one due already. */
export function nextTick(grid: { originMs: number; periodMs: number }, lastIndex: number, nowMs: number): Tick {
  const index = Math.max(lastIndex + 1, Math.floor((nowMs - grid.originMs) / grid.periodMs));
  return { index, dueMs: grid.originMs + index * grid.periodMs };
}

/**
 * Sound keeps every piece while the delay is small, because a skipped one is a click: `pieces` are due now. Beyond
 * `behindMax` pieces the older ones are given up (`skipped`), else the listener would hear the past from then on.
 */
export function piecesDue(
  grid: { originMs: number; periodMs: number },
  produced: number,
  nowMs: number,
  behindMax: number,
): { pieces: number; skipped: number } {
  const due = Math.max(0, Math.floor((nowMs - grid.originMs) / grid.periodMs) - produced);
  return due > behindMax ? { pieces: 1, skipped: due - 1 } : { pieces: due, skipped: 0 };
}
