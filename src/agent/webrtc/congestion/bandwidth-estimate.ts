// How much the path to the browser carries, from what its transport-wide feedback says of each packet: Google congestion
// control (draft-ietf-rmcat-gcc-02), with two additions.
//
// Delay decides first: growing queues (delay-trend.ts) cut the rate to 0.85 of what arrives, an emptying queue is let
// empty, and a quiet path is given 8 % a second more, near its known capacity one packet a round trip more. Loss while
// a queue stands is that queue overflowing, and cuts alike. Other loss is the radio's: up to 10 % retransmission
// repairs it and the rate is kept. What is not sent is not tried out: a quiet game raises the estimate no further than
// half over what arrives, and does not lower it; nor is what it sends a measure of the path when there is a queue.
//
// The first addition: a path that loses most of its capacity has its queue full before the trend shows it. A steep rise of
// the delay (queue-onset.ts) cuts at once to 0.85 of what that one feedback says arrives. What was sent until then tells
// nothing about the new rate, which neither rises nor is cut again for it until the queue is gone.
//
// The second: our bursts are whole frames, so they are packet trains, whose spreading tells what the bottleneck
// carries. While the path is quiet and the trains say that much more fits, the estimate goes up by half at once, which
// is a probe without padding. Where that was wrong (aggregating radios bunch packets) delay says so within a tenth of a
// second, and the next such step waits longer each time.
import { ArrivalGroups, type Burst } from "./arrival-groups.js";
import { DelayTrend } from "./delay-trend.js";
import { DeliveryRate } from "./delivery-rate.js";
import { LinkCapacity } from "./link-capacity.js";
import { QueueOnset } from "./queue-onset.js";
import { type ArrivedPacket, QueueingDelay } from "./queueing-delay.js";
import type { ReportedPacket } from "./sent-packets.js";

export interface RateBounds {
  readonly kbpsMin: number;
  readonly kbpsMax: number;
}

const decrease = { factor: 0.85, gapMsMin: 100, gapMsMax: 200, filledShare: 0.7, onsetFilledShare: 0.4 };
const increase = {
  perSecond: 1.08,
  lossyPerSecond: 1.04,
  overDelivered: 1.5,
  overDeliveredKbps: 10,
  packetBytes: 1_200,
};
const loss = { windowMs: 500, packetsMin: 20, high: 0.1, low: 0.02, standingQueueMs: 30 };
const step = { factor: 1.5, share: 0.9, worthFactor: 1.25, gapMs: 200, quietMs: 500, trains: 15, blameMs: 1_000 };
const stepPauseMs = { first: 2_000, max: 60_000 };
/** No feedback for so long is an outage, which says nothing about the rate. */
const outageMs = 1_000;

export class BandwidthEstimate {
  readonly #bounds: RateBounds;
  readonly #delivery = new DeliveryRate();
  /** What we sent, arrived or not: whether we filled the rate. */
  readonly #sending = new DeliveryRate();
  readonly #capacity = new LinkCapacity();
  readonly #queueing = new QueueingDelay();
  readonly #onset = new QueueOnset();
  /** When a queue stood up steeply, it was ours. */
  #filledAtOnset = false;
  readonly #trains: number[] = [];
  #groups = new ArrivalGroups();
  #trend = new DelayTrend();
  #kbps: number;
  #heardAtMs: number | null = null;
  #cutAtMs = Number.NEGATIVE_INFINITY;
  /** What was sent before was sent at a rate that an onset has ended. */
  #freshFromMs = Number.NEGATIVE_INFINITY;
  #loss = { sinceMs: 0, packets: 0, lost: 0 };
  #lossShare = 0;
  #step = { atMs: Number.NEGATIVE_INFINITY, notBeforeMs: 0, pauseMs: stepPauseMs.first };

  constructor(startKbps: number, bounds: RateBounds) {
    this.#bounds = bounds;
    this.#kbps = startKbps;
  }

  get kbps(): number {
    return this.#kbps;
  }

  /** The path has just lost most of what it carried: a queue stands that will overflow, or does. */
  get overflowing(): boolean {
    return this.#onset.stands;
  }

