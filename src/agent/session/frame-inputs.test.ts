import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { receiptInputsMax } from "../../contracts/receipts.js";
import { FrameInputs } from "./frame-inputs.js";

describe("the inputs of frames", () => {
  it("are each in one frame, the first begun after their arrival, with how long they waited for it", () => {
    const steps = fc.array(fc.oneof(fc.constant("frame" as const), fc.constant("input" as const)), { maxLength: 200 });
    fc.assert(
      fc.property(steps, (script) => {
        const inputs = new FrameInputs();
        let waiting: { seq: number; waitUs: (nowMs: number) => number }[] = [];
        let seq = 0;
        for (const [ms, step] of script.entries()) {
          if (step === "input") {
            inputs.arrived(++seq, ms);
            if (waiting.length < receiptInputsMax) waiting.push({ seq, waitUs: (nowMs) => (nowMs - ms) * 1000 });
            continue;
          }
          const expected = waiting.map((input) => ({ seq: input.seq, waitUs: input.waitUs(ms) }));
          expect(inputs.take(ms)).toEqual({ newestInput: seq, inputs: expected });
          waiting = [];
        }
      }),
    );
  });

  it("name the newest by its number, not by its arrival, also past the numbers' end", () => {
    const inputs = new FrameInputs();
    for (const seq of [0xffff_fffe, 1, 0xffff_ffff]) inputs.arrived(seq, 0);
    expect(inputs.take(1).newestInput).toBe(1);
    inputs.restart();
    expect(inputs.take(2)).toEqual({ newestInput: 0, inputs: [] });
  });
});
