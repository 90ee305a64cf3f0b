// Packets sent together, as the receiver saw them: bursts of at most 5 ms of sending (draft-ietf-rmcat-gcc-02 §5.2), so
// for us mostly one frame each. From one burst to the next comes the change of delay that the trend is made of; within
// one burst, how far a bottleneck has drawn its packets apart says how fast that bottleneck is (packet trains: Dovrolis,
// Ramanathan, Moore, "Packet-Dispersion Techniques and a Capacity-Estimation Methodology", 2004).
import type { ReportedPacket } from "./sent-packets.js";

const burstMs = 5;
/** Fewer say little about the path: arrival times come in quarters of a millisecond. */
const trainPacketsMin = 5;
const dispersionMsMin = 0.5;

export interface Burst {
  readonly arrivalMs: number;
  /** How much later than the burst before it this one arrived than it was sent; null: the first. */
  readonly delayChangeMs: number | null;
  /** What the path let through within it; null: too few packets to tell. */
  readonly trainKbps: number | null;
}

interface OpenBurst {
  readonly firstSentMs: number;
  lastSentMs: number;
  readonly firstArrivalMs: number;
  lastArrivalMs: number;
  packets: number;
  /** Without the first packet: its own time on the wire is not seen. */
  bytesAfterFirst: number;
}

export class ArrivalGroups {
  #open: OpenBurst | null = null;
  #before: OpenBurst | null = null;

  /** Takes the next packet that arrived, in order of sending; answers the burst that it shows to be complete. */
  add({ sentAtMs, arrivalMs, bytes }: ReportedPacket & { readonly arrivalMs: number }): Burst | null {
    const open = this.#open;
    if (open !== null && sentAtMs - open.firstSentMs <= burstMs) {
      open.lastSentMs = Math.max(open.lastSentMs, sentAtMs);
      open.lastArrivalMs = Math.max(open.lastArrivalMs, arrivalMs);
      open.packets += 1;
      open.bytesAfterFirst += bytes;
      return null;
    }
    this.#open = {
      firstSentMs: sentAtMs,
      lastSentMs: sentAtMs,
      firstArrivalMs: arrivalMs,
      lastArrivalMs: arrivalMs,
      packets: 1,
      bytesAfterFirst: 0,
    };
    if (open === null) return null;
    const before = this.#before;
    this.#before = open;
    const delayChangeMs = before && open.lastArrivalMs - before.lastArrivalMs - (open.lastSentMs - before.lastSentMs);
    return { arrivalMs: open.lastArrivalMs, delayChangeMs, trainKbps: trainKbps(open) };
  }
}

function trainKbps({ packets, bytesAfterFirst, firstArrivalMs, lastArrivalMs }: OpenBurst): number | null {
  if (packets < trainPacketsMin) return null;
  return (bytesAfterFirst * 8) / Math.max(dispersionMsMin, lastArrivalMs - firstArrivalMs);
}
