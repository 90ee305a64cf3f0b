// One relay to NATS as a process of its own, to be killed: `node run-relay.mjs <database url> <nats url> <holder>`.
import { NatsSink } from "../../dist/orchestrator/events/nats-sink.js";
import { Relay } from "../../dist/orchestrator/events/relay.js";
import { SqlRelayStore } from "../../dist/orchestrator/events/relay-store.js";
import { natsConfig } from "../../dist/orchestrator/events/sink-config.js";
import { Bell } from "../../dist/orchestrator/loop.js";
import { systemClock } from "../../dist/platform/clock.js";
import { openDatabase } from "../../dist/platform/database.js";
import { createLog } from "../../dist/platform/log.js";

const [url, server, holder] = process.argv.slice(2);
const log = createLog({ name: holder, level: "warn" });
const database = openDatabase({ url, applicationName: holder, log });
const bell = new Bell();
database.listen("orchestrator", bell.ring);
const relay = new Relay({
  store: new SqlRelayStore(database, "nats", holder),
  sink: new NatsSink(natsConfig.parse({ servers: [server] }), log),
  meters: { published() {}, failed() {} },
  clock: systemClock,
  random: Math.random,
  log,
});
await relay.run(bell, new AbortController().signal);
