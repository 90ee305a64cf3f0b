// Events on their way out: to the log and to the real NATS JetStream, through kills of either side.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { VmEvent } from "../../src/contracts/events.js";
import { orchestratorRoutes as routes } from "../../src/contracts/orchestrator.js";
import { describeSink, firstOfEach, someEvents } from "../../src/orchestrator/events/conformance.js";
import { LogSink } from "../../src/orchestrator/events/log-sink.js";
import { NatsSink } from "../../src/orchestrator/events/nats-sink.js";
import { Relay } from "../../src/orchestrator/events/relay.js";
import { readBacklogs, SqlRelayStore } from "../../src/orchestrator/events/relay-store.js";
import type { EventSink } from "../../src/orchestrator/events/sink.js";
import { natsConfig } from "../../src/orchestrator/events/sink-config.js";
import { Bell } from "../../src/orchestrator/loop.js";
import { systemClock } from "../../src/platform/clock.js";
import type { Database } from "../../src/platform/database.js";
import { startNats, type TestNats } from "../support/nats.js";
import {
  emptyFleet,
  silent,
  startDatabase,
  startOrchestrator,
  type TestDatabase,
  type TestOrchestrator,
  vmIn,
} from "./orchestrator-fixture.js";

let db: TestDatabase;
let orchestrator: TestOrchestrator;
let nats: TestNats;

beforeAll(async () => {
  db = await startDatabase();
  orchestrator = await startOrchestrator(db, { idle: true, config: { places: [{ vmsMax: 10 }] } });
  nats = await startNats();
});
afterAll(async () => {
  await nats?.[Symbol.asyncDispose]();
  await orchestrator?.[Symbol.asyncDispose]();
  await db?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  await emptyFleet(orchestrator.database);
  await orchestrator.database.query("delete from orchestrator.relay_cursors; delete from platform.leases");
});

const natsSink = (fields: object = {}) => new NatsSink(natsConfig.parse({ servers: [nats.server], ...fields }), silent);
const stream = "HOTSEAT_EVENTS";

const lines: string[] = [];
const lineLog = pino({}, { write: (line: string) => void lines.push(line) });
describeSink("log", {
  open: async () => new LogSink(lineLog),
  read: async () => lines.map((line) => JSON.parse(line).event),
});

describeSink("NATS", {
  open: async () => natsSink({ stream: "CONFORMANCE", subjectPrefix: "conformance" }),
  read: async () => (await nats.read("CONFORMANCE")).map(({ event }) => event),
  away: async (work) => {
    await nats.kill();
    try {
      await work();
    } finally {
      await nats.start();
    }
  },
});

function newRelay(database: Database, sink: EventSink, holder: string, delays: number[] = []) {
  return new Relay({
    store: new SqlRelayStore(database, sink.name, holder),
    sink,
    meters: { published: (_sink, seconds) => delays.push(...seconds), failed: () => {} },
    clock: systemClock,
    random: Math.random,
    log: silent,
  });
}

const newest = async () =>
  (await orchestrator.database.one<{ seq: number }>("select coalesce(max(seq), 0) as seq from orchestrator.outbox"))
    .seq;
const relayedTo = async (sink: string) =>
  (
    await orchestrator.database.maybeOne<{ seq: number }>(
      "select seq from orchestrator.relay_cursors where name = $1",
      [sink],
    )
  )?.seq ?? 0;
const allRelayed = (sink: string, timeout = 20_000) =>
  expect.poll(async () => (await relayedTo(sink)) === (await newest()), { timeout, interval: 20 }).toBe(true);
const written = async () =>
  (
    await orchestrator.database.query<{ id: string }>("select seq::text as id from orchestrator.outbox order by seq")
  ).map(({ id }) => id);

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

/** Seats taken and given back on four VMs, by eight callers at once. */
async function makeEvents(rounds: number): Promise<void> {
  const role = orchestrator.as("service");
  const caller = async (name: number) => {
    for (let i = 0; i < rounds; i++) {
      const sessionId = `s-${name}-${i}`;
      await role.call(routes.assign, { body: { sessionId, request: { gameId: "demo", client: "api" } } });
      await role.call(routes.withdraw, { params: { sessionId } });
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, name) => caller(name)));
}

