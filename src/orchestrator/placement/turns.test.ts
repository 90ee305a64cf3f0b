import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Round, roundAfter, serveInTurn, type Turn } from "./turns.js";

interface Request extends Turn {
  readonly id: number;
}

/** A queue as the orchestrator keeps it: `serve` gives so many seats, one after the other, to whoever's turn it is. */
class Queue {
  waiting: Request[] = [];
  round: Round = new Set();
  readonly served: Request[] = [];
  #asked = 0;

  ask(tenant: string, count = 1, again = false): void {
    for (let i = 0; i < count; i++) this.waiting.push({ tenant, again, id: this.#asked++ });
  }

  serve(seats: number, fits: (request: Request) => boolean = () => true): void {
    const got: Request[] = [];
    serveInTurn(this.waiting, this.round, (request) => got.length < seats && fits(request) && got.push(request) > 0);
    this.round = roundAfter(this.round, got);
    this.waiting = this.waiting.filter((request) => !got.includes(request));
    this.served.push(...got);
  }

  leave(index: number): void {
    if (this.waiting.length > 0) this.waiting.splice(index % this.waiting.length, 1);
  }

  line(): Request[] {
    return serveInTurn(this.waiting, this.round, () => false);
  }
}

const tenants = ["a", "b", "c", "d"];
const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant("ask" as const),
      tenant: fc.constantFrom(...tenants),
      count: fc.integer({ min: 1, max: 5 }),
    }),
    fc.record({ kind: fc.constant("serve" as const), seats: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant("leave" as const), index: fc.nat(200) }),
  ),
  { maxLength: 60 },
);

function run(queue: Queue, step: (typeof steps extends fc.Arbitrary<infer S> ? S : never)[number]): void {
  if (step.kind === "ask") queue.ask(step.tenant, step.count);
  if (step.kind === "serve") queue.serve(step.seats);
  if (step.kind === "leave") queue.leave(step.index);
}

describe("turns", () => {
  test("one tenant's few requests are served by turns with another's hundreds, whatever the interleaving", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("ask", "serve", "both"), { maxLength: 80 }), fc.nat(50), (moves, before) => {
        const queue = new Queue();
        queue.ask("greedy", 300);
        queue.serve(before);
        for (const move of moves) {
          if (move !== "serve") queue.ask("modest");
          if (move !== "ask") {
            const waits = queue.waiting.some(({ tenant }) => tenant === "modest");
            queue.serve(1);
            const lastTwo = queue.served.slice(-2).map(({ tenant }) => tenant);
            if (waits && queue.served.length > before + 1) expect(lastTwo).toContain("modest");
          }
        }
      }),
    );
  });

  test("while two tenants wait, neither is ever served two requests more than the other", () => {
    fc.assert(
      fc.property(steps, (moves) => {
        const queue = new Queue();
        for (const tenant of ["a", "b"]) queue.ask(tenant, 200);
        const lead = [0];
        for (const move of moves.filter(({ kind }) => kind !== "leave")) {
          const before = queue.served.length;
          run(queue, move);
          for (const { tenant } of queue.served.slice(before))
            lead.push(lead.at(-1)! + (tenant === "a" ? 1 : tenant === "b" ? -1 : 0));
        }
        expect(Math.max(...lead) - Math.min(...lead)).toBeLessThanOrEqual(2);
      }),
    );
  });

  test("how long a tenant's next request waits depends on how many tenants wait, not on how much they asked for", () => {
    fc.assert(
      fc.property(steps, (moves) => {
        const queue = new Queue();
        for (const move of moves) run(queue, move);
        queue.waiting = queue.waiting.filter(({ tenant }) => tenant !== "d");
        queue.ask("d");
        const others = new Set(queue.waiting.map(({ tenant }) => tenant)).size - 1;
        const place = queue.line().findIndex(({ tenant }) => tenant === "d");
        expect(place).toBeLessThanOrEqual(2 * others);
        if (!queue.round.has("d")) expect(place).toBeLessThanOrEqual(others);
      }),
    );
  });

  test("the line is the order in which they are served", () => {
    fc.assert(
      fc.property(steps, (moves) => {
        const queue = new Queue();
        for (const move of moves) run(queue, move);
        const line = queue.line();
        const before = queue.served.length;
        queue.serve(Number.POSITIVE_INFINITY);
        expect(queue.served.slice(before)).toEqual(line);
      }),
    );
  });

  test("each tenant's requests keep their order", () => {
    fc.assert(
      fc.property(steps, (moves) => {
        const queue = new Queue();
        for (const move of moves) run(queue, move);
        for (const tenant of tenants) {
          const ids = queue.served.filter((request) => request.tenant === tenant).map(({ id }) => id);
          expect(ids).toEqual(ids.toSorted((a, b) => a - b));
        }
      }),
    );
  });

  test("a tenant that was away has saved nothing up", () => {
    const queue = new Queue();
    queue.ask("busy", 100);
    queue.serve(50);
    queue.ask("back", 10);
    queue.serve(6);
    expect(queue.served.slice(50).filter(({ tenant }) => tenant === "back")).toHaveLength(3);
  });

  test("requests that leave the queue cost their tenant no turn", () => {
    const queue = new Queue();
    queue.ask("impatient", 50);
    queue.ask("patient", 50);
    queue.waiting = queue.waiting.filter(({ tenant, id }) => tenant === "patient" || id >= 40);
    queue.serve(10);
    expect(queue.served.filter(({ tenant }) => tenant === "impatient")).toHaveLength(5);
  });

  test("a request that cannot be served now holds up nobody, not even its own tenant", () => {
    const queue = new Queue();
    queue.ask("stuck", 20);
    queue.ask("other", 20);
    queue.serve(8, ({ id }) => id >= 10);
    expect(queue.served.filter(({ tenant }) => tenant === "stuck").map(({ id }) => id)).toEqual([10, 11, 12, 13]);
  });

  test("tenants that ask one by one are served by turns, while the first in line cannot be served", () => {
    const queue = new Queue();
    queue.ask("stuck");
    queue.ask("many", 20);
    for (let i = 0; i < 8; i++) {
      queue.ask("one-by-one");
      queue.serve(1, ({ tenant }) => tenant !== "stuck");
    }
    expect(queue.served.filter(({ tenant }) => tenant === "many")).toHaveLength(4);
  });

  test("who waits again goes first, and that is no turn of the tenant's", () => {
    const queue = new Queue();
    queue.ask("a", 3);
    queue.ask("b", 3);
    queue.ask("a", 1, true);
    expect(queue.line().map(({ id }) => id)).toEqual([6, 0, 3, 1, 4, 2, 5]);
    queue.serve(1);
    expect(queue.line().map(({ id }) => id)).toEqual([0, 3, 1, 4, 2, 5]);
  });
});
