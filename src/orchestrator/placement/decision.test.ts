import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { regionId, templateId } from "../../contracts/catalog.js";
import { placementExplanation } from "../../contracts/orchestrator.js";
import { type Decision, decisionBytesMax, decodeDecision, encodeDecision, explain, explainNone } from "./decision.js";

const bit = fc.constantFrom(0 as const, 1 as const);
const region = fc.constantFrom(...regionId.options);
const count = fc.nat(1_000_000);
const anyDecision: fc.Arbitrary<Decision> = fc.record({
  by: fc.constantFrom("free", "queue", "named"),
  at: fc.tuple(region, fc.constantFrom(...templateId.options)),
  first: region,
  used: fc.integer({ min: 0, max: 60 }),
  took: fc.integer({ min: 10, max: 60 }),
  own: bit,
  fit: count,
  not: fc.record(
    {
      "too-far": count,
      "not-ready": count,
      unreachable: count,
      simulated: count,
      "template-too-small": count,
      full: count,
    },
    { requiredKeys: [] },
  ),
  next: fc.array(
    fc.tuple(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/), region, fc.integer({ min: 0, max: 60 }), bit),
    { maxLength: 5 },
  ),
});

describe("a decision", () => {
  test("is kept in 500 bytes, with all five runners-up of ids like ours", () => {
    fc.assert(
      fc.property(anyDecision, (decision) => {
        const text = encodeDecision(decision);
        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(decisionBytesMax);
        const kept = decodeDecision(text);
        expect({ ...kept, next: [] }).toEqual({ ...decision, next: [] });
        expect(decision.next.slice(0, kept.next.length)).toEqual(kept.next);
        if (decision.next.every(([vmId]) => vmId.length <= 19)) expect(kept.next).toEqual(decision.next);
      }),
    );
  });

  test("is told in words, each reason and each runner-up with its own", () => {
    fc.assert(
      fc.property(anyDecision, (decision) => {
        const told = { sessionId: "s", decidedAt: new Date(0).toISOString(), ...explain("vm-1", decision) };
        expect(placementExplanation.parse(told)).toEqual(told);
        expect(told.text).toContain("vm-1");
        expect(told.runnersUp).toHaveLength(decision.next.length);
        for (const { text } of [...told.reasons, ...told.runnersUp]) expect(text).toMatch(/^[A-Z0-9].+\.$/);
      }),
    );
  });

  test("reads as a person would say it", () => {
    const decision: Decision = {
      by: "free",
      at: ["us-west-2", "L4-360"],
      first: "us-east-1",
      used: 30,
      took: 15,
      own: 1,
      fit: 3,
      not: { full: 12, unreachable: 1 },
      next: [
        ["vm-2", "us-west-2", 30, 1],
        ["vm-3", "us-west-2", 0, 1],
        ["vm-4", "us-west-2", 45, 0],
        ["vm-5", "eu-west-1", 45, 1],
      ],
    };
    expect(explain("vm-1", decision)).toEqual({
      vm: { vmId: "vm-1", region: "us-west-2", templateId: "L4-360" },
      how: "free",
      text:
        "It got VM vm-1 (L4-360 in us-west-2), the fullest VM that could take it in us-west-2, the nearest of its " +
        "regions with room: us-east-1 had none. 30 of 60 units were in use, and it takes 15. 2 VMs would have done as well.",
      reasons: [
        { reason: "full", vms: 12, text: "12 VMs had no room for the 15 units it takes." },
        { reason: "unreachable", vms: 1, text: "The agent of 1 VM had not been heard of for too long." },
      ],
      runnersUp: [
        {
          vmId: "vm-2",
          region: "us-west-2",
          usedUnits: 30,
          text: "Just as good: the choice among equals is by chance.",
        },
        {
          vmId: "vm-3",
          region: "us-west-2",
          usedUnits: 0,
          text: "Less full: 0 units in use, and the fuller one is filled first.",
        },
        {
          vmId: "vm-4",
          region: "us-west-2",
          usedUnits: 45,
          text: "Left to another replica of the orchestrator, which prefers it.",
        },
        { vmId: "vm-5", region: "eu-west-1", usedUnits: 45, text: "Farther away: it is in eu-west-1." },
      ],
    });
    expect(explainNone("It waits.", { full: 2 })).toMatchObject({
      vm: null,
      reasons: [{ text: "2 VMs had no room." }],
    });
  });
});
