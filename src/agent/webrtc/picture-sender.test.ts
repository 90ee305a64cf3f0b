import { describe, expect, it } from "vitest";
import { KeyframeRequests, keyframeGapMsMin } from "./keyframe-requests.js";
import { pacing } from "./pacer.js";
import { PictureSender } from "./picture-sender.js";
import { retransmissionLimits } from "./retransmission.js";
import type { Feedback } from "./rtcp.js";

/** A path with one bottleneck: so fast, with a queue of so many ms that drops at its tail, losing and jittering. */
interface Path {
  readonly kbps: number;
  readonly queueMs?: number;
  readonly lossShare?: number;
  readonly jitterMs?: number;
  /** Nothing comes through, either way. */
  readonly dark?: boolean;
}

interface Packet {
  readonly ssrc: number;
  readonly sequence: number;
  readonly transport: number;
  readonly timestamp: number;
  readonly marker: boolean;
}

const [ssrc, rtxSsrc] = [7, 8];
const headerBytes = 12 + 12;
const oneWayMs = 15;
const feedbackMs = 62;
const retryMs = 40;

function readPacket(bytes: Buffer): Packet {
  const retransmission = bytes.readUInt32BE(8) === rtxSsrc;
  return {
    ssrc: bytes.readUInt32BE(8),
    sequence: bytes.readUInt16BE(retransmission ? headerBytes : 2),
    transport: bytes.readUInt16BE(17),
    timestamp: bytes.readUInt32BE(4),
    marker: (bytes[1]! & 0x80) !== 0,
  };
}

/** What a browser does: puts frames together, shows each whole one after the one before, reports, and asks again. */
class Browser {
  readonly shownAtMs: number[] = [];
  readonly #packets = new Map<number, Packet>();
  readonly #missing = new Map<number, number>();
  #arrivals: { sequence: number; arrivalMs: number }[] = [];
  #reportedTo = 0;
  #reportedAtMs = 0;
  #next = 0;
  newest = -1;

  constructor(private readonly keyframes: ReadonlySet<number>) {}