describe("a relay", () => {
  test("leaves a sink's events to the one that holds its lease: each goes out once", async () => {
    const other = db.open();
    const out: VmEvent[] = [];
    const sink: EventSink = {
      name: "test",
      publish: async (events) => void out.push(...events),
      async [Symbol.asyncDispose]() {},
    };
    await vmIn(orchestrator, "DRAINING");
    const [one, two] = [newRelay(orchestrator.database, sink, "one"), newRelay(other, sink, "two")];
    await Promise.all([one.round(), two.round()]);
    await one.round();
    await two.round();
    expect(out.map((event) => event.type)).toEqual(["VMProvisioned", "VMReady", "SessionAssigned"]);
    await vmIn(orchestrator, "READY");
    await Promise.all([one.lastWords(), two.lastWords()]);
    await Promise.all([one.lastWords(), two.lastWords()]);
    expect(out.map(({ id }) => id)).toEqual(await written());
    await other[Symbol.asyncDispose]();
  });

  test("whose sink is away keeps the events, holds up no other sink, and goes on when it is back", async () => {
    let away = true;
    const names: Record<string, string[]> = { here: [], away: [] };
    const sink = (name: string): EventSink => ({
      name,
      publish: async (events) => {
        if (name === "away" && away) throw new Error("away");
        names[name]!.push(...events.map(({ id }) => id));
      },
      async [Symbol.asyncDispose]() {},
    });
    const stop = new AbortController();
    const bell = new Bell();
    const relays = ["here", "away"].map((name) => newRelay(orchestrator.database, sink(name), name));
    const running = relays.map((relay) => relay.run(bell, stop.signal));
    for (let i = 0; i < 3; i++) await vmIn(orchestrator, "READY");
    bell.ring();
    await allRelayed("here");
    const [behind] = await readBacklogs(orchestrator.database, ["away"]);
    expect(behind).toMatchObject({ sink: "away", events: 6 });
    away = false;
    await allRelayed("away");
    expect(await readBacklogs(orchestrator.database, ["away"])).toEqual([{ sink: "away", events: 0, oldestAt: null }]);
    stop.abort();
    await Promise.all(running);
    expect(names.here).toEqual(await written());
    expect(names.away).toEqual(names.here);
  });

  test("whose lease was taken over does not move the cursor", async () => {
    await vmIn(orchestrator, "READY");
    const [one, two] = ["one", "two"].map((holder) => new SqlRelayStore(orchestrator.database, "test", holder));
    expect(await one!.lead()).toBe(0);
    expect(await two!.lead()).toBeNull();
    await orchestrator.database.query("update platform.leases set until = now() - interval '1 second'");
    expect(await two!.lead()).toBe(0);
    expect(await one!.publishedTo(1)).toBe(false);
    expect(await relayedTo("test")).toBe(0);
    expect(await two!.publishedTo(1)).toBe(true);
    expect(await relayedTo("test")).toBe(1);
  });
});

