// When the sound is sent with in-band FEC: from two hundredths of its packets lost, until it has lost next to nothing for
// half a minute. It is not for nothing (opus-encoder.ts), and each change is a new encoder, which may be heard.
export const protectionLimits = { onShare: 0.02, offShare: 0.005, offAfterMs: 30_000 } as const;

export class SoundProtection {
  #lossyAtMs = Number.NEGATIVE_INFINITY;
  on = false;

  /** A receiver report: so much of what it expected was lost. Answers whether `on` has changed. */
  update(lossShare: number, nowMs: number): boolean {
    const { onShare, offShare, offAfterMs } = protectionLimits;
    if (lossShare > offShare) this.#lossyAtMs = nowMs;
    const before = this.on;
    this.on = lossShare >= onShare || (before && nowMs - this.#lossyAtMs < offAfterMs);
    return this.on !== before;
  }
}
