// How many live sessions a tenant may have: exact whoever asks at once, on real PostgreSQL and real HTTP.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type CreatedSession, sessionRoutes } from "../../src/contracts/session.js";
import type { TenantsConfig } from "../../src/platform/quotas.js";
import { plainKey } from "../../src/platform/secrets.js";
import { type Ground, openGround, openStage, type Stage } from "./session-stage.js";

let ground: Ground;
let stage: Stage;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground?.[Symbol.asyncDispose]());
afterEach(() => stage?.[Symbol.asyncDispose]());

const open = async (tenants: TenantsConfig, seats = 100) => {
  stage = await openStage(ground, { session: { tenants } });
  await stage.database.query("truncate platform.answers");
  stage.orchestrator.addVm("vm-1", seats);
};
/** POST session as tenant `local` (or with another key) at a replica of the role. */
async function create({ url = stage.sessionUrl, key = plainKey(ground.secrets, "session"), once = "" } = {}) {
  const response = await fetch(url + sessionRoutes.createSession.path, {
    method: "POST",
    headers: {
      authorization: `Bearer ${key}`,
      "content-type": "application/json",
      ...(once === "" ? {} : { "idempotency-key": once }),
    },
    body: JSON.stringify({ gameId: "demo", presetId: "default-standard", client: "api" }),
  });
  const body = (await response.json()) as CreatedSession & { type?: string; used?: number };
  return { status: response.status, retryAfter: response.headers.get("retry-after"), body };
}
const statusesOf = (answers: { status: number }[]) => {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};
const end = ({ sessionId }: { sessionId: string }) =>
  stage.integrator.call(sessionRoutes.endSession, { params: { sessionId } });
const live = async () =>
  (await stage.operator.call(sessionRoutes.listSessions, { query: { limit: 500 } })).body.sessions.filter(
    ({ endedAt }) => endedAt === null,
  );
const metric = async (line: string) =>
  (await stage.registry.metrics()).split("\n").find((other) => other.startsWith(line));

describe("a tenant's live sessions", () => {
  it("are never more than it may have: of fifty at once seven are made, and nobody asks for the others' seats", async () => {
    await open({ local: { sessionsMax: 7 } });
    const asked = new Set<string>();
    stage.orchestrator.beforeAssign = (sessionId) => void asked.add(sessionId);
    const answers = await Promise.all(Array.from({ length: 50 }, () => create()));
    expect(statusesOf(answers)).toEqual({ 201: 7, 429: 43 });
    expect(await live()).toHaveLength(7);
    expect(asked.size).toBe(7);
    expect(await metric("hotseat_tenant_sessions{")).toBe('hotseat_tenant_sessions{tenant="local"} 7');
    expect(await metric("hotseat_tenant_sessions_refused_total")).toContain('{tenant="local"} 43');
  });

  it("are never more than it may have with two replicas of the role", async () => {
    await open({ "*": { sessionsMax: 7 } });
    const urls = [stage.sessionUrl, await stage.startReplica()];
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => create({ url: urls[i % 2]! })));
    expect(statusesOf(answers)).toEqual({ 201: 7, 429: 43 });
    expect(await live()).toHaveLength(7);
  });

  it("past the limit are refused with the numbers, and what to do about it", async () => {
    await open({ "*": { sessionsMax: 1 } });
    await create();
    expect(await create()).toEqual({
      status: 429,
      retryAfter: "15",
      body: {
        type: "urn:hotseat:problem:quota-exceeded",
        title: "The tenant has as many as it may",
        status: 429,
        retryable: true,
        detail: "Live sessions of the tenant: 1 of 1. End one, or ask the operator for a higher limit.",
        limit: "sessions",
        max: 1,
        used: 1,
      },
    });
  });

  it("of one tenant are nothing to another", async () => {
    await open({ "*": { sessionsMax: 1 } });
    const key = ground.otherTenantKey;
    expect(
      [await create(), await create(), await create({ key }), await create({ key })].map(({ status }) => status),
    ).toEqual([201, 429, 201, 429]);
  });

  it("count from their creation to their end, whichever way it comes", async () => {
    await open({ local: { sessionsMax: 2 } }, 1);
    const { body: seated } = await create();
    const { status, body: waiting } = await create();
    expect(status).toBe(202);
    expect((await create()).status).toBe(429);
    await end(waiting);
    const { body: next } = await create();
    expect(next.status).toBe("QUEUED");
    // It waits again after its VM broke, and plays on another: still the same two.
    stage.orchestrator.breakVm("vm-1", "waiting");
    await stage.watcher.until(seated.sessionId, "QUEUED");
    expect((await create()).status).toBe(429);
    // Its player comes back at the limit as ever.
    expect((await stage.integrator.call(sessionRoutes.createTicket, { params: seated })).status).toBe(201);
    stage.orchestrator.addVm("vm-2", 2);
    await stage.watcher.until(seated.sessionId, "READY");
    await stage.watcher.until(next.sessionId, "READY");
    expect((await create()).status).toBe(429);
    stage.orchestrator.breakVm("vm-2", "none");
    await stage.watcher.until(seated.sessionId, "FAILED");
    await stage.watcher.until(next.sessionId, "FAILED");
    stage.orchestrator.addVm("vm-3", 2);
    expect([await create(), await create(), await create()].map(({ status }) => status)).toEqual([201, 201, 429]);
  });

  it("are not counted twice when a creation is repeated with its key, though the limit is reached meanwhile", async () => {
    await open({ local: { sessionsMax: 2 } });
    const first = await create({ once: "k" });
    await create();
    expect((await create({ once: "k" })).body.sessionId).toBe(first.body.sessionId);
    // As if the process had died before it could keep its answer.
    await stage.database.query(
      "update platform.answers set status = null, body = null, content_type = null, claimed_until = '-infinity'",
    );
    expect((await create({ once: "k" })).body.sessionId).toBe(first.body.sessionId);
    expect(await live()).toHaveLength(2);
  });

  it("that were refused are made when the same call is repeated after one has ended", async () => {
    await open({ local: { sessionsMax: 1 } });
    const { body: first } = await create();
    expect((await create({ once: "k" })).status).toBe(429);
    await end(first);
    expect((await create({ once: "k" })).status).toBe(201);
  });

  it("that a crash left half-made count until they are given up", async () => {
    await open({ local: { sessionsMax: 1 } });
    const { body } = await create();
    await stage.database.query(
      "update session.sessions set intent = true, version = version + 1 where session_id = $1",
      [body.sessionId],
    );
    expect((await create()).status).toBe(429);
    await stage.database.query(
      "update session.sessions set created_at = now() - interval '1 hour', check_at = now() where session_id = $1",
      [body.sessionId],
    );
    await stage.watcher.until(body.sessionId, "FAILED");
    expect((await create()).status).toBe(201);
  });

  it("that the orchestrator refuses are not counted", async () => {
    await open({ local: { sessionsMax: 1 } });
    const refused = await stage.integrator
      .call(sessionRoutes.createSession, { body: { gameId: "unknown-game" } })
      .catch((problem) => problem);
    expect(refused).toMatchObject({ type: "invalid-request" });
    expect((await create()).status).toBe(201);
  });

  it("are refused with 0 for good: no time is named", async () => {
    await open({ "*": { sessionsMax: 0 } });
    expect(await create()).toMatchObject({ status: 429, retryAfter: null, body: { max: 0, used: 0 } });
  });
});