  /** Takes one feedback: the packets it tells of for the first time, in order of sending. Times are of one clock. */
  update(packets: readonly ReportedPacket[], nowMs: number, roundTripMs: number): void {
    const sinceMs = this.#heardAtMs === null ? 0 : nowMs - this.#heardAtMs;
    this.#heardAtMs = nowMs;
    if (sinceMs > outageMs) this.#startAnew(nowMs);
    else this.#countLoss(packets, nowMs);
    for (const { sentAtMs, bytes } of packets) this.#sending.add(sentAtMs, bytes);
    const arrived = packets.filter((packet): packet is ArrivedPacket => packet.arrivalMs !== null);
    for (const packet of arrived) this.#arrived(packet);
    if (arrived.length > 0) {
      this.#queueing.add(arrived, nowMs);
      const lost = packets.filter(({ sentAtMs, arrivalMs }) => arrivalMs === null && sentAtMs >= this.#freshFromMs);
      this.#yieldToOnset(arrived, lost.length, nowMs);
    }
    if (!this.#onset.stands) this.#decide(nowMs, Math.min(sinceMs, outageMs), roundTripMs);
    const { kbpsMin, kbpsMax } = this.#bounds;
    this.#kbps = Math.min(kbpsMax, Math.max(kbpsMin, this.#kbps));
  }

  #arrived(packet: ArrivedPacket): void {
    this.#delivery.add(packet.arrivalMs, packet.bytes);
    if (packet.sentAtMs < this.#freshFromMs) return;
    const burst: Burst | null = this.#groups.add(packet);
    if (burst === null) return;
    if (burst.delayChangeMs !== null) this.#trend.add(burst.arrivalMs, burst.delayChangeMs);
    if (burst.trainKbps === null) return;
    this.#trains.push(burst.trainKbps);
    if (this.#trains.length > step.trains) this.#trains.shift();
  }

  #yieldToOnset(arrived: readonly ArrivedPacket[], lost: number, nowMs: number): void {
    const stood = this.#onset.stands;
    const carriedKbps = this.#onset.add(arrived, lost, this.#queueing.endMs);
    if (!stood) this.#filledAtOnset = this.#fills(decrease.onsetFilledShare);
    // Somebody else's queue: one cut gives way to it, and what we send is no measure of the path.
    const others = !this.#filledAtOnset;
    if (carriedKbps === null || (others && stood)) return;
    const cut = decrease.factor * (others ? this.#kbps : carriedKbps);
    if (cut >= this.#kbps) return;
    this.#kbps = cut;
    this.#capacity.learn(carriedKbps);
    this.#hasCut(nowMs);
    this.#startAnew(nowMs);
  }

  #decide(nowMs: number, elapsedMs: number, roundTripMs: number): void {
    const delivered = this.#delivery.kbps;
    const overflows = this.#lossShare >= loss.low && this.#queueing.ms >= loss.standingQueueMs;
    if (this.#trend.use === "overused" || overflows) this.#cutToDelivered(delivered, nowMs, roundTripMs);
    else if (this.#trend.use === "normal") {
      this.#raise(delivered, elapsedMs, roundTripMs);
      this.#stepUp(delivered, nowMs);
    }
  }

  #cutToDelivered(delivered: number | null, nowMs: number, roundTripMs: number): void {
    const gapMs = Math.min(decrease.gapMsMax, Math.max(decrease.gapMsMin, roundTripMs));
    if (nowMs - this.#cutAtMs < gapMs) return;
    if (delivered !== null) this.#capacity.learn(delivered);
    const filled = this.#fills(decrease.filledShare);
    this.#kbps = Math.min(this.#kbps, decrease.factor * (filled ? (delivered ?? this.#kbps) : this.#kbps));
    this.#hasCut(nowMs);
  }

  /** Whether we send at least so much of what we may. */
  #fills(share: number): boolean {
    return (this.#sending.kbps ?? this.#kbps) >= share * this.#kbps;
  }

  #hasCut(nowMs: number): void {
    this.#cutAtMs = nowMs;
    this.#trains.length = 0;
    if (nowMs - this.#step.atMs > step.blameMs) return;
    const { pauseMs } = this.#step;
    this.#step = {
      atMs: Number.NEGATIVE_INFINITY,
      notBeforeMs: nowMs + pauseMs,
      pauseMs: Math.min(stepPauseMs.max, 2 * pauseMs),
    };
  }

  #raise(delivered: number | null, elapsedMs: number, roundTripMs: number): void {
    if (delivered !== null && delivered > this.#capacity.kbpsMax) this.#capacity.forget();
    const near = delivered !== null && this.#capacity.isNear(delivered);
    const perSecond = this.#lossShare < loss.low ? increase.perSecond : increase.lossyPerSecond;
    const raised = near
      ? this.#kbps + (increase.packetBytes * 8 * elapsedMs) / (1_000 * (roundTripMs + 100))
      : this.#kbps * perSecond ** (elapsedMs / 1000);
    this.#kbps = Math.max(this.#kbps, Math.min(raised, ceiling(delivered)));
  }

  #stepUp(delivered: number | null, nowMs: number): void {
    const { atMs, notBeforeMs } = this.#step;
    const quiet = nowMs - this.#cutAtMs >= step.quietMs && nowMs - atMs >= step.gapMs && nowMs >= notBeforeMs;
    if (!quiet || this.#lossShare >= loss.low || this.#trains.length < step.trains) return;
    const fits = step.share * median(this.#trains);
    if (fits < this.#kbps * step.worthFactor) return;
    const next = Math.min(fits, this.#kbps * step.factor, ceiling(delivered));
    if (next <= this.#kbps) return;
    this.#kbps = next;
    this.#step = { ...this.#step, atMs: nowMs };
    this.#capacity.forget();
  }

  #countLoss(packets: readonly ReportedPacket[], nowMs: number): void {
    for (const { sentAtMs, arrivalMs } of packets) {
      if (sentAtMs < this.#freshFromMs) continue;
      this.#loss.packets += 1;
      if (arrivalMs === null) this.#loss.lost += 1;
    }
    if (nowMs - this.#loss.sinceMs < loss.windowMs || this.#loss.packets < loss.packetsMin) return;
    this.#lossShare = this.#loss.lost / this.#loss.packets;
    this.#loss = { sinceMs: nowMs, packets: 0, lost: 0 };
    if (this.#lossShare <= loss.high) return;
    this.#kbps *= 1 - 0.5 * this.#lossShare;
    this.#cutAtMs = nowMs;
  }

  #startAnew(nowMs: number): void {
    this.#freshFromMs = nowMs;
    this.#lossShare = 0;
    this.#groups = new ArrivalGroups();
    this.#trend = new DelayTrend();
    this.#trains.length = 0;
    this.#loss = { sinceMs: nowMs, packets: 0, lost: 0 };
  }
}

/** What was not tried is not known. */
const ceiling = (delivered: number | null): number =>
  delivered === null ? 0 : increase.overDelivered * delivered + increase.overDeliveredKbps;

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1]!;
}
