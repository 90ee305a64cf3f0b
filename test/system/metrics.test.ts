// What operators watch: the metrics of a running Hotseat.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import type { CreatedSession } from "../../src/contracts/session.js";
import { type RunningHotseat, startUp, until } from "../support/hotseat.js";
import { promtool } from "../support/prometheus.js";
import { startDatabase, startOrchestrator } from "./orchestrator-fixture.js";

let hotseat: RunningHotseat;

beforeAll(async () => {
  hotseat = await startUp({
    settings: {
      orchestrator: { places: [{ provider: "simulated" }], simulated: { provisioningMs: 100, bootMs: 100 } },
    },
  });
  await traffic();
});
afterAll(async () => {
  await hotseat?.[Symbol.asyncDispose]();
});

const scrape = async (url: string, key: string) => {
  const response = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}` } });
  expect(response.status).toBe(200);
  return response.text();
};
const scrapeAll = () => scrape(hotseat.url, hotseat.key("read"));

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(hotseat.url + path, {
    method,
    headers: { authorization: `Bearer ${hotseat.key("operate")}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return (await response.json()) as T;
}

/** Something of everything: sessions that play out and that are refused, VMs that come up and end, sockets cut off. */
async function traffic(): Promise<void> {
  const session = await call<CreatedSession>("POST", "/api/session/v1", { gameId: "demo", client: "api" });
  await until("it has its seat", async () => {
    const { status } = await call<CreatedSession>("GET", `/api/session/v1/${session.sessionId}`);
    return status === "READY" || undefined;
  });
  await call("POST", "/api/session/v1", { gameId: "no such game", client: "api" });
  const socket = new WebSocket(session.urls.signalling);
  await new Promise((closed) => {
    socket.on("open", () => socket.send("not a message"));
    socket.on("close", closed);
  });
  await call("DELETE", `/api/session/v1/${session.sessionId}`);
}

describe("/metrics of every role in one process", () => {
  it("is clean under promtool", async () => {
    expect(await promtool(["check", "metrics"], await scrapeAll())).toStrictEqual({ code: 0, output: "" });
  });

  it("has no series for single sessions or VMs, whatever their number", async () => {
    const text = await scrapeAll();
    const ids = text.split("\n").filter((line) => /"(s_|vm-)/.test(line));
    expect(ids).toStrictEqual([]);
    const series = new Map<string, number>();
    for (const [, name = ""] of text.matchAll(/^(\w+?)(?:_bucket|_sum|_count)?[ {]/gm))
      series.set(name, (series.get(name) ?? 0) + 1);
    expect([...series].filter(([, count]) => count > 250)).toStrictEqual([]);
  });

  it("counts requests by operation, not by address", async () => {
    expect(await scrapeAll()).toMatch(/^hotseat_http_requests_total\{operation="createSession",status="202"\} 1$/m);
  });
});

describe("without its database", () => {
  it("a role says so, and leaves out what it cannot know", async () => {
    await using db = await startDatabase();
    await using role = await startOrchestrator(db, {});
    const text = () => role.registry.metrics();
    expect(await text()).toMatch(/^hotseat_waiting_sessions/m);
    await db.stop();
    expect(await text()).toMatch(/^hotseat_heartbeats_total 0/m);
    expect(await text()).not.toMatch(/^hotseat_waiting_sessions/m);
    await db.start();
    await expect.poll(text).toMatch(/^hotseat_waiting_sessions/m);
  });
});
