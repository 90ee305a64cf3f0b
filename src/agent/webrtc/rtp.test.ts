import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SentPackets } from "./congestion/sent-packets.js";
import { extensionBlock, h264Payloads, nalUnits, rtpBytesMax } from "./rtp.js";
import { RtpStream, type RtpStreamOptions } from "./rtp-stream.js";

interface Packet {
  readonly payloadType: number;
  readonly marker: boolean;
  readonly sequence: number;
  readonly timestamp: number;
  readonly ssrc: number;
  readonly extensions: ReadonlyMap<number, Buffer>;
  readonly payload: Buffer;
}

/** A receiver's reading of RFC 3550 and RFC 8285, written apart from the sender's. */
function readPacket(bytes: Buffer): Packet {
  const extensions = new Map<number, Buffer>();
  let at = 12;
  if (bytes[0]! & 0x10) {
    expect(bytes.readUInt16BE(12)).toBe(0xbede);
    const end = 16 + bytes.readUInt16BE(14) * 4;
    for (at = 16; at < end; ) {
      if (bytes[at] === 0) {
        at++;
        continue;
      }
      const length = (bytes[at]! & 15) + 1;
      extensions.set(bytes[at]! >> 4, Buffer.from(bytes.subarray(at + 1, at + 1 + length)));
      at += 1 + length;
    }
  }
  return {
    payloadType: bytes[1]! & 0x7f,
    marker: (bytes[1]! & 0x80) !== 0,
    sequence: bytes.readUInt16BE(2),
    timestamp: bytes.readUInt32BE(4),
    ssrc: bytes.readUInt32BE(8),
    extensions,
    payload: Buffer.from(bytes.subarray(at)),
  };
}

/** A receiver's reading of RFC 6184: single NAL units and FU-A. */
function depacketise(payloads: readonly Buffer[]): Buffer[] {
  const units: Buffer[] = [];
  let fragments: Buffer[] = [];
  for (const payload of payloads) {
    if ((payload[0]! & 0x1f) !== 28) {
      units.push(payload);
      continue;
    }
    const fuHeader = payload[1]!;
    if (fuHeader & 0x80) fragments = [Buffer.from([(payload[0]! & 0xe0) | (fuHeader & 0x1f)])];
    fragments.push(payload.subarray(2));
    if (fuHeader & 0x40) units.push(Buffer.concat(fragments));
  }
  return units;
}

/** NAL units as an encoder makes them: emulation prevention leaves no start code in them, and no zero at the end. */
const nalUnit = fc
  .record({
    type: fc.constantFrom(1, 5, 6, 7, 8),
    reference: fc.integer({ min: 0, max: 3 }),
    size: fc.integer({ min: 1, max: 5_000 }),
  })
  .map(({ type, reference, size }) =>
    Buffer.from([(reference << 5) | type, ...Array.from({ length: size }, (_, i) => (i % 255) + 1)]),
  );
const annexB = (units: readonly Buffer[], long: boolean) =>
  Buffer.concat(units.flatMap((unit) => [Buffer.from(long ? [0, 0, 0, 1] : [0, 0, 1]), unit]));

function stream(options: Partial<RtpStreamOptions> = {}) {
  const sent: Packet[] = [];
  const sizes: number[] = [];
  const rtp = new RtpStream({
    ssrc: 7,
    payloadType: 108,
    clockRate: 90_000,
    cname: "test",
    extensions: { playoutDelay: 5, transportSequence: 4 },
    rtx: { ssrc: 8, payloadType: 109 },
    sent: null,
    firstSequence: 65_530,
    send: (packet) => {
      sizes.push(packet.length);
      sent.push(readPacket(packet));
    },
    ...options,
  });
  return { rtp, sent, sizes };
}

