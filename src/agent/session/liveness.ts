// Whether a player is still there. ICE notices a closed tab only after 14–30 s, so the page says so itself every second
// (a keepalive, input.ts), and RTCP counts too: a page whose data channels do not open still watches.

export const livenessLimits = {
  /** Nothing heard, whatever ICE believes. */
  silenceMsMax: 15_000,
  /** Nothing heard, and ICE has lost it too. */
  silenceWithoutIceMsMax: 5_000,
  /** From the offer to media flowing. */
  connectMsMax: 20_000,
  checkMs: 1_000,
} as const;

export interface Sign {
  readonly connected: boolean;
  readonly offeredAtMs: number;
  readonly heardAtMs: number;
  readonly iceConnected: boolean;
}

/** Why the connection is to be given up, in words; null: it lives. */
export function lostBecause(sign: Sign, nowMs: number): string | null {
  const { silenceMsMax, silenceWithoutIceMsMax, connectMsMax } = livenessLimits;
  if (!sign.connected) return nowMs - sign.offeredAtMs > connectMsMax ? "it never connected" : null;
  const silenceMs = nowMs - sign.heardAtMs;
  if (silenceMs > silenceMsMax) return `nothing heard for ${silenceMsMax / 1000} s`;
  if (!sign.iceConnected && silenceMs > silenceWithoutIceMsMax) return "the network path is gone";
  return null;
}
