// Where the relays publish to: stores events by id, is away for a while, stores half a batch and fails. What it got must
// be what was written: everything, nothing else, in order, some of it more than once.
import type { VmEvent } from "../src/contracts/events.js";
import type { EventSink } from "../src/orchestrator/events/sink.js";
import type { Random } from "./kernel/random.js";
import type { Stage } from "./stage.js";
import type { Wire } from "./wire.js";

export class SinkError extends Error {
  override name = "SinkError";
}

export class Consumer {
  #awayUntilMs = 0;
  readonly #random: Random;

  constructor(
    private readonly stage: Stage,
    /** Called with every event that is stored, also with one that was stored before. */
    private readonly stored: (event: VmEvent) => void,
  ) {
    this.#random = stage.random("consumer");
  }

  goAway(lastsMs: number): void {
    this.#awayUntilMs = this.stage.kernel.nowMs + lastsMs;
  }

  sink(wire: Wire): EventSink {
    return {
      name: "consumer",
      publish: (events) => wire.call("sink", "sink.publish", [events.length], async () => this.#publish(events)),
      [Symbol.asyncDispose]: async () => {},
    };
  }

  #publish(events: readonly VmEvent[]): void {
    if (this.stage.kernel.nowMs < this.#awayUntilMs) {
      for (const event of events.slice(0, this.#random.whole(0, events.length - 1))) this.stored(event);
      throw new SinkError("the sink went away");
    }
    for (const event of events) this.stored(event);
  }
}
