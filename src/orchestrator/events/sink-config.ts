// Where events are sent to besides the log. Secrets stand in files of their own, so that settings may be shown.
import * as z from "zod";
import { natsAccess, subjectPrefix } from "../../platform/nats-config.js";

const path = z.string().min(1);
const days = z.number().positive();

export const natsConfig = z.strictObject({
  ...natsAccess.shape,
  stream: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,64}$/)
    .default("HOTSEAT_EVENTS")
    .describe("Made at start unless it is there; its limits are yours to change then"),
  subjectPrefix: subjectPrefix
    .default("hotseat.events")
    .describe("Subjects are <prefix>.<event type>.<VM id, or region>"),
  replicas: z.int().min(1).max(5).default(1),
  maxAgeDays: days.default(7),
  maxBytes: z.int().min(1_000_000).default(1_000_000_000),
});
export type NatsConfig = z.infer<typeof natsConfig>;

export const kafkaConfig = z.strictObject({
  brokers: z.array(z.string().regex(/^[^@/\s:]+:\d{1,5}$/, "host:port")).min(1),
  topic: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,249}$/)
    .default("hotseat.events")
    .describe("Must exist; its partitions are yours to choose"),
  sasl: z
    .strictObject({
      mechanism: z.enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
      username: z.string().min(1),
      passwordFile: path,
    })
    .optional(),
  tls: z.strictObject({ caFile: path.optional() }).optional(),
});
export type KafkaConfig = z.infer<typeof kafkaConfig>;

export const eventsConfig = z.strictObject({
  nats: natsConfig.optional(),
  kafka: kafkaConfig.optional(),
});
export type EventsConfig = z.infer<typeof eventsConfig>;
