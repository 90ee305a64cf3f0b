// A queue that grows so steeply that it is full before the trend of 20 bursts shows it: the path has lost most of what it
// carried. A 200 ms queue at 5 Mbit/s takes 90 ms of 16 Mbit/s; feedback comes every 60.
//
// From the first feedback whose end stood `beginMs` longer than the path's least, and longer by `growthMs` than the end
// of the one before, or which tells of a queue too short for that overflowing: `lostShare` lost and `shortMs` queued. Until
// one whose end stands less than `endMs`. In between the path is busy without a pause, so that what arrives is what it
// carries, in each feedback by itself.
import type { ArrivedPacket } from "./queueing-delay.js";

const onsetLimits = {
  beginMs: 35,
  growthMs: 15,
  shortMs: 20,
  lostShare: 0.25,
  endMs: 30,
  spanMsMin: 20,
  packetsMin: 8,
} as const;

export class QueueOnset {
  #queueMsBefore = 0;
  /** Such a queue stands. */
  stands = false;

  /**
   * Takes one feedback's arrived packets, how many were lost among them, and what the last of them queued; answers what
   * the path carries, kbit/s.
   */
  add(arrived: readonly ArrivedPacket[], lost: number, queueMs: number): number | null {
    const { beginMs, growthMs, shortMs, lostShare, endMs, packetsMin } = onsetLimits;
    const steep = queueMs >= beginMs && queueMs - this.#queueMsBefore >= growthMs;
    const overflows = queueMs >= shortMs && lost >= packetsMin && lost >= lostShare * (lost + arrived.length);
    this.#queueMsBefore = queueMs;
    this.stands = steep || overflows || (this.stands && queueMs >= endMs);
    return this.stands ? arrivalKbps(arrived) : null;
  }
}

function arrivalKbps(arrived: readonly ArrivedPacket[]): number | null {
  const [first, last] = [arrived[0]!, arrived.at(-1)!];
  const spanMs = last.arrivalMs - first.arrivalMs;
  if (arrived.length < onsetLimits.packetsMin || spanMs < onsetLimits.spanMsMin) return null;
  const bytes = arrived.reduce((sum, packet) => sum + packet.bytes, -first.bytes);
  return (bytes * 8) / spanMs;
}
