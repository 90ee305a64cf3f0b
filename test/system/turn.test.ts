// coturn as deploy/coturn sets it up, and the credentials Hotseat makes for it.
import { readFileSync } from "node:fs";
import { afterEach, expect, it } from "vitest";
import { type ConfiguredServer, iceServersFor } from "../../src/streaming/ice/ice-servers.js";
import { startTurn, type TestTurn, turnSecrets } from "../support/coturn.js";
import { until } from "../support/hotseat.js";
import { TurnClient, type TurnCredential } from "../support/turn-client.js";

let turn: TestTurn;
afterEach(() => turn?.[Symbol.asyncDispose]());

const start = async (...args: string[]) => {
  turn = await startTurn({ host: "127.0.0.1", port: 3478, args });
};

/** As streaming-ingest makes them. */
function credential({
  secret = turnSecrets[0] as string,
  sessionId = "s_1",
  lifeSeconds = 300,
  now = Date.now(),
} = {}) {
  const server: ConfiguredServer = { urls: ["turn:127.0.0.1"], sharedSecret: secret };
  return iceServersFor([server], { sessionId, lifeSeconds, now })[0] as TurnCredential;
}

it("reads every line of the configuration, and prints no secret", async () => {
  await start();
  expect(turn.lines.filter((line) => /bad configuration|wrong|error resolving|warning/i.test(line))).toStrictEqual([]);
  const denied = readFileSync("deploy/coturn/turnserver.conf", "utf8").match(/^denied-peer-ip=.*$/gm) ?? [];
  const listed = turn.lines.filter((line) => line.includes("Black listing"));
  expect(listed).toHaveLength(denied.length);
  expect(turn.lines.join("\n")).not.toContain(turnSecrets[0]);
});

it("takes a credential of Hotseat's, by the newest secret or an older one", async () => {
  await start();
  for (const secret of turnSecrets) {
    await using client = new TurnClient(turn, credential({ secret }));
    expect(await client.allocate()).toBe("ok");
  }
});

it("refuses a wrong password, an expired credential, and one made by another secret", async () => {
  await start();
  const wrong = { ...credential(), credential: "wrong" };
  const expired = credential({ now: Date.now() - 301_000 });
  const foreign = credential({ secret: "the secret of another installation" });
  const prolonged = { ...expired, username: credential().username };
  for (const refused of [wrong, expired, foreign, prolonged]) {
    await using client = new TurnClient(turn, refused);
    expect(await client.allocate()).toBe(401);
  }
});

it("keeps an allocation whose credential has expired since, and makes no new one by it", async () => {
  await start("--stale-nonce=1");
  const short = credential({ lifeSeconds: 2 });
  await using client = new TurnClient(turn, short);
  expect(await client.allocate()).toBe("ok");
  await until("a new allocation is refused", async () => {
    await using late = new TurnClient(turn, short);
    return (await late.allocate()) === 401 || undefined;
  });
  expect(await client.refresh()).toBe("ok");
  expect(await client.permit("203.0.113.9")).toBe("ok");
});

it("relays to the internet, and not into the network it stands in", async () => {
  await start();
  await using client = new TurnClient(turn, credential());
  await client.allocate();
  for (const peer of ["203.0.113.9", "8.8.8.8"]) expect(await client.permit(peer), peer).toBe("ok");
  const inside = [
    "10.0.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "224.0.0.1",
    "0.0.0.0",
  ];
  for (const peer of inside) expect(await client.permit(peer), peer).toBe(403);
});

it("relays to the private addresses an operator allows", async () => {
  await start("--allowed-peer-ip=10.20.0.0-10.20.0.255");
  await using client = new TurnClient(turn, credential());
  await client.allocate();
  expect(await client.permit("10.20.0.7")).toBe("ok");
  expect(await client.permit("10.20.1.7")).toBe(403);
});

it("gives one session so many allocations, whatever credentials it got, and another its own", async () => {
  await start("--user-quota=2");
  await using first = new TurnClient(turn, credential({ lifeSeconds: 300 }));
  await using second = new TurnClient(turn, credential({ lifeSeconds: 600 }));
  await using third = new TurnClient(turn, credential({ lifeSeconds: 900 }));
  await using another = new TurnClient(turn, credential({ sessionId: "s_2" }));
  expect([await first.allocate(), await second.allocate(), await third.allocate()]).toEqual(["ok", "ok", 486]);
  expect(await another.allocate()).toBe("ok");
});

it("books each allocation its full rate, where the rate of all is limited", async () => {
  await start("--max-bps=4000", "--bps-capacity=8000");
  await using first = new TurnClient(turn, credential({ sessionId: "s_1" }));
  await using second = new TurnClient(turn, credential({ sessionId: "s_2" }));
  await using third = new TurnClient(turn, credential({ sessionId: "s_3" }));
  expect([await first.allocate(), await second.allocate(), await third.allocate()]).toEqual(["ok", "ok", 486]);
});
