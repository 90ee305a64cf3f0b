// The log as a sink: one line an event.
import type { VmEvent } from "../../contracts/events.js";
import type { Log } from "../../platform/log.js";
import type { EventSink } from "./sink.js";

export class LogSink implements EventSink {
  readonly name = "log";

  constructor(private readonly log: Log) {}

  async publish(events: readonly VmEvent[]): Promise<void> {
    for (const event of events) this.log.info({ event }, `${event.type} ${event.subject}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
