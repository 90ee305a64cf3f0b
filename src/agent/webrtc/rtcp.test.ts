import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildSenderReport, isRtcp, ntpMiddle, parseRtcp, roundTripMs } from "./rtcp.js";

const words = (...hex: string[]) => Buffer.from(hex.join(""), "hex");
const pli = words("81ce0002", "00000001", "0000002a");
const nack = words("81cd0003", "00000001", "0000002a", "fffe0005");
const fir = words("84ce0004", "00000001", "00000000", "0000002a", "07000000");
const report = words("81c90007", "00000001", "0000002a", "40fffffe", "00010005", "00000064", "12345678", "00008000");
const remb = Buffer.concat([
  words("8fce0005", "00000001", "00000000"),
  Buffer.from("REMB"),
  words("010a1000", "0000002a"),
]);

const transport = words("8fcd0005", "00000001", "0000002a", "fffe0002", "00000a07", "2002", "0408");

describe("RTCP from a browser", () => {
  it("reads keyframe requests, losses, reports and bandwidth out of one compound packet", () => {
    expect(parseRtcp(Buffer.concat([report, pli, nack, fir, remb]))).toEqual([
      {
        type: "report",
        ssrc: 42,
        fractionLost: 0.25,
        packetsLost: -2,
        jitter: 100,
        lastSenderReport: 0x12345678,
        delaySinceLastSenderReport: 0x8000,
      },
      { type: "pli", ssrc: 42 },
      { type: "nack", ssrc: 42, sequences: [0xfffe, 0xffff, 1] },
      { type: "fir", ssrc: 42 },
      { type: "remb", bitsPerSecond: 0x21000 * 4 },
    ]);
  });

  it("never throws, whatever the bytes are", () => {
    const kinds = fc.constantFrom(pli, nack, fir, report, remb, transport);
    const mangled = fc
      .tuple(kinds, fc.array(fc.tuple(fc.nat(40), fc.nat(255))), fc.nat(60))
      .map(([packet, changes, length]) => {
        const bytes = Buffer.from(packet);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        return bytes.subarray(0, length);
      });
    const anything = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.array(fc.oneof(mangled, anything, kinds), { maxLength: 4 }), (packets) => {
        for (const feedback of parseRtcp(Buffer.concat(packets)))
          if (feedback.type === "transport") expect(feedback.packets.length).toBeLessThanOrEqual(0xffff);
      }),
      { numRuns: 2_000 },
    );
  });

  it("stops at a part whose length reaches beyond the packet, and keeps what came before", () => {
    const cut = Buffer.from(nack);
    cut.writeUInt16BE(200, 2);
    expect(parseRtcp(Buffer.concat([pli, cut]))).toEqual([{ type: "pli", ssrc: 42 }]);
  });

  it("tells RTCP from RTP by the second byte", () => {
    expect([isRtcp(pli), isRtcp(Buffer.from([0x80, 108])), isRtcp(Buffer.from([0x80]))]).toEqual([true, false, false]);
  });
});

describe("transport-wide feedback", () => {
  /** Encodes arrivals as two-bit status vectors, as draft-holmer §3.1 describes them. */
  function encode(base: number, arrivals: readonly (number | null)[]): Buffer {
    const chunks: number[] = [];
    const deltas: number[] = [];
    let last = 0;
    const statuses = arrivals.map((arrival) => {
      if (arrival === null) return 0;
      const delta = arrival - last;
      last = arrival;
      if (delta >= 0 && delta <= 255) deltas.push(delta);
      else deltas.push((delta >> 8) & 0xff, delta & 0xff);
      return delta >= 0 && delta <= 255 ? 1 : 2;
    });
    for (let i = 0; i < statuses.length; i += 7) {
      let chunk = 0xc000;
      for (let k = 0; k < 7; k++) chunk |= (statuses[i + k] ?? 0) << (12 - 2 * k);
      chunks.push(chunk >> 8, chunk & 0xff);
    }
    const body = [...chunks, ...deltas];
    while (body.length % 4 !== 0) body.push(0);
    const header = Buffer.alloc(20);
    header.set([0x8f, 205]);
    header.writeUInt16BE(4 + body.length / 4, 2);
    header.writeUInt16BE(base, 12);
    header.writeUInt16BE(arrivals.length, 14);
    return Buffer.concat([header, Buffer.from(body)]);
  }

  it("gives each packet's arrival in quarters of a millisecond, and null for the lost", () => {
    const arrival = fc.option(fc.integer({ min: -8_000, max: 8_000 }), { nil: null });
    fc.assert(
      fc.property(fc.nat(0xffff), fc.array(arrival, { minLength: 1, maxLength: 60 }), (base, arrivals) => {
        expect(parseRtcp(encode(base, arrivals))).toEqual([
          {
            type: "transport",
            feedbackCount: 0,
            packets: arrivals.map((ticks, i) => ({
              sequence: (base + i) & 0xffff,
              arrivalMs: ticks === null ? null : ticks / 4,
            })),
          },
        ]);
      }),
    );
  });

  it("understands run lengths and one-bit vectors", () => {
    const runOfTwo = words("8fcd0005", "00000001", "0000002a", "00050002", "00000103", "2002", "0408");
    const oneBit = words("8fcd0006", "00000001", "0000002a", "00050003", "00000103", "a800", "0408", "00000000");
    expect(parseRtcp(runOfTwo)).toMatchObject([{ packets: [{ arrivalMs: 65 }, { arrivalMs: 67 }] }]);
    expect(parseRtcp(oneBit)).toMatchObject([{ packets: [{ arrivalMs: 65 }, { arrivalMs: null }, { arrivalMs: 67 }] }]);
  });

  it("leaves out feedback that promises more than it carries", () => {
    const cut = Buffer.from(transport);
    cut.writeUInt16BE(500, 14);
    expect(parseRtcp(cut)).toEqual([]);
  });
});

describe("our sender report", () => {
  const epochMs = 1_700_000_000_250;

  it("is a compound packet of a report and a description, whole in 32-bit words", () => {
    for (const cname of ["a", "ab", "abc", "abcd"]) {
      const packet = buildSenderReport({ ssrc: 42, cname, epochMs, timestamp: 2 ** 32 + 9, packets: 3, octets: 4 });
      expect([packet[1], packet[29]]).toEqual([200, 202]);
      expect(packet.length).toBe(28 + (packet.readUInt16BE(30) + 1) * 4);
      expect(packet.readUInt32BE(16)).toBe(9);
      expect(packet.readUInt32BE(12)).toBe(0x4000_0000);
      expect(parseRtcp(packet)).toEqual([]);
    }
  });

  it("lets the round trip be told from a receiver's report, and from nothing that is impossible", () => {
    const sent = ntpMiddle(epochMs);
    expect(roundTripMs(epochMs + 80, sent, Math.round(0.05 * 65_536))).toBeCloseTo(30, 0);
    expect(roundTripMs(epochMs + 80, sent, 65_536)).toBeNull();
    expect(roundTripMs(epochMs, 0, 0)).toBeNull();
  });
});
