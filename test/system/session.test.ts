// The session role on real PostgreSQL and real HTTP.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Problem } from "../../src/contracts/problems.js";
import { sessionRoutes } from "../../src/contracts/session.js";
import { streamingRoutes } from "../../src/contracts/streaming.js";
import { type Ground, openGround, openStage, type Stage, type StageOptions } from "./session-stage.js";

let ground: Ground;
let stage: Stage;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground[Symbol.asyncDispose]());
afterEach(() => stage[Symbol.asyncDispose]());

const open = async (options?: StageOptions) => {
  stage = await openStage(ground, options);
  return stage;
};
const create = async ({ integrator }: Stage, body: object = {}) =>
  integrator.call(sessionRoutes.createSession, { body: { gameId: "demo", ...body } });
const get = async ({ operator }: Stage, sessionId: string) =>
  (await operator.call(sessionRoutes.getSession, { params: { sessionId } })).body;
const end = async ({ integrator }: Stage, sessionId: string) =>
  (await integrator.call(sessionRoutes.endSession, { params: { sessionId } })).body;
const report = async (
  { service }: Stage,
  sessionId: string,
  state: "connected" | "disconnected" | "idle" | "left" | "game-exited" | "stream-failed",
  vmId: string | null = "vm-1",
) => (await service.call(sessionRoutes.reportConnection, { params: { sessionId }, body: { vmId, state } })).body;
const problemOf = async (answer: Promise<unknown>): Promise<Problem> => {
  const error = await answer.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(error instanceof Problem)) throw new Error("it was answered without a problem", { cause: error });
  return error;
};

describe("creating a session", () => {
  it("answers 201 READY with a seat, the URLs and a ticket", async () => {
    const { orchestrator } = await open();
    orchestrator.addVm("vm-1", 1);
    const { status, body } = await create(stage, { playerId: "p-1" });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      status: "READY",
      vmId: "vm-1",
      region: "us-east-1",
      presetId: "default-standard",
      tenant: "local",
      queue: null,
    });
    expect(body.urls.signalling).toBe(
      `${stage.streamingUrl.replace("http", "ws")}/api/streaming/v1/session/${body.sessionId}/signalling`,
    );
    expect(await stage.authenticator.fromTicket(body.ticket)).toMatchObject({ sessionId: body.sessionId });
  });

  it("answers 202 QUEUED with valid URLs when there is no seat, shows the place as it moves, and is READY in turn", async () => {
    const { orchestrator, watcher } = await open();
    const first = await create(stage);
    const second = await create(stage);
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(second.body).toMatchObject({ status: "QUEUED", queue: { position: 2, etaSeconds: 20, reason: "full" } });
    await end(stage, first.body.sessionId);
    await watcher.until(second.body.sessionId, "QUEUED", ({ queue }) => queue?.position === 1);
    orchestrator.addVm("vm-1", 1);
    expect(await watcher.until(second.body.sessionId, "READY")).toMatchObject({ vmId: "vm-1", queue: null });
  });

  it("is refused, with nothing left behind, when the orchestrator is away", async () => {
    const { orchestrator } = await open({ session: { gamesCacheMs: 60_000, intentMs: 100 } });
    await stage.integrator.call(sessionRoutes.listGames);
    await orchestrator.stop();
    expect(await problemOf(create(stage))).toMatchObject({ type: "unavailable", status: 503 });
    const { body } = await stage.integrator.call(sessionRoutes.listSessions, { query: {} });
    expect(body.sessions).toMatchObject([{ status: "FAILED", end: { reason: "no-capacity" } }]);
    await orchestrator.start();
    await untilSettled();
    expect(orchestrator.placements.size).toBe(0);
  });

  it("gives back a seat that is granted to a session that was ended meanwhile", async () => {
    const { orchestrator } = await open();
    orchestrator.addVm("vm-1", 1);
    orchestrator.beforeAssign = async (sessionId) => void (await end(stage, sessionId));
    expect(await problemOf(create(stage)), "its caller's own doing").toMatchObject({ type: "illegal-transition" });
    await untilSettled();
    expect(orchestrator.seated("vm-1")).toEqual([]);
  });

  it("gives the seat back when the streaming role is away", async () => {
    const { orchestrator, streamingServer } = await open();
    orchestrator.addVm("vm-1", 1);
    await streamingServer.app.close();
    expect(await problemOf(create(stage))).toMatchObject({ type: "unavailable" });
    expect(orchestrator.seated("vm-1")).toEqual([]);
    const { body } = await stage.operator.call(sessionRoutes.listSessions, { query: {} });
    expect(body.sessions).toMatchObject([{ status: "FAILED", end: { reason: "stream-failed" } }]);
  });

  it("leaves no trace when the orchestrator refuses it, and names the field", async () => {
    await open();
    const problem = await problemOf(create(stage, { gameId: "unknown-game" }));
    expect(problem).toMatchObject({ type: "invalid-request", extra: { errors: [{ field: "gameId" }] } });
    const { body } = await stage.operator.call(sessionRoutes.listSessions, { query: {} });
    expect(body.sessions).toEqual([]);
  });

  it.each([
    [{ gameId: 7 }, "gameId"],
    [{ gameId: "demo", cap: { width: "wide", height: 720, fps: 60 } }, "cap.width"],
    [{ gameId: "demo", surprise: 1 }, "surprise"],
    [{ gameId: "demo", latencies: { "us-east-1": -1 } }, "latencies.us-east-1"],
  ])("refuses %j naming %s", async (body, field) => {
    await open();
    const response = await fetch(`${stage.sessionUrl}${sessionRoutes.createSession.path}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${ground.secrets.keys.find((key) => key.scope === "session" && key.key)!.key}`,
        "content-type": "application/json",
      },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(400);
    const { errors } = (await response.json()) as { errors: { field: string }[] };
    expect(errors.map((error) => error.field)).toContain(field);
  });
});

