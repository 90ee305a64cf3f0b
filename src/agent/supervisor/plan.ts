// What to start and stop so that the VM runs what the control plane wants: level-triggered, from the heartbeat's answer.
//
// Safe to repeat: once its steps are taken, the same answer plans nothing. A session that ran here and is over is never
// started again, however long its seat is still listed: what became of it was reported, and who reads that report
// decides. A session still closing is not started beside itself; the next heartbeat plans it.
import type { SeatSpec } from "../../contracts/orchestrator.js";

/** `closing`: its process was told to end; `over`: its process is gone, its seat was still listed last time. */
export type SessionPhase = "running" | "closing" | "over";

export interface Plan {
  readonly start: readonly SeatSpec[];
  /** Running without a seat: to be ended. */
  readonly stop: readonly string[];
  /** Over and without a seat: nothing is left to remember. */
  readonly forget: readonly string[];
}

export function plan(desired: readonly SeatSpec[], known: ReadonlyMap<string, SessionPhase>): Plan {
  const seats = new Map(desired.map((seat) => [seat.sessionId, seat]));
  const withoutSeat = (phase: SessionPhase) =>
    [...known].filter(([sessionId, its]) => its === phase && !seats.has(sessionId)).map(([sessionId]) => sessionId);
  return {
    start: [...seats.values()].filter(({ sessionId }) => !known.has(sessionId)),
    stop: withoutSeat("running"),
    forget: withoutSeat("over"),
  };
}
