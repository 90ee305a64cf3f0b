import fc from "fast-check";
import { expect, it } from "vitest";
import { SentPackets } from "./sent-packets.js";

const feedback = (packets: { sequence: number; arrivalMs: number | null }[]) =>
  ({ type: "transport", feedbackCount: 0, packets }) as const;

it("tells of each packet once, however often and in whatever order feedback names it, also around the wrap", () => {
  fc.assert(
    fc.property(
      fc.nat(0xffff),
      fc.array(fc.array(fc.nat(500), { maxLength: 60 }), { maxLength: 20 }),
      (first, feedbacks) => {
        const sent = new SentPackets();
        for (let i = 0; i <= 300; i++) sent.record((first + i) & 0xffff, 100 + i, i);
        const seen = feedbacks.flatMap((offsets) =>
          sent.match(feedback(offsets.map((i) => ({ sequence: (first + i) & 0xffff, arrivalMs: i + 0.25 })))),
        );
        const named = new Set(feedbacks.flat().filter((i) => i <= 300));
        expect(seen.map(({ sentAtMs }) => sentAtMs).sort((a, b) => a - b)).toEqual([...named].sort((a, b) => a - b));
        for (const { bytes, sentAtMs, arrivalMs } of seen)
          expect([bytes, arrivalMs]).toEqual([100 + sentAtMs, sentAtMs + 0.25]);
      },
    ),
  );
});

it("forgets what is older than its ring", () => {
  const sent = new SentPackets();
  sent.record(1, 100, 0);
  for (let i = 0; i < 8192; i++) sent.record(2 + i, 100, 1);
  expect(sent.match(feedback([{ sequence: 1, arrivalMs: 5 }]))).toEqual([]);
});

it("holds in flight what was sent after the newest packet told of, whether the ones before arrived or not", () => {
  const sent = new SentPackets();
  for (let i = 0; i < 10; i++) sent.record((65_530 + i) & 0xffff, 100, i);
  expect(sent.inFlightBytes).toBe(1_000);
  sent.match(feedback([{ sequence: 65_535, arrivalMs: 5 }]));
  expect(sent.inFlightBytes).toBe(400);
  sent.match(feedback([{ sequence: 65_531, arrivalMs: null }]));
  expect(sent.inFlightBytes).toBe(400);
  sent.match(feedback([{ sequence: 3, arrivalMs: 6 }]));
  expect(sent.inFlightBytes).toBe(0);
});
