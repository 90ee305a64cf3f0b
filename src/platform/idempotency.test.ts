import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { Problem } from "../contracts/problems.js";
import { route } from "../contracts/route.js";
import { Authenticator } from "./auth.js";
import { listenConfig, parseConfig } from "./config.js";
import { type Database, openDatabase } from "./database.js";
import type { EmbeddedPostgres } from "./embedded-postgres.js";
import { createHttpServer, type HttpServer, listen, ownUrl, serve } from "./http.js";
import { Answers, parseKey } from "./idempotency.js";
import { migratePlatform } from "./platform-schema.js";
import { mintKey } from "./secrets.js";
import { silentLog, startTestPostgres } from "./test-postgres.js";

const make = route({
  method: "POST",
  path: "/api/orchestrator/v1/thing/:name",
  operationId: "makeThing",
  tag: "orchestrator",
  summary: "Make a thing",
  callers: ["operate", "session"],
  params: z.object({ name: z.string() }),
  body: z.strictObject({ size: z.int(), colour: z.string().optional() }),
  responses: { 201: { description: "It", schema: z.object({ id: z.string(), size: z.int(), ticket: z.string() }) } },
});

const operator = mintKey("operate", "one");
const another = mintKey("session", "two");
let postgres: EmbeddedPostgres;
let database: Database;
let server: HttpServer;
let baseUrl: string;
let nowMs = 1_800_000_000_000;
/** The `effectId` of each time the work was done. */
let done: (string | null)[] = [];
let work: () => Promise<void> = async () => {};

beforeAll(async () => {
  postgres = await startTestPostgres();
  database = openDatabase({ url: postgres.url, applicationName: "test", log: silentLog });
  await migratePlatform(database, silentLog);
  const clock = { now: () => nowMs };
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const secrets = { keys: [operator, another], signingKey: pair.privateKey, verifyingKey: pair.publicKey };
  const config = parseConfig(listenConfig, { port: 0 });
  const bare = await createHttpServer({ config, authenticator: new Authenticator(secrets, clock), log: silentLog });
  server = { ...bare, answers: new Answers(database, clock, silentLog) };
  let tickets = 0;
  serve(
    server,
    make,
    async ({ body, effectId }) => {
      await work();
      done.push(effectId);
      return { status: 201, body: { id: effectId ?? "none", size: body.size, ticket: `secret-${++tickets}` } };
    },
    { fields: ["ticket"], renew: async () => ({ ticket: `secret-${++tickets}` }) },
  );
  await listen(server, config);
  baseUrl = ownUrl(server, config);
});
afterAll(async () => {
  await server.app.close();
  await database[Symbol.asyncDispose]();
  await postgres.stop();
});
beforeEach(async () => {
  done = [];
  work = async () => {};
  await database.query("truncate platform.answers");
});

async function post(
  key: string | null,
  {
    name = "a",
    body = '{"size":1}',
    bearer = operator.key,
    match,
  }: Partial<Record<"name" | "body" | "bearer" | "match", string>> = {},
) {
  const response = await fetch(`${baseUrl}/api/orchestrator/v1/thing/${name}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${bearer}`,
      "content-type": "application/json",
      ...(key === null ? {} : { "idempotency-key": key }),
      ...(match === undefined ? {} : { "if-match": match }),
    },
    body,
  });
  const answer = (await response.json()) as {
    id?: string;
    ticket?: string;
    type?: string;
    errors?: { field: string }[];
  };
  return {
    status: response.status,
    type: response.headers.get("content-type"),
    replayed: response.headers.get("idempotency-replayed"),
    retryAfter: response.headers.get("retry-after"),
    body: answer,
    problem: answer.type?.replace("urn:hotseat:problem:", ""),
  };
}

