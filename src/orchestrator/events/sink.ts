// Where events go from the outbox. A sink stores them; it does not decide when, nor remember how far it came (relay.ts).
import type { VmEvent } from "../../contracts/events.js";

export interface EventSink extends AsyncDisposable {
  /** Names its cursor, lease and metrics. */
  readonly name: string;
  /**
   * Resolves once all of them are stored there, in this order. On a throw any number of the first ones may be, and
   * the same batch comes again: what was stored is then dropped, or found by its id. Never stores one without those
   * before it. Gives up after `publishMsMax`, and 2 s more where it must connect first.
   */
  publish(events: readonly VmEvent[]): Promise<void>;
}

export const publishMsMax = 3_000;

/** Structured content mode (CloudEvents 1.0, JSON format). */
export const cloudEventType = "application/cloudevents+json; charset=UTF-8";
