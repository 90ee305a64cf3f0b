import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ResumeSecret, ticketLimits, UsedTickets } from "./tickets.js";

const nowMs = 1_700_000_000_000;
const nowSeconds = nowMs / 1000;

describe("a ticket", () => {
  it("is good once, whatever comes between", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.integer({ min: 0, max: 59_000 })), { maxLength: 50 }), (joins) => {
        const used = new UsedTickets();
        const seen = new Set<string>();
        for (const [jti, passedMs] of joins) {
          expect(used.consume(jti, nowSeconds + 60, nowMs + passedMs)).toBe(!seen.has(jti));
          seen.add(jti);
        }
      }),
    );
  });

  it("is good once also where the VM's clock is hours ahead of the ticket's", () => {
    const used = new UsedTickets();
    expect(used.consume("jti", nowSeconds - 7_200, nowMs)).toBe(true);
    for (let i = 0; i < ticketLimits.jtisMax - 1; i++) used.consume(`other-${i}`, nowSeconds - 7_200, nowMs + 1);
    expect(used.consume("one more makes the memory tidy itself", nowSeconds - 7_200, nowMs + 59_000)).toBe(false);
    expect(used.consume("jti", nowSeconds - 7_200, nowMs + 60_000)).toBe(false);
  });

  it("is refused while the memory is full, and taken again when older ones have run out", () => {
    const used = new UsedTickets();
    for (let i = 0; i < ticketLimits.jtisMax; i++) expect(used.consume(`jti-${i}`, nowSeconds + 60, nowMs)).toBe(true);
    expect(used.consume("late", nowSeconds + 60, nowMs)).toBe(false);
    expect(used.consume("late", nowSeconds + 300, nowMs + ticketLimits.ticketLifeMsMax)).toBe(true);
    expect(used.size).toBe(1);
  });
});

describe("a resume secret", () => {
  it("has 256 bits", () => {
    expect(Buffer.from(new ResumeSecret(randomBytes).issue(), "base64url")).toHaveLength(32);
  });

  it("is refused before there is one, and when it is another's", () => {
    const resume = new ResumeSecret(randomBytes);
    expect(resume.check("")).toBe(false);
    expect(resume.rotate("anything")).toBeNull();
    const secret = resume.issue();
    expect(resume.check(new ResumeSecret(randomBytes).issue())).toBe(false);
    expect(resume.check(`${secret} `)).toBe(false);
    expect(resume.check(secret)).toBe(true);
  });

  it("ends with the ticket join that follows", () => {
    const resume = new ResumeSecret(randomBytes);
    const first = resume.issue();
    const second = resume.issue();
    expect([resume.rotate(first), resume.check(second)]).toEqual([null, true]);
  });

  it("is good once more while the answer that replaced it may be lost, and not after the new one arrived", () => {
    const resume = new ResumeSecret(randomBytes);
    const first = resume.issue();
    expect(resume.rotate(first)).not.toBeNull();
    const second = resume.rotate(first);
    expect(second).not.toBeNull();
    resume.confirm();
    expect(resume.rotate(first)).toBeNull();
    expect(resume.check(second!)).toBe(true);
  });

  it("accepts the newest always, at most one older, and nothing older than a confirmed one", () => {
    const step = fc.constantFrom("issue", "rotate", "lose-and-rotate", "confirm", "check");
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const resume = new ResumeSecret(randomBytes);
        const minted = [resume.issue()];
        let known = minted[0]!;
        for (const its of steps) {
          if (its === "issue") minted.push((known = resume.issue()));
          if (its === "rotate") minted.push((known = resume.rotate(known)!));
          if (its === "lose-and-rotate") minted.push(resume.rotate(known)!);
          if (its === "confirm") {
            known = minted.at(-1)!;
            resume.confirm();
          }
          if (its === "check") expect(resume.check(known)).toBe(true);
        }
        expect(minted).not.toContain(null);
        expect(minted.slice(0, -1).filter((secret) => resume.check(secret)).length).toBeLessThanOrEqual(1);
        expect(resume.check(minted.at(-1)!)).toBe(true);
        expect(minted.slice(0, -1).some((secret) => resume.check(secret))).toBe(false);
      }),
    );
  });
});
