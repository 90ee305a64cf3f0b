// POST session with an Idempotency-Key: an integrator that repeats it gets one session, and a ticket that works.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type CreatedSession, sessionRoutes } from "../../src/contracts/session.js";
import { plainKey } from "../../src/platform/secrets.js";
import { type Ground, openGround, openStage, type Stage } from "./session-stage.js";

let ground: Ground;
let stage: Stage;

beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground?.[Symbol.asyncDispose]());
beforeEach(async () => {
  stage = await openStage(ground);
  await stage.database.query("truncate platform.answers");
});
afterEach(() => stage?.[Symbol.asyncDispose]());

async function create(key: string, body: object = { gameId: "demo", client: "api" }) {
  const response = await fetch(stage.sessionUrl + sessionRoutes.createSession.path, {
    method: "POST",
    headers: {
      authorization: `Bearer ${plainKey(ground.secrets, "session")}`,
      "content-type": "application/json",
      "idempotency-key": key,
    },
    body: JSON.stringify(body),
  });
  return {
    status: response.status,
    replayed: response.headers.get("idempotency-replayed"),
    body: (await response.json()) as CreatedSession & { type?: string },
  };
}

const sessions = async () => (await stage.operator.call(sessionRoutes.listSessions, { query: {} })).body.sessions;

test("a repeated creation is answered as the first time, with a ticket of its own", async () => {
  const first = await create("k");
  const again = await create("k");
  expect(again).toMatchObject({ status: first.status, replayed: "true" });
  const { ticket, expiresAt, ...session } = first.body;
  expect(again.body).toMatchObject(session);
  expect(again.body.ticket).not.toBe(ticket);
  const player = await stage.authenticator.fromTicket(again.body.ticket);
  expect(player).toMatchObject({ sessionId: first.body.sessionId });
  expect(await sessions()).toHaveLength(1);
  const kept = JSON.stringify(await stage.database.query("select body from platform.answers"));
  expect(kept).not.toContain(ticket);
  expect(kept).not.toContain(expiresAt);
});

test("the key with another request is refused, and makes no session", async () => {
  await create("k");
  const other = await create("k", { gameId: "demo", client: "api", presetId: "default-high" });
  expect(other).toMatchObject({ status: 422, body: { type: "urn:hotseat:problem:key-reused" } });
  expect(await sessions()).toHaveLength(1);
});

test("a creation whose answer was never kept is answered with the session it made", async () => {
  const first = await create("k");
  await stage.database.query(
    "update platform.answers set status = null, body = null, content_type = null, claimed_until = '-infinity'",
  );
  const again = await create("k");
  expect(again).toMatchObject({ replayed: null, body: { sessionId: first.body.sessionId } });
  expect(await sessions()).toHaveLength(1);
});

test("a creation that failed because a role was away makes another session when it is repeated", async () => {
  const body = { gameId: "demo", client: "api", presetId: "default-standard" };
  await stage.orchestrator.stop();
  expect(await create("k", body)).toMatchObject({ status: 503 });
  await stage.orchestrator.start();
  const again = await create("k", body);
  expect(again.replayed).toBeNull();
  expect([201, 202]).toContain(again.status);
  expect((await sessions()).map(({ status }) => status === "FAILED")).toEqual([false, true]);
  expect(await create("k", body)).toMatchObject({ replayed: "true", body: { sessionId: again.body.sessionId } });
});

test("of a session that is over no ticket is made: the repetition says so", async () => {
  const { body } = await create("k");
  await stage.integrator.call(sessionRoutes.endSession, { params: { sessionId: body.sessionId } });
  expect(await create("k")).toMatchObject({ status: 409, body: { type: "urn:hotseat:problem:illegal-transition" } });
});
