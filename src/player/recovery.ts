// What the player does when something breaks: pure decisions, so that every close code has one answer, in one place.
//
// Guarantees: retries are spread out (no herd after a server restart) and never faster than `delayMsFirst` / 2; a
// refusal is answered once with a fresh ticket, never with the same credential again.
import { closeCodes } from "../contracts/signalling.js";
import type { ProblemKind } from "./api.js";

/** What to do after a signalling socket closed. */
export type Recovery = "retry" | "fresh-ticket" | ProblemKind;

const recoveries: Readonly<Record<number, Recovery>> = {
  [closeCodes.ended]: "over",
  [closeCodes.badMessage]: "misunderstood",
  [closeCodes.unauthenticated]: "fresh-ticket",
  [closeCodes.forbidden]: "fresh-ticket",
  [closeCodes.notFound]: "not-found",
  [closeCodes.helloTimeout]: "retry",
  [closeCodes.takenOver]: "taken-over",
  [closeCodes.unsupportedVersion]: "misunderstood",
  [closeCodes.tooFast]: "retry",
  [closeCodes.unavailable]: "retry",
};

/** Codes below 4000 are the protocol's own (a restart, a proxy, a lost network): they pass. */
export const recoveryFor = (closeCode: number): Recovery => recoveries[closeCode] ?? "retry";

const delayMsFirst = 250;
const delayMsMax = 8_000;

/** Before retry number `attempt` (from 0), in ms: exponential, half of it jitter. `random` in [0, 1). */
export function retryDelayMs(attempt: number, random: number): number {
  const ceiling = Math.min(delayMsMax, delayMsFirst * 2 ** Math.min(attempt, 10));
  return Math.round((ceiling / 2) * (1 + random));
}

/** How long the player tries before it gives up, when no media flows meanwhile. */
export const retryLimits = { reachMsMax: 30_000, reconnectMsMax: 90_000 } as const;