/** Until no session owes a withdrawal, told by the database. */
async function untilSettled(): Promise<void> {
  const { database } = stage;
  await database.query(`
    create or replace function session.tell() returns trigger language plpgsql as
      $$ begin perform pg_notify('test_settled', ''); return null; end $$;
    create or replace trigger tell after update on session.sessions execute function session.tell()`);
  await new Promise<void>((resolve, reject) => {
    const look = async () => {
      const { owed } = await database.one<{ owed: number }>(
        "select count(*)::int as owed from session.sessions where owes_withdraw",
      );
      if (owed > 0) return;
      await listening[Symbol.asyncDispose]();
      resolve();
    };
    const listening = database.listen("test_settled", () => void look().catch(reject));
  });
}

describe("a session's end", () => {
  it("comes when nobody joins, and gives the seat back", async () => {
    const { orchestrator, watcher } = await open({ session: { joinMs: 80 } });
    orchestrator.addVm("vm-1", 1);
    const { body } = await create(stage);
    const ended = await watcher.until(body.sessionId, "ENDED");
    expect(ended.end?.reason).toBe("nobody-joined");
    await orchestrator.until(() => orchestrator.seated("vm-1").length === 0);
  });

  it("comes when a player whose connection broke does not come back", async () => {
    const { orchestrator, watcher } = await open({ session: { graceMs: 80 } });
    orchestrator.addVm("vm-1", 1);
    const { sessionId } = (await create(stage)).body;
    expect((await report(stage, sessionId, "connected")).status).toBe("ACTIVE");
    expect((await report(stage, sessionId, "disconnected")).status).toBe("DISCONNECTED");
    expect((await watcher.until(sessionId, "ENDED")).end?.reason).toBe("player-left");
  });

  it("does not come when the player is back in time", async () => {
    const { orchestrator } = await open();
    orchestrator.addVm("vm-1", 1);
    const { sessionId } = (await create(stage)).body;
    await report(stage, sessionId, "connected");
    await report(stage, sessionId, "disconnected");
    expect(await report(stage, sessionId, "connected")).toMatchObject({ status: "ACTIVE" });
  });

  it("comes at the longest duration", async () => {
    const { orchestrator, watcher } = await open({ session: { durationMs: 80 } });
    orchestrator.addVm("vm-1", 1);
    const { sessionId } = (await create(stage)).body;
    await report(stage, sessionId, "connected");
    expect((await watcher.until(sessionId, "ENDED")).end?.reason).toBe("duration-limit");
  });

  it.each([
    ["idle", "ENDED", "idle"],
    ["left", "ENDED", "ended-by-player"],
    ["game-exited", "ENDED", "game-exited"],
    ["stream-failed", "FAILED", "stream-failed"],
  ] as const)("comes when the agent says %s", async (state, status, reason) => {
    const { orchestrator } = await open();
    orchestrator.addVm("vm-1", 1);
    const { sessionId } = (await create(stage)).body;
    expect(await report(stage, sessionId, state)).toMatchObject({ status, end: { reason } });
    expect(orchestrator.seated("vm-1")).toEqual([]);
    expect(await report(stage, sessionId, "connected")).toMatchObject({ status, end: { reason } });
  });

  it("is the same when it is asked for twice", async () => {
    const { orchestrator } = await open();
    orchestrator.addVm("vm-1", 1);
    const { sessionId } = (await create(stage)).body;
    const first = await end(stage, sessionId);
    expect(first).toMatchObject({ status: "ENDED", end: { reason: "ended-by-request" } });
    expect(await end(stage, sessionId)).toEqual(first);
  });

  it("comes once, whatever else is said of the session at the same moment", async () => {
    const { orchestrator } = await open();
    orchestrator.addVm("vm-1", 1);
    const { sessionId } = (await create(stage)).body;
    const states = ["connected", "disconnected", "connected", "left", "idle"] as const;
    const answers = await Promise.all([
      ...states.map((state) => report(stage, sessionId, state)),
      end(stage, sessionId),
      end(stage, sessionId),
    ]);
    const ends = new Set(answers.flatMap((session) => (session.end === null ? [] : [session.end.reason])));
    expect(ends.size).toBe(1);
    expect(await get(stage, sessionId)).toMatchObject({ status: "ENDED", end: { reason: [...ends][0] } });
    await untilSettled();
    expect(orchestrator.seated("vm-1")).toEqual([]);
  });

  it("comes at once while the orchestrator is away, and the seat is given back when it returns", async () => {
    const { orchestrator } = await open();
    orchestrator.addVm("vm-1", 1);
    const { sessionId } = (await create(stage)).body;
    await orchestrator.stop();
    expect((await end(stage, sessionId)).status).toBe("ENDED");
    expect(orchestrator.seated("vm-1")).toEqual([sessionId]);
    await orchestrator.start();
    await orchestrator.until(() => orchestrator.seated("vm-1").length === 0);
  });
});