describe("H.264 over RTP", () => {
  it("arrives as the same NAL units, whatever their sizes, in packets that fit", () => {
    fc.assert(
      fc.property(fc.array(nalUnit, { minLength: 1, maxLength: 6 }), fc.boolean(), (units, long) => {
        const { rtp, sent, sizes } = stream();
        rtp.sendAccessUnit(annexB(units, long), { timestamp: 2 ** 32 + 5, keyframe: true, nowMs: 1 });
        const arrived = depacketise(sent.map(({ payload }) => payload));
        // Compared byte by byte by the assertion, 18 KB a run took 10 s in all.
        expect(arrived.map((one) => one.toString("hex"))).toEqual(units.map((one) => one.toString("hex")));
        expect(Math.max(...sizes)).toBeLessThanOrEqual(rtpBytesMax);
        expect(sent.map(({ marker }) => marker)).toEqual(sent.map((_, i) => i === sent.length - 1));
        expect(sent.map(({ sequence }) => sequence)).toEqual(sent.map((_, i) => (65_530 + i) & 0xffff));
        expect(new Set(sent.map(({ timestamp }) => timestamp))).toEqual(new Set([5]));
      }),
      { numRuns: 60 },
    );
  });

  it("sends at once as much of a frame as it may, and the rest in the same order when told to", () => {
    const { rtp, sent } = stream();
    const unit = annexB([Buffer.from([0x65, ...Array.from({ length: 9_000 }, (_, i) => (i % 255) + 1)])], true);
    const first = rtp.sendAccessUnit(unit, { timestamp: 0, keyframe: true, nowMs: 1 }, 3_000);
    expect(first).toBeGreaterThanOrEqual(3_000);
    expect(first).toBeLessThan(3_000 + rtpBytesMax);
    expect([sent.length, rtp.waits]).toEqual([3, true]);
    for (let nowMs = 2; rtp.waits; nowMs++) rtp.sendWaiting(1, nowMs);
    expect(sent.map(({ sequence }) => sequence)).toEqual(sent.map((_, i) => (65_530 + i) & 0xffff));
    expect(sent.map(({ extensions }) => extensions.get(4)!.readUInt16BE(0))).toEqual(sent.map((_, i) => i));
    expect(depacketise(sent.map(({ payload }) => payload))).toEqual([unit.subarray(4)]);
    expect(rtp.sendWaiting(1_000, 50)).toBe(0);
  });

  it("leaves access unit delimiters and filler behind", () => {
    const slice = Buffer.from([0x65, 1, 2, 3]);
    const unit = annexB([Buffer.from([9, 0xf0]), slice, Buffer.from([12, 0xff])], true);
    expect(nalUnits(unit)).toHaveLength(3);
    expect(h264Payloads(unit, 1_000).map(({ start, end }) => unit.subarray(start, end))).toEqual([slice]);
  });

  it("carries a playout delay of zero and a growing transport sequence number in every packet", () => {
    const { rtp, sent } = stream();
    rtp.sendAccessUnit(annexB([Buffer.alloc(9_000, 0x41)], true), { timestamp: 0, keyframe: false, nowMs: 1 });
    expect(sent.length).toBeGreaterThan(7);
    for (const [i, { extensions }] of sent.entries()) {
      expect(extensions.get(5)).toEqual(Buffer.from([0, 0, 0]));
      expect(extensions.get(4)!.readUInt16BE(0)).toBe(i);
    }
  });

  it("sends no extension the browser did not offer", () => {
    expect(extensionBlock({ playoutDelay: null, transportSequence: null }).bytes).toHaveLength(0);
    const { rtp, sent } = stream({ extensions: { playoutDelay: null, transportSequence: 3 } });
    rtp.sendPayload(Buffer.from([1, 2, 3]), 480, 1);
    expect([...sent[0]!.extensions.keys()]).toEqual([3]);
    expect(sent[0]).toMatchObject({ payload: Buffer.from([1, 2, 3]), timestamp: 480, marker: false });
  });
});

describe("a retransmission", () => {
  it("is the original payload after its sequence number, on the stream's second SSRC", () => {
    const { rtp, sent, sizes } = stream();
    rtp.sendAccessUnit(annexB([Buffer.alloc(5_000, 0x41)], true), { timestamp: 9, keyframe: false, nowMs: 100 });
    const originals = [...sent];
    const lost = originals[2]!;
    const answer = rtp.resend([lost.sequence], { nowMs: 120, roundTripMs: 10, bitrateKbps: 8_000 });
    expect(answer).toEqual({ resentBytes: sizes[2], needsKeyframe: false });
    const resent = sent.at(-1)!;
    expect(sent).toHaveLength(originals.length + 1);
    expect(resent).toMatchObject({ ssrc: 8, payloadType: 109, timestamp: 9, marker: lost.marker });
    expect(resent.payload.readUInt16BE(0)).toBe(lost.sequence);
    expect(resent.payload.subarray(2)).toEqual(lost.payload);
    expect(resent.extensions.get(4)!.readUInt16BE(0)).toBe(originals.length);
  });

  it("asks for a keyframe where the browser takes no retransmissions", () => {
    const { rtp, sent } = stream({ rtx: null });
    rtp.sendPayload(Buffer.from([1]), 0, 1);
    const answer = rtp.resend([65_530], { nowMs: 2, roundTripMs: 10, bitrateKbps: 8_000 });
    expect(answer).toEqual({ resentBytes: 0, needsKeyframe: true });
    expect(sent).toHaveLength(1);
  });

  it("is remembered as a transmission of its own, with what was sent before", () => {
    const packets = new SentPackets();
    const { rtp, sent, sizes } = stream({ sent: packets });
    rtp.sendAccessUnit(annexB([Buffer.alloc(2_000, 0x41)], true), { timestamp: 9, keyframe: false, nowMs: 100 });
    rtp.resend([sent[0]!.sequence], { nowMs: 120, roundTripMs: 10, bitrateKbps: 8_000 });
    const feedback = sent.map((_, sequence) => ({ sequence, arrivalMs: 500 + sequence }));
    const reported = packets.match({ type: "transport", feedbackCount: 0, packets: feedback });
    expect(reported.map(({ bytes }) => bytes)).toEqual(sizes);
    expect(reported.map(({ sentAtMs }) => sentAtMs)).toEqual([100, 100, 120]);
  });
});
