import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { KeyframeRequests } from "./keyframe-requests.js";
import { PacketHistory, type RepairContext, refill, repair, retransmissionLimits } from "./retransmission.js";

const context: RepairContext = { nowMs: 1_000, roundTripMs: 40, keyframeAtMs: 0, budgetBytes: 100_000 };

function historyOf(...packets: { sequence: number; sentAtMs: number; resentAtMs?: number; bytes?: number }[]) {
  const history = new PacketHistory();
  for (const { sequence, sentAtMs, resentAtMs, bytes } of packets) {
    history.record(sequence, bytes ?? 1_000, sentAtMs);
    if (resentAtMs !== undefined) history.recordResent(sequence, resentAtMs);
  }
  return history;
}

describe("a NACK", () => {
  it("has a young packet sent again, once even when named twice", () => {
    const history = historyOf({ sequence: 7, sentAtMs: 960 });
    expect(repair(history, [7, 7], context)).toEqual({ resend: [7], resendBytes: 1_000, needsKeyframe: false });
  });

  it("is left alone while a copy sent less than a round trip ago is under way", () => {
    const history = historyOf({ sequence: 7, sentAtMs: 900, resentAtMs: 970 });
    expect(repair(history, [7], context)).toEqual({ resend: [], resendBytes: 0, needsKeyframe: false });
    expect(repair(history, [7], { ...context, nowMs: 1_011 }).resend).toEqual([7]);
  });

  it("is left alone when a newer keyframe makes up for the loss", () => {
    const history = historyOf({ sequence: 7, sentAtMs: 900 });
    expect(repair(history, [7], { ...context, keyframeAtMs: 950 })).toMatchObject({ resend: [], needsKeyframe: false });
  });

  it("asks for a keyframe when the packet is gone, too old, or beyond the budget", () => {
    const history = historyOf({ sequence: 7, sentAtMs: 500 }, { sequence: 8, sentAtMs: 990 });
    const keyframe = { resend: [], resendBytes: 0, needsKeyframe: true };
    expect(repair(history, [9], context)).toEqual(keyframe);
    expect(repair(history, [7], context)).toEqual(keyframe);
    expect(repair(history, [8], { ...context, budgetBytes: 999 })).toEqual(keyframe);
  });

  it("does not find a packet whose slot a later one has taken", () => {
    const history = historyOf({ sequence: 1, sentAtMs: 990 }, { sequence: 2_049, sentAtMs: 995 });
    expect(history.find(1)).toBeNull();
    expect(history.find(2_049)).not.toBeNull();
  });

  it("never resends more than the budget, however the NACKs come", () => {
    const nack = fc.record({ afterMs: fc.nat(50), sequences: fc.array(fc.nat(200), { maxLength: 60 }) });
    fc.assert(
      fc.property(fc.array(nack, { maxLength: 40 }), (nacks) => {
        const bitrateKbps = 4_000;
        const history = historyOf(...Array.from({ length: 200 }, (_, sequence) => ({ sequence, sentAtMs: 0 })));
        let budget = refill({ bytes: 0, atMs: 0 }, 0, bitrateKbps);
        let nowMs = 0;
        let resentBytes = 0;
        for (const { afterMs, sequences } of nacks) {
          nowMs += afterMs;
          budget = refill(budget, nowMs, bitrateKbps);
          const answer = repair(history, sequences, { ...context, nowMs, budgetBytes: budget.bytes, roundTripMs: 0 });
          for (const sequence of answer.resend) history.recordResent(sequence, nowMs);
          budget = { ...budget, bytes: budget.bytes - answer.resendBytes };
          resentBytes += answer.resendBytes;
        }
        const { budgetShare } = retransmissionLimits;
        expect(resentBytes).toBeLessThanOrEqual((bitrateKbps / 8) * budgetShare * nowMs + 1e-6);
      }),
    );
  });
});

describe("requests for a keyframe", () => {
  it("are answered by the very next frame", () => {
    const requests = new KeyframeRequests(250);
    expect(requests.take(0)).toBe(false);
    requests.request();
    expect([requests.take(10), requests.take(27)]).toEqual([true, false]);
  });

  it("in a storm cost one keyframe per gap, and the last one is not forgotten", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 200 }), (asked) => {
        const requests = new KeyframeRequests(250);
        const keyframes: number[] = [];
        const frames = [...asked, ...Array.from({ length: 20 }, () => false)];
        for (const [i, request] of frames.entries()) {
          if (request) requests.request();
          if (requests.take(i * 16)) keyframes.push(i * 16);
        }
        for (let i = 1; i < keyframes.length; i++)
          expect(keyframes[i]! - keyframes[i - 1]!).toBeGreaterThanOrEqual(250);
        const last = asked.lastIndexOf(true);
        if (last >= 0) expect(keyframes.at(-1)).toBeGreaterThanOrEqual(last * 16);
      }),
    );
  });

  it("of a new viewer do not wait for the gap", () => {
    const requests = new KeyframeRequests(250);
    requests.request();
    requests.take(0);
    requests.requestNow();
    expect(requests.take(16)).toBe(true);
  });
});
