// Kafka as a sink: one topic, keyed by VM, CloudEvents in structured mode.
//
// An idempotent producer with acks from all in-sync replicas; a batch is one request, and the next is sent only when
// it was acknowledged, so each VM's events stay in order in their partition. What is sent again after a lost answer is
// found by consumers by its id. This has not met a broker yet (docs/operate.md).
import { readFile } from "node:fs/promises";
import { ProduceAcks, Producer, stringSerializers } from "@platformatic/kafka";
import type { VmEvent } from "../../contracts/events.js";
import { cloudEventType, type EventSink, publishMsMax } from "./sink.js";
import type { KafkaConfig } from "./sink-config.js";

type StringProducer = Producer<string, string, string, string>;

export class KafkaSink implements EventSink {
  readonly name = "kafka";
  #producer: StringProducer | null = null;

  constructor(private readonly config: KafkaConfig) {}

  async publish(events: readonly VmEvent[]): Promise<void> {
    this.#producer ??= await openProducer(this.config);
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`Kafka did not answer within ${publishMsMax} ms`)), publishMsMax);
    });
    const sending = this.#producer.send({
      messages: events.map((event) => messageOf(this.config.topic, event)),
      acks: ProduceAcks.ALL,
      idempotent: true,
    });
    try {
      await Promise.race([sending, tooLate]);
    } catch (error) {
      // Nothing of this batch may leave later, behind the next one's back.
      const producer = this.#producer;
      this.#producer = null;
      await Promise.allSettled([producer.close(true), sending]);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#producer?.close(true);
  }
}

export const messageOf = (topic: string, event: VmEvent) => ({
  topic,
  key: event.subject,
  value: JSON.stringify(event),
  headers: { "content-type": cloudEventType },
});

async function openProducer({ brokers, sasl, tls }: KafkaConfig): Promise<StringProducer> {
  return new Producer({
    clientId: "hotseat-orchestrator",
    bootstrapBrokers: brokers,
    serializers: stringSerializers,
    connectTimeout: publishMsMax,
    timeout: publishMsMax,
    retries: 0,
    ...(tls && { tls: tls.caFile === undefined ? {} : { ca: await readFile(tls.caFile) } }),
    ...(sasl && {
      sasl: {
        mechanism: sasl.mechanism,
        username: sasl.username,
        password: (await readFile(sasl.passwordFile, "utf8")).trim(),
      },
    }),
  });
}
