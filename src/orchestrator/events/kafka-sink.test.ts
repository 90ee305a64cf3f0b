// What of the Kafka sink needs no broker.

import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { someEvents } from "./conformance.js";
import { KafkaSink, messageOf } from "./kafka-sink.js";
import { publishMsMax } from "./sink.js";
import { kafkaConfig } from "./sink-config.js";

test("an event is keyed by its VM, so that a VM's events stay in one partition, and is a structured CloudEvent", () => {
  const [event] = someEvents(1);
  const message = messageOf("hotseat.events", event!);
  expect(message).toMatchObject({ topic: "hotseat.events", key: event!.subject });
  expect(message.headers).toEqual({ "content-type": "application/cloudevents+json; charset=UTF-8" });
  expect(JSON.parse(message.value)).toEqual(event);
});

test("a broker that is not there, or says nothing, is told in time, again and again", async () => {
  const mute = createServer().listen(0, "127.0.0.1");
  await once(mute, "listening");
  const address = mute.address();
  const port = typeof address === "object" ? address?.port : 0;
  for (const broker of ["127.0.0.1:1", `127.0.0.1:${port}`]) {
    await using sink = new KafkaSink(kafkaConfig.parse({ brokers: [broker] }));
    for (let attempt = 0; attempt < 2; attempt++) {
      const started = performance.now();
      await expect(sink.publish(someEvents(3))).rejects.toThrow();
      expect(performance.now() - started).toBeLessThan(publishMsMax + 2_000);
    }
  }
  mute.close();
});
