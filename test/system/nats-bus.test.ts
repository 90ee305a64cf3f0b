// The bus over a real NATS server, through kills of it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { busLimits } from "../../src/platform/bus.js";
import { becomes, describeBus } from "../../src/platform/bus-conformance.js";
import { createLog } from "../../src/platform/log.js";
import { NatsBus } from "../../src/platform/nats-bus.js";
import { freePort } from "../support/free-port.js";
import { startNats, type TestNats } from "../support/nats.js";

const log = createLog({ name: "t", level: "silent" });
let nats: TestNats;
beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats[Symbol.asyncDispose]());

const busOn = (...servers: string[]) => new NatsBus({ access: { servers }, name: "test", random: Math.random, log });

describeBus("NATS", {
  open: async () => {
    const bus = busOn(nats.server);
    await becomes(bus, true);
    return bus;
  },
  cut: async () => {
    await nats.kill();
    return () => nats.start();
  },
});

describe("a bus over NATS", () => {
  it("may be made before its server is there, and be ended while it is not", async () => {
    const port = await freePort();
    await using bus = busOn(`nats://127.0.0.1:${port}`);
    expect(bus.connected).toBe(false);
    expect(bus.publish("t", new Uint8Array(1))).toBe("away");
  });

  it("needs no more than the rights docs/operate.md names, and goes on trying with a password that is wrong", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hotseat-nats-"));
    const passwordFile = (name: string, password: string) => {
      writeFileSync(join(folder, name), `${password}\n`, { mode: 0o600 });
      return join(folder, name);
    };
    const rights = '["hotseat.streaming.>", "_INBOX.>"]';
    const permissions = `{ publish: ${rights}, subscribe: ${rights} }`;
    const config = join(folder, "nats.conf");
    writeFileSync(
      config,
      `authorization { users: [{ user: streaming, password: "right", permissions: ${permissions} }] }\n`,
    );
    await using guarded = await startNats({ args: ["--config", config] });
    const busBy = (file: string) =>
      new NatsBus({
        access: { servers: [guarded.server], auth: { user: "streaming", passwordFile: file } },
        name: "test",
        random: Math.random,
        log,
      });
    await using wrong = busBy(passwordFile("wrong", "guess"));
    await using a = busBy(passwordFile("right", "right"));
    await using b = busBy(passwordFile("right", "right"));
    await Promise.all([becomes(a, true), becomes(b, true)]);
    b.subscribe("hotseat.streaming.node.b.ask", (bytes, _, answer) => answer?.(bytes));
    // Its own subscription is known to the server when this has come back.
    await b.request("hotseat.streaming.nobody", new Uint8Array(), { timeoutMs: 5_000 });
    const asked = await a.request("hotseat.streaming.node.b.ask", Uint8Array.of(7), { timeoutMs: 5_000 });
    expect(asked).toMatchObject({ kind: "answer" });
    expect(wrong.connected).toBe(false);
    writeFileSync(join(folder, "wrong"), "right\n");
    await becomes(wrong, true);
    rmSync(folder, { recursive: true });
  });

  it("gives a server up that takes nothing, and drops what may be dropped before that", async () => {
    await using bus = busOn(nats.server);
    await becomes(bus, true);
    nats.pause(true);
    try {
      const message = new Uint8Array(busLimits.messageBytesMax);
      const outcomes = (droppable: boolean) => {
        for (let sent = 0; ; sent += message.length) {
          const outcome = bus.publish("t", message, { droppable });
          if (outcome !== "sent") return { outcome, sent };
        }
      };
      const dropped = outcomes(true);
      expect(dropped.outcome).toBe("full");
      expect(dropped.sent).toBeLessThan(2 * busLimits.droppableBytesMax);
      expect(bus.connected).toBe(true);
      expect(outcomes(false).outcome).toBe("full");
      expect(bus.connected).toBe(false);
    } finally {
      nats.pause(false);
    }
    await becomes(bus, true);
    expect(bus.publish("t", new Uint8Array(1))).toBe("sent");
  });

  it.each([
    ["takes nothing", 2 * busLimits.pendingBytesMax],
    ["stands still behind what it has not taken", busLimits.pendingBytesMax / 2],
  ])("leaves a server that %s for another that is listed, though the first never goes on", async (_, bytes) => {
    await using second = await startNats();
    await second.kill();
    await using first = await startNats();
    await using bus = busOn(first.server, second.server);
    await becomes(bus, true);
    await second.start();
    first.pause(true);
    const message = new Uint8Array(busLimits.messageBytesMax);
    for (let sent = 0; sent < bytes; sent += message.length) bus.publish("t", message);
    await becomes(bus, false);
    await becomes(bus, true);
    await using other = busOn(second.server);
    await becomes(other, true);
    other.subscribe("t", (heard, _, answer) => answer?.(heard));
    await other.request("nobody", new Uint8Array(), { timeoutMs: 5_000 });
    expect(await bus.request("t", Uint8Array.of(7), { timeoutMs: 5_000 })).toMatchObject({ kind: "answer" });
    expect(bus.publish("t", message)).toBe("sent");
  });
});
