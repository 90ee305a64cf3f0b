import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FrameReceipt } from "../../contracts/receipts.js";
import { type JoinedFrame, type PresentedFrame, ReceiptJoin } from "./receipt-join.js";

const receipt = (rtpTimestamp: number, inputs: readonly number[] = []): FrameReceipt => ({
  rtpTimestamp: rtpTimestamp >>> 0,
  keyframe: false,
  fps: 60,
  skipped: 0,
  heldBack: 0,
  bitrateKbps: 8_000,
  bytes: 9_000,
  drawUs: 2_000,
  encodeUs: 6_000,
  sendUs: 500,
  newestInput: inputs.at(-1) ?? 0,
  inputs: inputs.map((seq) => ({ seq, waitUs: 7_000 })),
});
const frame = (rtpTimestamp: number, receivedAtMs: number): PresentedFrame => ({
  rtpTimestamp: rtpTimestamp >>> 0,
  receivedAtMs,
  decodeMs: 3,
  presentedAtMs: receivedAtMs + 10,
});

describe("a receipt and its frame", () => {
  it("make a whole of the input's way, whichever of them comes first", () => {
    // Sent at 100; 7 + 2 + 6 + 0.5 in the machine, so of the 19 until it was received 3.5 are the network's.
    const shown = { totalMs: 29, waitMs: 7, networkMs: 3.5 };
    const [one, other] = [new ReceiptJoin(), new ReceiptJoin()];
    for (const join of [one, other]) join.sent(1, 100);
    expect(one.receipt(receipt(90, [1]))).toEqual([]);
    expect(one.frame(frame(90, 119))).toEqual([{ receipt: receipt(90, [1]), frame: frame(90, 119), inputs: [shown] }]);
    expect(other.frame(frame(90, 119))).toEqual([]);
    expect(other.receipt(receipt(90, [1]))[0]!.inputs).toEqual([shown]);
  });

  it("count an input once its picture is seen: in the next frame, where the browser left its own out", () => {
    const join = new ReceiptJoin();
    join.sent(1, 100);
    join.receipt(receipt(90, [1]));
    join.receipt(receipt(180));
    const [left, next] = join.frame(frame(180, 136));
    expect(left).toEqual({
      receipt: receipt(90, [1]),
      frame: null,
      inputs: [{ totalMs: 46, waitMs: 7, networkMs: null }],
    });
    expect(next).toMatchObject({ frame: frame(180, 136), inputs: [] });
  });

  it("say nothing of an input that this page never sent, sent long ago, or was told of already", () => {
    const join = new ReceiptJoin();
    join.sent(1, 100);
    join.frame(frame(90, 119));
    join.frame(frame(180, 20_000));
    expect(join.receipt(receipt(90, [1, 2]))[0]!.inputs).toHaveLength(1);
    join.sent(3, 100);
    expect(join.receipt(receipt(180, [1, 3]))[0]!.inputs).toEqual([]);
  });

  it("of a connection that was replaced are not joined with the next one's", () => {
    const join = new ReceiptJoin();
    join.receipt(receipt(90));
    join.restart();
    expect(join.frame(frame(90, 119))).toEqual([]);
  });

  it("join, in any order, with any of either lost, and past the timestamps' end: each receipt at most once, with the first frame not before it", () => {
    const first = 0xffff_ff00;
    const script = fc.array(fc.record({ receiptAt: fc.option(fc.nat(40)), frameShown: fc.boolean() }), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(script, (frames) => {
        const join = new ReceiptJoin();
        // Frames are shown in turn; a receipt arrives at any time.
        const arriving = frames.flatMap(({ receiptAt }, i) => (receiptAt === null ? [] : [{ i, receiptAt }]));
        const joined: JoinedFrame[] = [];
        for (let at = 0; at <= 40; at++) {
          for (const { i, receiptAt } of arriving)
            if (receiptAt === at) {
              join.sent(i + 1, i);
              joined.push(...join.receipt(receipt(first + i * 90, [i + 1])));
            }
          if (frames[at]?.frameShown) joined.push(...join.frame(frame(first + at * 90, at * 17)));
        }
        const place = (timestamp: number) => ((timestamp - first) >>> 0) / 90;
        const places = joined.map((one) => place(one.receipt.rtpTimestamp));
        expect(new Set(places).size).toBe(places.length);
        const shown = frames.flatMap(({ frameShown }, i) => (frameShown ? [i] : []));
        const expected = arriving.filter(({ i }) => shown.some((at) => at >= i)).map(({ i }) => i);
        expect(places.sort((a, b) => a - b)).toEqual(expected);
        for (const one of joined) {
          const own = place(one.receipt.rtpTimestamp);
          const { receiptAt } = arriving.find(({ i }) => i === own)!;
          const isOwn = frames[own]!.frameShown;
          // With its own frame wherever that was shown; else with the first after it.
          if (isOwn) expect(one.frame?.rtpTimestamp).toBe(one.receipt.rtpTimestamp);
          else expect(one.frame).toBeNull();
          const by = isOwn ? own : shown.find((at) => at >= own)!;
          for (const { totalMs } of one.inputs) expect(totalMs).toBe(by * 17 + 10 - own);
          expect(receiptAt).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});
