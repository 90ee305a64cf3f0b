import { createHmac } from "node:crypto";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mendTieBreaker } from "./tie-breaker.js";

const password = "an ICE password of ours";
const bytes = (hex: string) => Buffer.from(hex, "hex");

function stun(type: number, attributes: readonly [number, Buffer][]): Buffer {
  const body = Buffer.concat(
    attributes.map(([attribute, value]) => {
      const head = Buffer.alloc(4);
      head.writeUInt16BE(attribute, 0);
      head.writeUInt16BE(value.length, 2);
      return Buffer.concat([head, value, Buffer.alloc(-value.length & 3)]);
    }),
  );
  const header = Buffer.alloc(20, 7);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(body.length, 2);
  header.writeUInt32BE(0x2112a442, 4);
  return Buffer.concat([header, body]);
}

/** A check as Chromium sends it; signed as RFC 8489 says, by other means than the code under test. */
function check(role: number, tieBreaker: bigint, key = password): Buffer {
  const value = Buffer.alloc(8);
  value.writeBigUInt64BE(tieBreaker);
  const fields: [number, Buffer][] = [
    [0x0006, Buffer.from("FVto:7/jm")],
    [role, value],
    [0x0025, Buffer.alloc(0)],
    [0x0024, bytes("6e001fff")],
  ];
  const unsigned = stun(0x0001, [...fields, [0x0008, Buffer.alloc(20)]]);
  const signature = createHmac("sha1", key).update(unsigned.subarray(0, -24)).digest();
  const signed: [number, Buffer][] = [...fields, [0x0008, signature]];
  const print = Buffer.alloc(4);
  const unprinted = stun(0x0001, [...signed, [0x8028, print]]);
  print.writeUInt32BE((crc32(unprinted.subarray(0, -8)) ^ 0x5354554e) >>> 0);
  return stun(0x0001, [...signed, [0x8028, print]]);
}

const channelData = (payload: Buffer) => Buffer.concat([bytes("4000"), lengthOf(payload), payload]);
const dataIndication = (payload: Buffer) =>
  stun(0x0017, [
    [0x0012, bytes("0001c3d7eacdd543")],
    [0x0013, payload],
  ]);
function lengthOf(payload: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(payload.length);
  return length;
}

const wrappings = [
  ["channel data", channelData],
  ["a Data indication", dataIndication],
] as const;

describe.each(wrappings)("in %s", (_, wrap) => {
  it.each([0x8029, 0x802a])(
    "a check with tie-breaker 0 (role %i) becomes the same check with 1, well signed",
    (role) => {
      const datagram = wrap(check(role, 0n));
      mendTieBreaker(datagram, password);
      expect(datagram).toEqual(wrap(check(role, 1n)));
    },
  );

  it("a check with a tie-breaker of its own stays as it is, also one that is signed by another password", () => {
    const datagram = wrap(check(0x802a, 5n, "another"));
    mendTieBreaker(datagram, password);
    expect(datagram).toEqual(wrap(check(0x802a, 5n, "another")));
  });

  it("media and whatever else stays as it is", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1_400 }), (payload) => {
        const datagram = wrap(Buffer.from(payload));
        mendTieBreaker(datagram, password);
        expect(datagram).toEqual(wrap(Buffer.from(payload)));
      }),
    );
  });
});

it("a check that does not come through the server is not one to mend", () => {
  const direct = check(0x802a, 0n);
  mendTieBreaker(direct, password);
  expect(direct).toEqual(check(0x802a, 0n));
});

it("no datagram is too strange: cut short, or with lengths that lie", () => {
  const whole = wrappings.map(([, wrap]) => wrap(check(0x802a, 0n)));
  fc.assert(
    fc.property(fc.constantFrom(...whole), fc.nat(200), fc.nat(200), fc.nat(255), (datagram, cut, at, value) => {
      const strange = Buffer.from(datagram.subarray(0, cut));
      if (at < strange.length) strange[at] = value;
      mendTieBreaker(strange, password);
      expect(strange).toHaveLength(Math.min(cut, datagram.length));
    }),
  );
});