describe("following the orchestrator", () => {
  it("sends a session whose VM broke back to waiting, and seats it elsewhere", async () => {
    const { orchestrator, watcher } = await open();
    orchestrator.addVm("vm-1", 1);
    const { sessionId } = (await create(stage)).body;
    await report(stage, sessionId, "connected");
    orchestrator.breakVm("vm-1", "waiting");
    await watcher.until(sessionId, "QUEUED");
    orchestrator.addVm("vm-2", 1);
    await watcher.until(sessionId, "READY", ({ vmId }) => vmId === "vm-2");
    expect(await report(stage, sessionId, "disconnected", "vm-1")).toMatchObject({ status: "READY", vmId: "vm-2" });
  });

  it("fails a session that loses its seat for good", async () => {
    const { orchestrator, watcher } = await open();
    orchestrator.addVm("vm-1", 1);
    const { sessionId } = (await create(stage)).body;
    orchestrator.breakVm("vm-1", "none");
    expect((await watcher.until(sessionId, "FAILED")).end?.reason).toBe("vm-failed");
  });

  it("ends a session that nobody waited for any more", async () => {
    const { orchestrator, watcher } = await open();
    const { sessionId } = (await create(stage)).body;
    orchestrator.expire(sessionId);
    expect((await watcher.until(sessionId, "ENDED")).end?.reason).toBe("wait-abandoned");
  });

  it("catches up with what happened while the orchestrator was away", async () => {
    const { orchestrator, watcher } = await open({ session: { queueRefreshMs: 60_000 } });
    const { sessionId } = (await create(stage)).body;
    await orchestrator.stop();
    orchestrator.addVm("vm-1", 1);
    orchestrator.events.length = 0;
    await orchestrator.start();
    expect((await watcher.until(sessionId, "READY")).vmId).toBe("vm-1");
  });

  it("repairs a creation that stopped between intent and answer: FAILED, and the seat given back", async () => {
    const { orchestrator } = await open({ session: { intentMs: 50 } });
    orchestrator.addVm("vm-1", 1);
    const seated = new Promise<string>((resolve) => {
      orchestrator.beforeAnswer = (sessionId) => {
        resolve(sessionId);
        return new Promise(() => {});
      };
    });
    const unanswered = problemOf(create(stage));
    const sessionId = await seated;
    const restart = await stage.stopSession();
    expect(await unanswered).toMatchObject({ type: "unavailable" });
    expect(orchestrator.seated("vm-1")).toEqual([sessionId]);
    const watcher = await restart();
    await orchestrator.until(() => orchestrator.seated("vm-1").length === 0);
    expect(await watcher.until(sessionId, "FAILED")).toMatchObject({ end: { reason: "no-capacity" } });
  });
});