describe("events in NATS", () => {
  test("are CloudEvents in structured mode, on a subject per type and VM, within milliseconds of their commit", async () => {
    await using sink = natsSink();
    const delays: number[] = [];
    const bell = new Bell();
    const stop = new AbortController();
    await using _listening = orchestrator.database.listen("orchestrator", bell.ring);
    const running = newRelay(orchestrator.database, sink, "one", delays).run(bell, stop.signal);
    const { vmId } = await vmIn(orchestrator, "READY");
    await allRelayed("nats");
    delays.length = 0;
    await makeEvents(10);
    await allRelayed("nats");
    stop.abort();
    await running;
    const messages = (await nats.read(stream)).slice(-(await written()).length);
    expect(messages.map(({ event }) => event.id)).toEqual(await written());
    expect(messages[1]).toMatchObject({
      subject: `hotseat.events.VMReady.${vmId}`,
      headers: { "Content-Type": "application/cloudevents+json; charset=UTF-8", "Nats-Msg-Id": messages[1]!.event.id },
      event: { specversion: "1.0", type: "VMReady", subject: vmId, data: { vmId } },
    });
    const sorted = delays.toSorted((a, b) => a - b);
    console.log(`commit → acknowledged: median ${sorted[sorted.length >> 1]} s, worst ${sorted.at(-1)} s`);
    expect(sorted[sorted.length >> 1]).toBeLessThan(0.5);
  });

  test("are all there, each VM's in order, though relays and the server are killed again and again", async () => {
    const already = (await nats.read(stream)).length;
    const relays = new Map<string, ChildProcess>();
    let started = 0;
    const program = fileURLToPath(new URL("run-relay.mjs", import.meta.url));
    const startRelay = () => {
      const holder = `relay-${started++}`;
      relays.set(holder, spawn(process.execPath, [program, db.url, nats.server, holder], { stdio: "inherit" }));
    };
    const holderNow = async () =>
      (
        await orchestrator.database.maybeOne<{ holder: string }>(
          "select holder from platform.leases where until > now()",
        )
      )?.holder;
    const killHolder = async () => {
      const lives = async () => relays.has((await holderNow()) ?? "");
      await expect.poll(lives, { timeout: 15_000, interval: 5 }).toBe(true);
      const holder = (await holderNow()) ?? "";
      const child = relays.get(holder);
      relays.delete(holder);
      if (child !== undefined) await kill(child);
      startRelay();
    };
    for (let i = 0; i < 4; i++) await vmIn(orchestrator, "READY");
    startRelay();
    startRelay();
    try {
      let over = false;
      const busy = async () => {
        while (!over) await makeEvents(2);
      };
      const chaos = async () => {
        for (let i = 0; i < 2; i++) {
          await killHolder();
          await nats.kill();
          await makeEvents(2);
          await nats.start();
        }
        over = true;
      };
      await Promise.all([busy(), chaos()]);
      await allRelayed("nats", 45_000);
    } finally {
      await Promise.all([...relays.values()].map(kill));
    }
    const messages = (await nats.read(stream)).slice(already).map(({ event }) => event);
    const ids = await written();
    expect(firstOfEach(messages).map(({ id }) => id)).toEqual(ids);
    console.log(`${ids.length} events, ${messages.length - ids.length} of them twice, ${started} relays`);
  });

  test("come from the role that is configured so, which says how far behind it is and stops while NATS is away", async () => {
    const role = await startOrchestrator(db, {
      name: "with-nats",
      config: { places: [{ provider: "simulated" }], events: { nats: { servers: [nats.server] } } },
    });
    const metric = async (name: string) => {
      const { values } = await role.registry.getSingleMetric(name)!.get();
      return values.find(({ labels }) => labels.sink === "nats")?.value;
    };
    try {
      const { body } = await role.as("operate").call(routes.createVm, {
        body: { templateId: "L4-90", region: "us-east-1" },
      });
      const arrived = async () => (await nats.read(stream)).map(({ event }) => event.subject);
      await expect.poll(arrived, { timeout: 10_000 }).toContain(body.vmId);
      await allRelayed("nats");
      expect([await metric("hotseat_outbox_lag_seconds"), await metric("hotseat_outbox_waiting_events")]).toEqual([
        0, 0,
      ]);
      await nats.kill();
      const asked = performance.now();
      await vmIn(orchestrator, "PROVISIONING");
      expect(performance.now() - asked).toBeLessThan(2_000);
      await allRelayed("log");
      await expect.poll(() => metric("hotseat_outbox_lag_seconds")).toBeGreaterThan(0);
      await expect.poll(() => metric("hotseat_outbox_failures_total"), { timeout: 10_000 }).toBeGreaterThan(0);
    } finally {
      const asked = performance.now();
      await role[Symbol.asyncDispose]();
      expect(performance.now() - asked).toBeLessThan(5_000);
      await nats.start();
    }
  });

  test("that are lost on the way take the later ones of their batch with them, so that order holds", async () => {
    await using sink = natsSink({ stream: "LOSSES", subjectPrefix: "losses" });
    const [first, second, third] = someEvents(3) as [VmEvent, VmEvent, VmEvent];
    const tooLarge = { ...second, time: "x".repeat(2_000_000) };
    await expect(sink.publish([first, tooLarge, third])).rejects.toThrow();
    const stored = async () => (await nats.read("LOSSES")).map(({ event }) => event);
    expect(await stored()).toEqual([first]);
    await sink.publish([first, second, third]);
    expect(await stored()).toEqual([first, second, third]);
  });

  test("go to a server that asks for a credential, which appears in no error", async () => {
    await using guarded = await startNats({ args: ["--auth", "open-sesame"] });
    const tokenFile = join(db.dir, "token");
    const publish = async (token: string) => {
      await writeFile(tokenFile, `${token}\n`);
      await using sink = new NatsSink(natsConfig.parse({ servers: [guarded.server], auth: { tokenFile } }), silent);
      await sink.publish(someEvents(1));
    };
    const refusal = await publish("wrong-secret").catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Error);
    expect(inspect(refusal, { depth: 10 })).not.toContain("wrong-secret");
    await publish("open-sesame");
  });

  test("need a stream with their subjects: another one is not touched", async () => {
    await using sink = natsSink({ subjectPrefix: "elsewhere" });
    await expect(sink.publish([])).rejects.toThrow(/without the subjects elsewhere/);
  });
});