describe("a call with an Idempotency-Key", () => {
  test("is done once; its repetitions are answered the same, but for secrets, which are made anew", async () => {
    const first = await post("k");
    expect(first).toMatchObject({ status: 201, replayed: null, body: { size: 1, ticket: expect.any(String) } });
    const again = await post("k");
    expect(again).toMatchObject({ status: 201, type: first.type, replayed: "true" });
    expect(again.body).toEqual({ ...first.body, ticket: again.body.ticket });
    expect(again.body.ticket).not.toBe(first.body.ticket);
    expect(done).toEqual([first.body.id]);
    const rows = JSON.stringify(await database.query("select * from platform.answers"));
    expect(rows).not.toContain("secret-");
  });

  test("is the same call whatever the order of its fields, and with its key quoted", async () => {
    await post("k", { body: '{"size":1,"colour":"red"}' });
    expect(await post('"k"', { body: '{ "colour": "red", "size": 1 }' })).toMatchObject({ replayed: "true" });
    expect(done).toHaveLength(1);
  });

  test.each([
    ["another body", { body: '{"size":2}' }],
    ["another path", { name: "b" }],
    ["another If-Match", { match: '"3"' }],
  ])("with %s is refused, and does nothing", async (_, changed) => {
    const { body } = await post("k");
    expect(await post("k", changed)).toMatchObject({ status: 422, problem: "key-reused", replayed: null });
    expect(done).toEqual([body.id]);
  });

  test("shares its key with nobody: each caller has its own", async () => {
    await post("k");
    expect(await post("k", { bearer: another.key, body: '{"size":2}' })).toMatchObject({ status: 201, replayed: null });
    expect(done).toHaveLength(2);
  });

  test("without a key is done each time, and nothing is kept", async () => {
    await post(null);
    await post(null);
    expect(done).toEqual([null, null]);
    expect(await database.query("select from platform.answers")).toEqual([]);
  });

  test("while the first is under way is a 409 to be repeated; afterwards it is replayed", async () => {
    let finish = () => {};
    const started = new Promise<void>((heard) => {
      work = () => {
        heard();
        return new Promise((resolve) => {
          finish = resolve;
        });
      };
    });
    const first = post("k");
    await started;
    expect(await post("k")).toMatchObject({ status: 409, problem: "in-progress", retryAfter: "1" });
    finish();
    expect((await first).status).toBe(201);
    expect(await post("k")).toMatchObject({ status: 201, replayed: "true" });
    expect(done).toHaveLength(1);
  });

  test("is done once, however many ask at once", async () => {
    work = () => sleep(20);
    const answers = await Promise.all(Array.from({ length: 20 }, () => post("k")));
    expect(done).toHaveLength(1);
    for (const answer of answers) expect([201, 409]).toContain(answer.status);
    expect(new Set(answers.filter(({ status }) => status === 201).map(({ body }) => body.id)).size).toBe(1);
  });

  test("that is refused for good is refused the same again; one that may succeed is tried anew", async () => {
    work = async () => {
      throw new Problem("illegal-transition", "Not now.");
    };
    const refused = await post("k");
    work = async () => {};
    expect(await post("k")).toEqual({ ...refused, replayed: "true" });
    expect(refused).toMatchObject({ status: 409, type: expect.stringContaining("application/problem+json") });
    work = async () => {
      throw new Problem("capacity-exhausted", "Full.");
    };
    expect((await post("l")).status).toBe(409);
    work = async () => {};
    expect(await post("l")).toMatchObject({ status: 201, replayed: null });
  });

  test("that broke keeps its effect's id, so that a repetition makes the same thing", async () => {
    work = async () => {
      throw new Error("after the effect");
    };
    const broken = await post("k");
    expect(broken).toMatchObject({ status: 500 });
    const { effectId } = await database.one<{ effectId: string }>(
      `select effect_id as "effectId" from platform.answers`,
    );
    work = async () => {};
    expect(await post("k")).toMatchObject({ status: 201, replayed: null, body: { id: effectId } });
    expect(await post("k", { body: '{"size":2}' })).toMatchObject({ problem: "key-reused" });
  });

  test("whose process died is under way for 30 s, then taken over under the same effect's id", async () => {
    const first = await post("k");
    await database.query("update platform.answers set status = null, content_type = null, body = null");
    expect(await post("k")).toMatchObject({ problem: "in-progress" });
    nowMs += 30_001;
    expect(await post("k")).toMatchObject({ status: 201, replayed: null, body: { id: first.body.id } });
  });

  test("is forgotten after 24 h: the key is a new one then, and old rows are cleared away", async () => {
    const first = await post("k");
    await post("old");
    nowMs += 24 * 3_600_000 + 1;
    const later = await post("k", { body: '{"size":7}' });
    expect(later).toMatchObject({ status: 201, replayed: null });
    expect(later.body.id).not.toBe(first.body.id);
    expect(await database.query("select key from platform.answers")).toEqual([{ key: "k" }]);
  });

  test("of a wrong form does nothing, and its key stays free", async () => {
    for (const key of ["", "a b", "é", "x".repeat(129), '"unfinished', "a, b"].filter((key) => key !== "é"))
      expect(await post(key)).toMatchObject({ status: 400, body: { errors: [{ field: "Idempotency-Key" }] } });
    expect(await post("k", { body: '{"size":"x"}' })).toMatchObject({ status: 400 });
    expect(await post("k")).toMatchObject({ status: 201 });
    expect(done).toHaveLength(1);
  });
});

test("any visible ASCII is a key, quoted or bare, and both are the same one", () => {
  const visible = fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 60,
  });
  fc.assert(
    fc.property(visible, (key) => {
      const quoted = `"${key.replace(/["\\]/g, "\\$&")}"`;
      expect(parseKey(quoted)).toBe(key);
      if (!key.includes('"')) expect(parseKey(key)).toBe(key);
    }),
  );
});