describe("with the real orchestrator", () => {
  it("a session waits for a VM to be made, is READY, joined, and gives its seat back", async () => {
    const simulated = { provisioningMs: 100, bootMs: 100 };
    const { watcher, integrator } = await open({
      orchestrator: { places: [{ provider: "simulated" }], reconcileSeconds: 0.05, simulated },
    });
    const { status, body } = await create(stage, { client: "api" });
    expect(status).toBe(202);
    const { sessionId } = body;
    const player = await stage.player(body.urls.signalling, { type: "hello", ticket: body.ticket });
    await player.next("progress");
    const { vmId, provider } = await watcher.until(sessionId, "READY");
    expect(provider).toBe("simulated");
    const agent = await stage.agent(vmId!);
    await player.next("welcome");
    agent.report(sessionId, "connected");
    await watcher.until(sessionId, "ACTIVE");
    player.say({ type: "bye" });
    expect(await player.next("ended")).toMatchObject({ reason: "ended-by-player" });
    await untilSettled();
    expect(await problemOf(stage.placementOf(sessionId))).toMatchObject({ type: "not-found" });
    const again = await integrator.call(sessionRoutes.createSession, { body: { gameId: "film", client: "api" } });
    expect(again).toMatchObject({ status: 201, body: { vmId, presetId: "default-standard" } });
  });

  it("a session that waits keeps its place while its page is open, or it is read, and ends when nobody is there", async () => {
    const { watcher, integrator, database } = await open({
      orchestrator: { places: [{ vmsMax: 0 }], waitSecondsMax: 2 },
      streaming: { renewMs: 200 },
    });
    const [paged, read, alone] = [await create(stage), await create(stage), await create(stage)].map(
      ({ body }) => body,
    );
    const player = await stage.player(paged!.urls.signalling, { type: "hello", ticket: paged!.ticket });
    await player.next("progress");
    const waiting = async () => {
      await integrator.call(sessionRoutes.getSession, { params: { sessionId: read!.sessionId } });
      const rows = await database.query<{ id: string; lived: number }>(
        `select session_id as id, extract(epoch from now() - queued_at)::float8 as lived
           from orchestrator.placements where vm_id is null`,
      );
      return new Map(rows.map(({ id, lived }) => [id, lived]));
    };
    await expect.poll(async () => (await waiting()).has(alone!.sessionId), { timeout: 15_000 }).toBe(false);
    expect(await watcher.until(alone!.sessionId, "ENDED")).toMatchObject({ end: { reason: "wait-abandoned" } });
    await expect.poll(async () => (await waiting()).get(read!.sessionId), { timeout: 15_000 }).toBeGreaterThan(5);
    expect([...(await waiting()).keys()].toSorted()).toEqual([paged!.sessionId, read!.sessionId].toSorted());
    await player.leave();
    expect((await watcher.until(read!.sessionId, "ENDED")).end?.reason).toBe("wait-abandoned");
    expect((await watcher.until(paged!.sessionId, "ENDED")).end?.reason).toBe("wait-abandoned");
  });

  it("refuses a game that is not there, naming the field", async () => {
    await open({ orchestrator: { places: [{ provider: "simulated" }] } });
    const problem = await problemOf(create(stage, { gameId: "unknown-game" }));
    expect(problem).toMatchObject({ type: "invalid-request", extra: { errors: [{ field: "gameId" }] } });
  });
});