  receive(packet: Packet, nowMs: number): void {
    this.#arrivals.push({ sequence: packet.transport, arrivalMs: nowMs });
    this.#missing.delete(packet.sequence);
    if (packet.sequence < this.#next) return;
    for (let lost = this.newest + 1; lost < packet.sequence; lost++) this.#missing.set(lost, Number.NEGATIVE_INFINITY);
    this.newest = Math.max(this.newest, packet.sequence);
    this.#packets.set(packet.sequence, packet);
    this.#show(nowMs);
  }

  #show(nowMs: number): void {
    const starts = [
      this.#next,
      ...[...this.#packets].flatMap(([at, one]) => (this.#beginsKeyframe(at, one) ? [at] : [])),
    ];
    for (const start of starts.sort((a, b) => b - a)) {
      for (let at = start, packet = this.#packets.get(at); packet !== undefined; packet = this.#packets.get(++at)) {
        if (!packet.marker) continue;
        this.shownAtMs.push(nowMs);
        this.#next = at + 1;
      }
      if (this.#next > start) break;
    }
    for (const at of this.#packets.keys()) if (at < this.#next) this.#packets.delete(at);
    for (const at of this.#missing.keys()) if (at < this.#next) this.#missing.delete(at);
  }

  #beginsKeyframe(at: number, { timestamp }: Packet): boolean {
    return this.keyframes.has(timestamp) && (at === 0 || this.#packets.get(at - 1)?.timestamp !== timestamp);
  }

  nack(nowMs: number): number[] {
    const due = [...this.#missing].filter(([, askedAtMs]) => nowMs - askedAtMs >= retryMs).map(([at]) => at);
    for (const at of due) this.#missing.set(at, nowMs);
    return due;
  }

  /** Every 62 ms all up to the last one that has arrived. */
  report(nowMs: number): { sequence: number; arrivalMs: number | null }[] {
    if (nowMs - this.#reportedAtMs < feedbackMs || this.#arrivals.length === 0) return [];
    this.#reportedAtMs = nowMs;
    const arrived = new Map(this.#arrivals.map(({ sequence, arrivalMs }) => [sequence, arrivalMs]));
    const last = Math.max(...arrived.keys());
    const all = Array.from({ length: Math.max(0, last + 1 - this.#reportedTo) }, (_, i) => this.#reportedTo + i);
    this.#reportedTo = Math.max(this.#reportedTo, last + 1);
    this.#arrivals = [];
    return all.map((sequence) => ({ sequence, arrivalMs: arrived.get(sequence) ?? null }));
  }
}

/** A game that fills the rate, its frames through the path, and what the browser says back. Virtual time, ms by ms. */
class Play {
  readonly sender: PictureSender;
  readonly keyframes = new Set<number>();
  readonly browser = new Browser(this.keyframes);
  readonly sent: { atMs: number; bytes: number; timestamp: number }[] = [];
  dropped = 0;
  nowMs = 0;
  #path: Path = { kbps: 20_000 };
  #freeAtMs = 0;
  #lastDueMs = 0;
  #frameAtMs = 0;
  readonly #requests = new KeyframeRequests(keyframeGapMsMin);
  readonly #toBrowser: { dueMs: number; packet: Packet }[] = [];
  readonly #toSender: { dueMs: number; say: () => boolean }[] = [];
  #state = 1;

  /** `kbps` is the most it sends, and what it begins with. */
  constructor(
    kbps: number,
    private readonly fps = 60,
    private readonly keyframeFactor = 1,
  ) {
    this.#requests.requestNow();
    const stream = {
      ssrc,
      payloadType: 108,
      clockRate: 90_000,
      cname: "test",
      extensions: { playoutDelay: 5, transportSequence: 4 },
      rtx: { ssrc: rtxSsrc, payloadType: 109 },
      firstSequence: 0,
      send: (packet: Buffer) => this.#transmit(packet),
    };
    this.sender = new PictureSender(stream, kbps, { kbpsMin: 1_000, kbpsMax: kbps });
    this.sender.roundTripMs = 2 * oneWayMs;
  }

  run(path: Path, ms: number): this {
    this.#path = path;
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs; this.nowMs += 1) this.#step();
    return this;
  }

  /** As if the browser had just said so. */
  hear(feedback: Feedback): void {
    if (this.sender.obey(feedback, this.nowMs)) this.#requests.request();
  }

  #step(): void {
    const { nowMs, sender, browser } = this;
    for (; (this.#toBrowser[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs; this.#toBrowser.shift())
      browser.receive(this.#toBrowser[0]!.packet, this.#toBrowser[0]!.dueMs);
    const sequences = browser.nack(nowMs);
    if (sequences.length > 0) this.#answer((atMs) => sender.obey({ type: "nack", ssrc, sequences }, atMs));
    const packets = browser.report(nowMs);
    if (packets.length > 0) this.#answer((atMs) => sender.obey({ type: "transport", feedbackCount: 0, packets }, atMs));
    for (; (this.#toSender[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs; this.#toSender.shift())
      if (this.#toSender[0]!.say()) this.#requests.request();
    if (nowMs % pacing.stepMs === 0) sender.sendWaiting(nowMs);
    if (nowMs < this.#frameAtMs) return;
    this.#frameAtMs += 1000 / this.fps;
    if (sender.hasRoom(nowMs)) this.#frame();
  }

  #frame(): void {
    const keyframe = this.#requests.take(this.nowMs);
    const timestamp = Math.round(this.nowMs * 90);
    if (keyframe) this.keyframes.add(timestamp);
    const bytes = Math.round((this.sender.kbps * 125) / this.fps) * (keyframe ? this.keyframeFactor : 1);
    const unit = Buffer.alloc(bytes, 0x41);
    unit.set([0, 0, 1]);
    if (!this.sender.send({ bytes: unit, keyframe }, timestamp, this.nowMs)) this.#requests.request();
  }

  #answer(say: (atMs: number) => boolean): void {
    const dueMs = this.nowMs + oneWayMs;
    if (!this.#path.dark) this.#toSender.push({ dueMs, say: () => say(dueMs) });
  }

  #transmit(packet: Buffer): void {
    const { kbps, queueMs = 200, lossShare = 0, jitterMs = 0, dark = false } = this.#path;
    this.sent.push({ atMs: this.nowMs, bytes: packet.length, timestamp: packet.readUInt32BE(4) });
    if (dark || this.#freeAtMs - this.nowMs > queueMs) {
      this.dropped++;
      return;
    }
    this.#freeAtMs = Math.max(this.#freeAtMs, this.nowMs) + (packet.length * 8) / kbps;
    if (this.#random() < lossShare) return;
    const dueMs = Math.max(this.#lastDueMs, this.#freeAtMs + oneWayMs + this.#random() * jitterMs);
    this.#lastDueMs = dueMs;
    this.#toBrowser.push({ dueMs, packet: readPacket(packet) });
  }

  #random(): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#state / 2 ** 32;
  }

  get sentBytes(): number {
    return this.sent.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** For how long packets with this timestamp left. */
  leaving(timestamp: number): number {
    const times = this.sent.filter((packet) => packet.timestamp === timestamp).map(({ atMs }) => atMs);
    return Math.max(...times) - Math.min(...times);
  }

  /** The longest time without a new picture. */
  freezeMs(fromMs: number, toMs = this.nowMs): number {
    const times = this.browser.shownAtMs.filter((ms) => ms > fromMs && ms < toMs);
    return Math.max(...[fromMs, ...times].map((ms, i, all) => (all[i + 1] ?? toMs) - ms));
  }

  sentKbps(fromMs: number, toMs: number): number {
    const sent = this.sent.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
    return sent.reduce((sum, { bytes }) => sum + bytes * 8, 0) / (toMs - fromMs);
  }
}

const full = { kbps: 20_000 };

describe("16 Mbit/s of picture", () => {
  it.each([60, 30])("freeze for less than 300 ms whenever the path drops from 20 to 5 Mbit/s (%i fps)", (fps) => {
    for (let offsetMs = 0; offsetMs < 70; offsetMs += 14) {
      const play = new Play(16_000, fps).run(full, 1_500 + offsetMs);
      const dropMs = play.nowMs;
      play.run({ kbps: 5_000 }, 3_000);
      expect(play.freezeMs(dropMs)).toBeLessThan(300);
      expect(play.sentKbps(dropMs + 300, dropMs + 1_300)).toBeLessThan(5_000);
      expect(play.sentKbps(dropMs + 1_500, dropMs + 3_000)).toBeGreaterThan(3_500);
    }
  });

  it("leave out the frame that was being made when the path collapsed, and make up for it with a keyframe", () => {
    const play = new Play(16_000).run(full, 1_500).run({ kbps: 5_000 }, 60);
    while (play.sender.hasRoom(play.nowMs)) play.run({ kbps: 5_000 }, 1);
    const bytes = play.sentBytes;
    const unit = { bytes: Buffer.from([0, 0, 1, 0x41, 1]), keyframe: false };
    expect(play.sender.send(unit, 1, play.nowMs)).toBe(false);
    expect(play.sentBytes).toBe(bytes);
  });

  it.each([50, 100, 400])("freeze no longer for a queue of %i ms", (queueMs) => {
    const play = new Play(16_000).run({ ...full, queueMs }, 1_500);
    const dropMs = play.nowMs;
    play.run({ kbps: 5_000, queueMs }, 3_000);
    expect(play.freezeMs(dropMs)).toBeLessThan(300);
  });

  it("begun on a path of 5 Mbit/s overflow it for less than 300 ms", () => {
    const play = new Play(16_000).run({ kbps: 5_000 }, 3_000);
    expect(play.freezeMs(0)).toBeLessThan(300);
    expect(play.sentKbps(200, 1_200)).toBeLessThan(5_000);
  });

  it.each([
    { lossShare: 0.01 },
    { lossShare: 0.03 },
    { lossShare: 0.05 },
    { jitterMs: 50 },
    { jitterMs: 50, lossShare: 0.03 },
  ])("keep their rate, and never freeze for 300 ms, under %o", (trouble) => {
    const play = new Play(16_000).run({ ...full, ...trouble }, 5_000);
    expect(play.freezeMs(500)).toBeLessThan(300);
    expect(play.sentKbps(2_000, 5_000)).toBeGreaterThan(15_000);
  });

  it("have nine tenths of the rate back within ten seconds of the path's return", () => {
    const play = new Play(16_000).run(full, 1_500).run({ kbps: 5_000 }, 4_000);
    const backMs = play.nowMs;
    play.run(full, 10_000);
    expect(play.sentKbps(backMs + 9_000, backMs + 10_000)).toBeGreaterThan(0.9 * 16_000);
    expect(play.freezeMs(backMs)).toBeLessThan(300);
  });

  it("are seen again within 300 ms of a darkness of five seconds", () => {
    const play = new Play(16_000).run(full, 1_500).run({ ...full, dark: true }, 5_000);
    const lightMs = play.nowMs;
    play.run(full, 1_000);
    expect(play.browser.shownAtMs.find((ms) => ms > lightMs)).toBeLessThan(lightMs + 300);
    expect(play.sentKbps(lightMs, play.nowMs)).toBeGreaterThan(15_000);
  });
});

it("a thousand requests for keyframes and for all that was sent cost a few keyframes, and no more bytes than budgeted", () => {
  const kbps = 8_000;
  const play = new Play(kbps).run(full, 1_000);
  const [fromMs, bytesBefore, keyframesBefore] = [play.nowMs, play.sentBytes, play.keyframes.size];
  for (; play.nowMs < fromMs + 1_000; play.run(full, 1)) {
    const sequences = Array.from({ length: 200 }, (_, i) => (play.browser.newest - i) & 0xffff);
    play.hear({ type: "nack", ssrc, sequences });
    play.hear({ type: "pli", ssrc });
  }
  const resent = play.sentBytes - bytesBefore - kbps * 125;
  expect(play.keyframes.size - keyframesBefore).toBeLessThanOrEqual(4);
  expect(resent).toBeGreaterThan(0);
  const { budgetShare, budgetBurstMs } = retransmissionLimits;
  expect(resent).toBeLessThan(1.1 * kbps * 125 * budgetShare * (1 + budgetBurstMs / 1_000));
});

describe("a frame", () => {
  it("of ordinary size leaves at once, one four times as large spread out, in order and whole", () => {
    const play = new Play(8_000, 30, 4).run(full, 1_000);
    const ordinaryMs = play.leaving(play.sent.at(-1)!.timestamp);
    expect(ordinaryMs).toBe(0);
    play.hear({ type: "pli", ssrc });
    play.run(full, 200);
    const [, keyframe] = [...play.keyframes];
    expect(play.leaving(keyframe!)).toBeGreaterThan(20);
    expect(play.leaving(keyframe!)).toBeLessThan(60);
    expect(play.freezeMs(1_000)).toBeLessThan(100);
  });

  it("four times as large does not overflow a queue that holds two of the others", () => {
    const path = { kbps: 6_000, queueMs: 40 };
    const play = new Play(4_000, 60, 4).run(path, 1_000);
    for (let i = 0; i < 5; i++) {
      play.hear({ type: "pli", ssrc });
      play.run(path, 500);
    }
    expect(play.keyframes.size).toBe(6);
    expect(play.dropped).toBe(0);
  });
});
