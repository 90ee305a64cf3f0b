// NATS JetStream as a sink: one stream, a subject per event type and VM, CloudEvents in structured mode.
//
// A batch is sent at once and acknowledged message by message. Each but the first expects the one before it to be the
// stream's last, so a message that was lost on the way takes the later ones of its batch with it: order holds though
// nobody waits between them. What is sent again within the stream's two minutes is dropped by its `Nats-Msg-Id`, the
// event's id; consumers drop what comes again later. The server looks for duplicates before it looks at expectations.
import { JetStreamApiCodes, JetStreamApiError, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection, nanos } from "@nats-io/transport-node";
import type { VmEvent } from "../../contracts/events.js";
import type { Log } from "../../platform/log.js";
import { connectionOptions } from "../../platform/nats-config.js";
import { cloudEventType, type EventSink, publishMsMax } from "./sink.js";
import type { NatsConfig } from "./sink-config.js";

const connectMsMax = 1_000;
const duplicateWindowMs = 120_000;
const dayMs = 24 * 3_600_000;

/** The stream exists, but other subjects are in it. */
export class WrongStreamError extends Error {
  override name = "WrongStreamError";
}

export class NatsSink implements EventSink {
  readonly name = "nats";
  #connection: NatsConnection | null = null;
  #streamSeen = false;

  constructor(
    private readonly config: NatsConfig,
    private readonly log: Log,
  ) {}

  async publish(events: readonly VmEvent[]): Promise<void> {
    const connection = await this.#connect();
    if (!this.#streamSeen) await this.#makeStream(connection);
    const js = jetstream(connection, { timeout: publishMsMax });
    const acks = await Promise.allSettled(
      events.map((event, index) => {
        const before = events[index - 1];
        const marks = headers();
        marks.set("Content-Type", cloudEventType);
        return js.publish(subjectOf(this.config.subjectPrefix, event), JSON.stringify(event), {
          msgID: event.id,
          headers: marks,
          timeout: publishMsMax,
          retries: 0,
          expect: { streamName: this.config.stream, ...(before && { lastMsgID: before.id }) },
        });
      }),
    );
    const failed = acks.find((ack) => ack.status === "rejected");
    if (failed === undefined) return;
    // It may have been deleted: look again before the next try.
    this.#streamSeen = false;
    throw failed.reason;
  }

  async #connect(): Promise<NatsConnection> {
    if (this.#connection !== null && !this.#connection.isClosed()) return this.#connection;
    this.#streamSeen = false;
    const connection = await connect(await connectionOptions(this.config, "hotseat-orchestrator"));
    this.log.info({ server: connection.getServer() }, "connected to NATS");
    this.#connection = connection;
    return connection;
  }

  async #makeStream(connection: NatsConnection): Promise<void> {
    const { stream, subjectPrefix, replicas, maxAgeDays, maxBytes } = this.config;
    const { streams } = await jetstreamManager(connection, { timeout: connectMsMax, checkAPI: false });
    const subjects = [`${subjectPrefix}.>`];
    try {
      const { config } = await streams.info(stream);
      if (!config.subjects.includes(subjects[0]!))
        throw new WrongStreamError(`The stream ${stream} is there, without the subjects ${subjects[0]}: add them.`);
    } catch (error) {
      if (!(error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound)) throw error;
      await streams.add({
        name: stream,
        description: "VM and seat events of Hotseat (CloudEvents 1.0, JSON)",
        subjects,
        num_replicas: replicas,
        max_age: nanos(maxAgeDays * dayMs),
        max_bytes: maxBytes,
        duplicate_window: nanos(duplicateWindowMs),
      });
      this.log.info({ stream }, "made the stream");
    }
    this.#streamSeen = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection?.close();
  }
}

/** Ids and regions are of letters, digits, - and _ alone, so none of them can be mistaken for another subject. */
export const subjectOf = (prefix: string, { type, subject }: Pick<VmEvent, "type" | "subject">): string =>
  `${prefix}.${type}.${subject}`;
