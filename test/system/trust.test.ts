// Who may call what: every endpoint and socket × every kind of caller (DESIGN.md, "Trust"). The table below is written
// by hand from the design, not taken from the routes, so that a route opened by mistake fails here.
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import type { Route } from "../../src/contracts/route.js";
import { allRoutes } from "../../src/contracts/routes.js";
import { streamingSockets } from "../../src/contracts/streaming.js";
import { Authenticator } from "../../src/platform/auth.js";
import { fillPath } from "../../src/platform/client.js";
import { systemClock } from "../../src/platform/clock.js";
import { loadSecrets, mintKey } from "../../src/platform/secrets.js";
import { type RunningHotseat, startUp } from "../support/hotseat.js";

const kinds = [
  "nobody",
  "stranger",
  "operator",
  "integrator",
  "reader",
  "role",
  "agent",
  "other agent",
  "bootstrap",
  "player",
  "other player",
] as const;
type Kind = (typeof kinds)[number];

/** Operation → who gets through. Everybody else is refused: 401 without a (known) credential, 403 with one. */
const may: Record<string, readonly Kind[]> = {
  createVm: ["operator"],
  listVms: ["operator", "reader"],
  assign: ["operator", "role"],
  getVm: ["operator", "reader", "role", "agent"],
  markReady: ["operator", "agent"],
  drain: ["operator"],
  reportError: ["operator", "agent"],
  terminate: ["operator"],
  release: ["operator", "role"],
  withdraw: ["operator", "role"],
  renewPlacements: ["operator", "role"],
  getPlacement: ["operator", "reader", "role"],
  explainPlacement: ["operator", "reader", "role"],
  findVm: ["operator", "reader", "role"],
  regionCapacity: ["operator", "reader", "role", "integrator"],
  regionCapacities: ["operator", "reader", "role", "integrator"],
  listTenantPlacements: ["operator", "reader", "role"],
  fleetMetrics: ["operator", "reader"],
  listGames: ["operator", "reader", "role", "integrator"],
  watchEvents: ["operator", "reader", "role"],
  enrolAgent: ["bootstrap"], // its form; whether it was ever given out: orchestrator.test.ts
  heartbeat: ["agent"],
  listPrograms: ["agent"],
  createSession: ["operator", "integrator"],
  listSessions: ["operator", "integrator", "reader"],
  listPlayableGames: ["operator", "integrator", "reader"],
  listTenants: ["operator", "integrator", "reader"],
  watchSessions: ["operator", "role"],
  getSession: ["operator", "integrator", "reader", "role"],
  renewSessions: ["role"],
  endSession: ["operator", "integrator"],
  createTicket: ["operator", "integrator"],
  reportConnection: ["role"],
  createStreamUrl: ["role"],
  getStreamStatus: ["operator", "reader", "role", "player"],
  prometheusMetrics: ["operator", "reader"],
};
/** Without a credential of ours; what they carry in the body is judged there. */
const open = ["renewAgentToken", "health", "exchangeKey"];

const vmId = "no-such-vm";
const sessionId = "no-such-session";
let hotseat: RunningHotseat;
let credentials: Record<Kind, string | null>;

beforeAll(async () => {
  hotseat = await startUp({ args: ["--warm", "0"] });
  const secrets = await loadSecrets(join(hotseat.dataDir, "secrets.json"));
  const authenticator = new Authenticator(secrets, systemClock);
  credentials = {
    nobody: null,
    stranger: mintKey("operate", "stranger").key,
    operator: hotseat.key("operate"),
    integrator: hotseat.key("session"),
    reader: hotseat.key("read"),
    role: hotseat.key("service"),
    agent: await authenticator.mintAgentToken(vmId, 1),
    "other agent": await authenticator.mintAgentToken("another-vm", 1),
    bootstrap: `hsb_${"x".repeat(43)}`,
    player: (await authenticator.mintTicket(sessionId, "jti-1")).ticket,
    "other player": (await authenticator.mintTicket("another-session", "jti-2")).ticket,
  };
});
afterAll(() => hotseat?.[Symbol.asyncDispose]());

async function statusOf(route: Route, kind: Kind): Promise<number> {
  const credential = credentials[kind];
  const gone = new AbortController();
  const response = await fetch(hotseat.url + fillPath(route.path, { vmId, sessionId, region: "no-region" }), {
    method: route.method,
    headers: {
      ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
      ...(route.method === "POST" ? { "content-type": "application/json" } : {}),
    },
    // No route takes this body, so a call that gets through changes nothing.
    body: route.method === "POST" ? '{"no such field":1}' : undefined,
    signal: gone.signal,
  });
  gone.abort();
  return response.status;
}

describe.each(allRoutes)("$method $path", (route) => {
  if (open.includes(route.operationId)) {
    it("asks for no credential", async () => {
      expect(route.callers).toStrictEqual(["anyone"]);
      expect(await statusOf(route, "nobody")).not.toBe(403);
    });
    return;
  }
  it("is in the design's table", () => expect(may).toHaveProperty(route.operationId));

  it.each(kinds)("%s", async (kind) => {
    const status = await statusOf(route, kind);
    if (may[route.operationId]!.includes(kind)) expect([401, 403]).not.toContain(status);
    else expect(status).toBe(kind === "nobody" || kind === "stranger" ? 401 : 403);
    expect(status).toBeLessThan(500);
  });
});

describe("the agents' socket", () => {
  it.each(kinds)("%s", async (kind) => {
    const credential = credentials[kind];
    const socket = new WebSocket(hotseat.url.replace("http", "ws") + fillPath(streamingSockets.agent, { vmId }), {
      headers: credential === null ? {} : { authorization: `Bearer ${credential}` },
    });
    const outcome = await Promise.race([
      once(socket, "open").then(() => "open"),
      once(socket, "unexpected-response").then(([, response]) => response.statusCode),
    ]);
    socket.on("error", () => {});
    socket.terminate();
    if (kind === "agent") expect(outcome).toBe("open");
    else expect(outcome).toBe(kind === "nobody" || kind === "stranger" ? 401 : 403);
  });
});

describe.each(["signalling", "control"] as const)("the players' %s socket", (name) => {
  it.each(["player", "other player", "integrator", "agent", "stranger"] as const)(
    "closes on a hello of %s",
    async (kind) => {
      const url = hotseat.url.replace("http", "ws") + fillPath(streamingSockets[name], { sessionId });
      const socket = new WebSocket(url, { origin: hotseat.url });
      await once(socket, "open");
      socket.send(JSON.stringify({ type: "hello", ticket: credentials[kind] }));
      const [code] = await once(socket, "close");
      // A genuine ticket gets as far as the session, which does not exist; control takes no tickets at all.
      if (name === "control") expect(code).toBe(4400);
      else if (kind === "player") expect(code).toBe(4404);
      else expect([4401, 4403]).toContain(code);
    },
  );

  it("does not open for a page of another origin", async () => {
    const url = hotseat.url.replace("http", "ws") + fillPath(streamingSockets[name], { sessionId });
    const socket = new WebSocket(url, { origin: "https://evil.example" });
    const [, response] = await once(socket, "unexpected-response");
    socket.on("error", () => {});
    socket.terminate();
    expect(response.statusCode).toBe(403);
  });
});
