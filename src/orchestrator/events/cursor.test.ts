import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { advance, type Cursor, cursorAfter, parseEventId, type Seen } from "./cursor.js";

interface Row {
  readonly seq: number;
  readonly vm: number;
  readonly version: number;
}

interface Transaction {
  readonly xid: bigint;
  readonly todo: number[];
  readonly fails: boolean;
  readonly rows: Row[];
}

/**
 * Transactions as PostgreSQL runs them: each takes its xid at its start, locks VMs in id order, waits for those that
 * others hold, draws a seq under each lock, and commits or rolls back. `step` lets one of them go on.
 */
class World {
  readonly committed: Row[] = [];
  #running: Transaction[] = [];
  #locks = new Map<number, bigint>();
  #versions = new Map<number, number>();
  #seq = 0;
  #xid = 1n;

  constructor(private readonly plans: { vms: number[]; fails: boolean }[]) {}

  get over(): boolean {
    return this.plans.length === 0 && this.#running.length === 0;
  }

  step(choice: number): void {
    const next = choice % 3 === 0 ? this.plans.shift() : undefined;
    if (next !== undefined) {
      const todo = [...new Set(next.vms)].sort();
      this.#running.push({ xid: this.#xid++, todo, fails: next.fails, rows: [] });
    } else if (this.#running.length > 0) this.#go(this.#running[choice % this.#running.length]!);
  }

  snapshot(cursor: Cursor, pageMax: number): Seen<Row> {
    const rows = this.committed.filter((row) => row.seq > cursor.seq).sort((a, b) => a.seq - b.seq);
    const xmin = this.#running[0]?.xid ?? this.#xid;
    return { rows: rows.slice(0, pageMax), xmin, nextXid: this.#xid };
  }

  #go(tx: Transaction): void {
    const vm = tx.todo[0];
    if (vm === undefined) this.#end(tx);
    else if (!this.#locks.has(vm)) this.#change(tx, vm);
  }

  #change(tx: Transaction, vm: number): void {
    this.#locks.set(vm, tx.xid);
    tx.todo.shift();
    const version = (this.#versions.get(vm) ?? 0) + 1;
    tx.rows.push({ seq: ++this.#seq, vm, version });
  }

  #end(tx: Transaction): void {
    for (const [vm, holder] of this.#locks) if (holder === tx.xid) this.#locks.delete(vm);
    this.#running = this.#running.filter((other) => other !== tx);
    if (tx.fails) return;
    for (const { vm, version } of tx.rows) this.#versions.set(vm, version);
    this.committed.push(...tx.rows);
  }
}

const worlds = fc.record({
  plans: fc.array(fc.record({ vms: fc.array(fc.nat(4), { minLength: 1, maxLength: 3 }), fails: fc.boolean() }), {
    maxLength: 15,
  }),
  choices: fc.array(fc.nat(50), { maxLength: 120 }),
});

/** Lets the world run, reading after every step; then lets it end, and reads the rest. */
function follow(world: World, choices: number[], pageMax: number, from = cursorAfter(0)): Row[] {
  const read: Row[] = [];
  let cursor = from;
  const look = () => {
    const step = advance(cursor, world.snapshot(cursor, pageMax));
    read.push(...step.publish);
    cursor = step.cursor;
  };
  for (const choice of choices) {
    world.step(choice);
    look();
  }
  for (let i = 0; !world.over; i++) world.step(i);
  for (let i = 0; i < 200; i++) look();
  return read;
}

describe("a reader", () => {
  test("gets every committed event once, in order of seq, and so each VM's changes in order", () => {
    fc.assert(
      fc.property(worlds, fc.integer({ min: 1, max: 5 }), ({ plans, choices }, pageMax) => {
        const world = new World([...plans]);
        const read = follow(world, choices, pageMax);
        expect(read).toEqual([...world.committed].sort((a, b) => a.seq - b.seq));
        const versions = new Map<number, number>();
        for (const { vm, version } of read) {
          expect(version).toBe((versions.get(vm) ?? 0) + 1);
          versions.set(vm, version);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("that resumes after any event gets exactly the later ones", () => {
    fc.assert(
      fc.property(worlds, fc.nat(40), ({ plans, choices }, pick) => {
        const world = new World([...plans]);
        const read = follow(world, choices, 3);
        if (read.length === 0) return;
        const last = pick % read.length;
        expect(follow(world, [], 3, cursorAfter(read[last]!.seq))).toEqual(read.slice(last + 1));
      }),
    );
  });

  test("waits at a gap for the transactions that may fill it, and for no later ones", () => {
    const row = (seq: number) => ({ seq });
    const first = advance(cursorAfter(0), { rows: [row(1), row(3)], xmin: 10n, nextXid: 12n });
    expect(first.publish).toEqual([row(1)]);
    const still = advance(first.cursor, { rows: [row(3), row(5)], xmin: 11n, nextXid: 20n });
    expect(still.publish).toEqual([]);
    const rolledBack = advance(still.cursor, { rows: [row(3), row(5)], xmin: 12n, nextXid: 21n });
    expect(rolledBack.publish).toEqual([row(3)]);
    expect(rolledBack.cursor.gap).toEqual({ below: 5, barrierXid: 21n });
  });
});

test("an event's id is a position, and nothing else is taken for one", () => {
  expect(parseEventId("42")).toBe(42);
  for (const text of ["", "-1", "1-2", "1.5", "x", " 1", "1e3", "9".repeat(17)]) expect(parseEventId(text)).toBeNull();
});