describe("limits that the orchestrator keeps", () => {
  it("come to the integrator in its words, and nothing is left of the session", async () => {
    stage = await openStage(ground, {
      orchestrator: { tenants: { "*": { waitingMax: 1, vmsMax: 0 } } },
      session: { tenants: { "*": { waitingMax: 1, vmsMax: 0 } } },
    });
    await stage.database.query("truncate platform.answers");
    const { status, body } = await create();
    expect([status, body.queue?.reason]).toEqual([
      202,
      "Every seat is taken, and the tenant has all the VMs it may have (0).",
    ]);
    const refused = await create({ once: "k" });
    expect(refused).toMatchObject({
      status: 429,
      retryAfter: "5",
      body: {
        type: "urn:hotseat:problem:quota-exceeded",
        limit: "waiting",
        max: 1,
        used: 1,
        detail: "Waiting requests of the tenant: 1 of 1, and no seat is free. Try again when one of them has its seat.",
      },
    });
    expect((await stage.operator.call(sessionRoutes.listSessions, { query: {} })).body.sessions).toHaveLength(1);
    await end(body);
    expect((await create({ once: "k" })).status).toBe(202);
    expect((await stage.integrator.call(sessionRoutes.tenants)).body.tenants).toEqual([
      {
        tenant: "local",
        sessions: { used: 1, max: null },
        waiting: { used: 1, max: 1 },
        vms: { used: 0, max: 0 },
      },
    ]);
  });
});

describe("the list of tenants", () => {
  const listed = async (who: "operator" | "integrator" | "otherTenant") =>
    (await stage[who].call(sessionRoutes.tenants)).body.tenants;

  it("shows an operator all that have something or are named, and a tenant itself alone", async () => {
    await open({ "*": { sessionsMax: 5, vmsMax: 1 }, named: { sessionsMax: null } });
    const seated = { tenant: "seated", waiting: { used: 2, max: 3 }, vms: { used: 1, max: null } };
    stage.orchestrator.tenants.push(seated);
    const ended = await create();
    await create();
    await end(ended.body);
    const local = {
      tenant: "local",
      waiting: { used: 0, max: null },
      vms: { used: 0, max: 1 },
      sessions: { used: 1, max: 5 },
    };
    expect(await listed("operator")).toEqual([
      local,
      { ...local, tenant: "named", sessions: { used: 0, max: null } },
      { ...seated, sessions: { used: 0, max: 5 } },
    ]);
    expect(await listed("integrator")).toEqual([local]);
    expect(await listed("otherTenant")).toEqual([
      { ...local, tenant: "another-tenant", sessions: { used: 0, max: 5 } },
    ]);
  });

  it("is a 503 while the orchestrator is away", async () => {
    await open({});
    await stage.orchestrator.stop();
    await expect(listed("operator")).rejects.toMatchObject({ type: "unavailable" });
    await stage.orchestrator.start();
  });
});
