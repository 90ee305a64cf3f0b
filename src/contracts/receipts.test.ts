import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeReceipt,
  encodeReceipt,
  type FrameReceipt,
  ReceiptFormatError,
  receiptBytesMax,
  receiptInputsMax,
} from "./receipts.js";

const u8 = fc.nat(0xff);
const u32 = fc.nat(0xffff_ffff);
const receipt: fc.Arbitrary<FrameReceipt> = fc.record({
  rtpTimestamp: u32,
  keyframe: fc.boolean(),
  fps: u8,
  skipped: u8,
  heldBack: u8,
  bitrateKbps: fc.nat(0xffff),
  bytes: u32,
  drawUs: u32,
  encodeUs: u32,
  sendUs: u32,
  newestInput: u32,
  inputs: fc.array(fc.record({ seq: u32, waitUs: u32 }), { maxLength: receiptInputsMax }),
});

describe("the receipt of a frame", () => {
  it("is carried unchanged, in at most the stated bytes, through memory used for the one before", () => {
    const memory = new Uint8Array(receiptBytesMax);
    fc.assert(
      fc.property(receipt, (sent) => {
        const bytes = encodeReceipt(sent, memory);
        expect(bytes.length).toBeLessThanOrEqual(receiptBytesMax);
        expect(decodeReceipt(Uint8Array.from(bytes))).toEqual(sent);
      }),
    );
  });

  it("answers any other bytes with a typed error, and reads nothing else into them", () => {
    const memory = new Uint8Array(receiptBytesMax);
    const almost = fc
      .tuple(receipt, fc.nat(receiptBytesMax), u8)
      .map(([sent, at, byte]) => Uint8Array.from(encodeReceipt(sent, memory)).fill(byte, at, at + 1));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 120 }), almost), (bytes) => {
        try {
          expect(encodeReceipt(decodeReceipt(bytes), memory)).toEqual(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ReceiptFormatError);
        }
      }),
    );
  });

  it("keeps within its fields what does not fit them", () => {
    const inputs = Array.from({ length: 20 }, (_, seq) => ({ seq, waitUs: 1e12 }));
    const sent = {
      rtpTimestamp: 1,
      keyframe: true,
      fps: 60,
      skipped: 1e9,
      heldBack: 300,
      bitrateKbps: 1e9,
      bytes: 1,
      newestInput: 19,
    };
    const bytes = encodeReceipt(
      { ...sent, drawUs: -1, encodeUs: 0.6, sendUs: 1e12, inputs },
      new Uint8Array(receiptBytesMax),
    );
    expect(decodeReceipt(bytes)).toEqual({
      ...sent,
      skipped: 255,
      heldBack: 255,
      bitrateKbps: 65_535,
      drawUs: 0,
      encodeUs: 1,
      sendUs: 0xffff_ffff,
      inputs: inputs.slice(0, receiptInputsMax).map(({ seq }) => ({ seq, waitUs: 0xffff_ffff })),
    });
  });
});