describe("who sees what", () => {
  it("another tenant's session is not there", async () => {
    const { orchestrator, otherTenant } = await open();
    orchestrator.addVm("vm-1", 1);
    const { sessionId } = (await create(stage)).body;
    const params = { sessionId };
    for (const attempt of [
      () => otherTenant.call(sessionRoutes.getSession, { params }),
      () => otherTenant.call(sessionRoutes.endSession, { params }),
      () => otherTenant.call(sessionRoutes.createTicket, { params }),
    ])
      expect(await problemOf(attempt())).toMatchObject({ type: "not-found" });
    const { body } = await otherTenant.call(sessionRoutes.listSessions, { query: {} });
    expect(body.sessions).toEqual([]);
    expect((await get(stage, sessionId)).status).toBe("READY");
  });

  it("lists newest first, a page at a time, each session once", async () => {
    await open();
    const created: string[] = [];
    for (let i = 0; i < 5; i++) created.push((await create(stage)).body.sessionId);
    const listed: string[] = [];
    let cursor: string | undefined;
    do {
      const { body } = await stage.integrator.call(sessionRoutes.listSessions, { query: { limit: 2, cursor } });
      listed.push(...body.sessions.map(({ sessionId }) => sessionId));
      cursor = body.nextCursor ?? undefined;
    } while (cursor !== undefined);
    expect(listed.toSorted()).toEqual(created.toSorted());
    expect(listed).toHaveLength(5);
    const queued = await stage.operator.call(sessionRoutes.listSessions, { query: { status: "READY" } });
    expect(queued.body.sessions).toEqual([]);
    const wrong = stage.operator.call(sessionRoutes.listSessions, { query: { cursor: "nonsense" } });
    expect(await problemOf(wrong)).toMatchObject({ extra: { errors: [{ field: "cursor" }] } });
  });

  it("gives a fresh ticket to a live session, none to one that is over", async () => {
    await open();
    const { sessionId } = (await create(stage)).body;
    const params = { sessionId };
    const { status, body } = await stage.integrator.call(sessionRoutes.createTicket, { params });
    expect(status).toBe(201);
    expect(await stage.authenticator.fromTicket(body.ticket)).toMatchObject({ sessionId });
    await end(stage, sessionId);
    expect(await problemOf(stage.integrator.call(sessionRoutes.createTicket, { params }))).toMatchObject({
      type: "illegal-transition",
    });
    expect(await problemOf(stage.streaming.call(streamingRoutes.streamUrl, { params }))).toMatchObject({
      type: "illegal-transition",
    });
  });

  it("knows no session by an unknown id, wherever it is asked", async () => {
    await open();
    const params = { sessionId: "nobody" };
    for (const attempt of [
      () => stage.operator.call(sessionRoutes.getSession, { params }),
      () => stage.operator.call(sessionRoutes.endSession, { params }),
      () => stage.operator.call(sessionRoutes.createTicket, { params }),
      () => stage.service.call(sessionRoutes.reportConnection, { params, body: { vmId: "vm-1", state: "connected" } }),
      () => stage.streaming.call(streamingRoutes.streamUrl, { params }),
      () => stage.streaming.call(streamingRoutes.streamStatus, { params }),
    ])
      expect(await problemOf(attempt())).toMatchObject({ type: "not-found" });
  });

  it("counts what it does", async () => {
    const { orchestrator, registry } = await open();
    orchestrator.addVm("vm-1", 1);
    const { sessionId } = (await create(stage)).body;
    await report(stage, sessionId, "connected");
    expect(await registry.metrics()).toContain('hotseat_sessions{status="ACTIVE"} 1');
    await end(stage, sessionId);
    const metrics = await registry.metrics();
    expect(metrics).toContain('hotseat_sessions_created_total{status="READY"} 1');
    expect(metrics).toContain('hotseat_sessions_over_total{status="ENDED",reason="ended-by-request"} 1');
    expect(metrics).toContain("hotseat_session_connect_seconds_count 1");
    expect(metrics).toContain('hotseat_sessions{status="ACTIVE"} 0');
  });
});
