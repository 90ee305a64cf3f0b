// Virtual time: an event queue ordered by (time, order of scheduling), and nothing else that happens.
//
// After each event everything it set going by promises runs to its end before the next one: the real event loop turns
// once in between (microtasks are drained between two immediates, Node ≥ 11). So as long as nothing waits for real time
// or I/O, the order of everything follows from the events, and the events from the seed.

/** So many at one instant are no busy moment any more: something goes round and round without time passing. */
const eventsAtOnceMax = 20_000;

interface Event {
  readonly atMs: number;
  readonly order: number;
  /** Null: it was called off. */
  run: (() => void) | null;
}

export class Kernel {
  readonly #heap: Event[] = [];
  #scheduled = 0;
  #ran = 0;
  #atOnce = 0;
  #nowMs: number;

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get eventsRun(): number {
    return this.#ran;
  }

  /** Whole milliseconds, as the product's clock has them. What it answers calls it off. */
  after(delayMs: number, run: () => void): () => void {
    const atMs = this.#nowMs + Math.max(0, Math.round(delayMs));
    const event: Event = { atMs, order: this.#scheduled++, run };
    this.#push(event);
    return () => {
      event.run = null;
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Runs what is due until then, or until `stop` says so; it is then that late. Rejects with what an event throws. */
  async run(untilMs: number, stop: () => boolean = () => false): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const step = () => {
        if (stop()) return resolve();
        const next = this.#next();
        if (next === undefined || next.atMs > untilMs) {
          this.#nowMs = Math.max(this.#nowMs, untilMs);
          return resolve();
        }
        this.#pop();
        this.#atOnce = next.atMs === this.#nowMs ? this.#atOnce + 1 : 0;
        if (this.#atOnce > eventsAtOnceMax) return reject(new Error(`time stands still at ${next.atMs}`));
        this.#nowMs = next.atMs;
        this.#ran += 1;
        try {
          next.run?.();
        } catch (error) {
          return reject(error);
        }
        setImmediate(step);
      };
      setImmediate(step);
    });
  }

  #next(): Event | undefined {
    while (this.#heap[0]?.run === null) this.#pop();
    return this.#heap[0];
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, event)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
