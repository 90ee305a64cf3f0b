import { describe, expect, test } from "vitest";
import { ConfigError, parseConfig } from "../../platform/config.js";
import { eventsConfig } from "./sink-config.js";

describe("where events go", () => {
  test("is the log alone, unless said otherwise", () => {
    expect(parseConfig(eventsConfig, {})).toEqual({});
  });

  test("may be NATS by its address alone: the rest has limits by default", () => {
    expect(parseConfig(eventsConfig, { nats: { servers: ["nats://nats-1:4222", "nats-2"] } }).nats).toEqual({
      servers: ["nats://nats-1:4222", "nats-2"],
      stream: "HOTSEAT_EVENTS",
      subjectPrefix: "hotseat.events",
      replicas: 1,
      maxAgeDays: 7,
      maxBytes: 1_000_000_000,
    });
  });

  test.each([
    ["a password in an address", { nats: { servers: ["nats://user:secret@nats:4222"] } }],
    ["a password in the settings", { nats: { servers: ["nats"], auth: { user: "a", password: "secret" } } }],
    ["half a credential", { nats: { servers: ["nats"], auth: { user: "a" } } }],
    ["a prefix that is no subject", { nats: { servers: ["nats"], subjectPrefix: "a..b" } }],
    ["no server", { nats: { servers: [] } }],
    ["a broker without a port", { kafka: { brokers: ["kafka"] } }],
    [
      "a password of Kafka in the settings",
      { kafka: { brokers: ["k:9092"], sasl: { mechanism: "PLAIN", username: "a", password: "b" } } },
    ],
  ])("is refused with %s", (_, raw) => {
    expect(() => parseConfig(eventsConfig, raw)).toThrow(ConfigError);
  });
});
