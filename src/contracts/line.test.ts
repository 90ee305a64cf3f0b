import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { acknowledge, hear, type LineEnd, lineLimits, type Numbered, openLineEnd, say, unackedOf } from "./line.js";

const said = (...messages: string[]) =>
  messages.reduce<LineEnd<string>>((end, message) => say(end, message)!, openLineEnd);

describe("one end of a line", () => {
  it("numbers from 1 and keeps what it said until that is acked", () => {
    const end = said("a", "b", "c");
    expect(unackedOf(end)).toEqual([
      { seq: 1, message: "a" },
      { seq: 2, message: "b" },
      { seq: 3, message: "c" },
    ]);
    expect(unackedOf(acknowledge(end, 2))).toEqual([{ seq: 3, message: "c" }]);
    expect(unackedOf(say(acknowledge(end, 3), "d")!)).toEqual([{ seq: 4, message: "d" }]);
  });

  it("passes over an ack that is old, or of what was never said", () => {
    const end = acknowledge(said("a", "b", "c"), 2);
    for (const upTo of [-1, 0, 1, 2, 4, 1_000]) expect(acknowledge(end, upTo)).toEqual(end);
  });

  it("hears the next number only: not what it heard before, nor what comes after a loss", () => {
    const once = hear(openLineEnd, 1);
    expect(once).toMatchObject({ isNext: true, end: { received: 1 } });
    for (const number of [0, 1, 3]) expect(hear(once.end, number)).toEqual({ end: once.end, isNext: false });
  });

  it("takes no more once too much is unacked, and does again after an ack", () => {
    const full = said(...Array.from({ length: lineLimits.unackedMessagesMax }, (_, i) => `${i}`));
    expect(say(full, "one more")).toBeNull();
    expect(say(acknowledge(full, 1), "one more")).not.toBeNull();
  });
});

// Both ends, and a path between them that breaks: of what is under way each way, any suffix is lost.
type Side = "page" | "machine";
type Happening =
  | { readonly do: "say"; readonly side: Side }
  | { readonly do: "carry"; readonly side: Side }
  | { readonly do: "break"; readonly keptByPage: number; readonly keptByMachine: number };
type Carried = { readonly numbered: Numbered<number> } | { readonly ack: number };
const otherSide = { page: "machine", machine: "page" } as const;

class Ends {
  readonly end: Record<Side, LineEnd<number>> = { page: openLineEnd, machine: openLineEnd };
  /** Under way to that side. */
  readonly path: Record<Side, Carried[]> = { page: [], machine: [] };
  readonly heard: Record<Side, number[]> = { page: [], machine: [] };
  readonly saidBy: Record<Side, number> = { page: 0, machine: 0 };

  happen(what: Happening): void {
    if (what.do === "say") this.say(what.side);
    else if (what.do === "carry") this.carry(what.side);
    else {
      this.breakAt("page", what.keptByPage);
      this.breakAt("machine", what.keptByMachine);
      this.resume();
    }
  }

  /** Until nothing is under way. */
  settle(): void {
    while (this.path.page.length + this.path.machine.length > 0) {
      this.carry("page");
      this.carry("machine");
    }
  }

  /** Each hears how far the other got, and says the rest again. */
  resume(): void {
    for (const side of ["page", "machine"] as const) {
      this.end[side] = acknowledge(this.end[side], this.end[otherSide[side]].received);
      for (const numbered of unackedOf(this.end[side])) this.path[otherSide[side]].push({ numbered });
    }
  }

  private say(side: Side): void {
    const next = say(this.end[side], this.saidBy[side]);
    if (next === null) return;
    this.end[side] = next;
    this.path[otherSide[side]].push({ numbered: { seq: next.lastSaid, message: this.saidBy[side]++ } });
  }

  private carry(to: Side): void {
    const carried = this.path[to].shift();
    if (carried === undefined) return;
    if ("ack" in carried) {
      this.end[to] = acknowledge(this.end[to], carried.ack);
      return;
    }
    const { end, isNext } = hear(this.end[to], carried.numbered.seq);
    this.end[to] = end;
    if (!isNext) return;
    this.heard[to].push(carried.numbered.message);
    this.path[otherSide[to]].push({ ack: end.received });
  }

  private breakAt(to: Side, kept: number): void {
    const arrive = this.path[to].length * kept;
    for (let i = 0; i < Math.floor(arrive); i++) this.carry(to);
    this.path[to].length = 0;
  }
}

const side = fc.constantFrom<Side>("page", "machine");
const share = fc.double({ min: 0, max: 1, noNaN: true });
const happening = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("say", "carry"), side }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("break"), keptByPage: share, keptByMachine: share }) },
) as fc.Arbitrary<Happening>;

describe("two ends, over a path that loses any suffix of what is under way whenever it breaks", () => {
  it("hear everything exactly once and in order", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 120 }), (script) => {
        const ends = new Ends();
        for (const what of script) ends.happen(what);
        ends.resume();
        ends.settle();
        for (const to of ["page", "machine"] as const) {
          expect(ends.heard[to]).toEqual(Array.from({ length: ends.saidBy[otherSide[to]] }, (_, i) => i));
          expect(ends.end[to].unacked).toEqual([]);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("hear nothing twice and nothing out of order meanwhile", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 120 }), (script) => {
        const ends = new Ends();
        for (const what of script) {
          ends.happen(what);
          for (const to of ["page", "machine"] as const)
            expect(ends.heard[to]).toEqual(Array.from({ length: ends.heard[to].length }, (_, i) => i));
        }
      }),
    );
  });
});
