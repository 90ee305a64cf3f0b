import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { Problem } from "../contracts/problems.js";
import { route } from "../contracts/route.js";
import { Authenticator } from "./auth.js";
import { createClient } from "./client.js";
import { systemClock } from "./clock.js";
import { listenConfig, parseConfig } from "./config.js";
import { createHttpServer, type HttpServer, listen, ownUrl, serve } from "./http.js";
import { createLog } from "./log.js";
import { ensureSecrets, plainKey, type Secrets } from "./secrets.js";
import { type FeedItem, readFeed, sendFeed } from "./sse.js";

const echo = route({
  method: "POST",
  path: "/echo/:sessionId",
  operationId: "echo",
  tag: "platform",
  summary: "Echo",
  callers: ["operate", "player"],
  params: z.object({ sessionId: z.string().max(8) }),
  body: z.strictObject({
    cap: z.strictObject({ width: z.int() }),
    pick: z.union([z.strictObject({ a: z.int() }), z.strictObject({ b: z.string().max(8) })]).optional(),
  }),
  responses: { 200: { description: "It", schema: z.object({ width: z.int() }) } },
});
const broken = route({ ...echo, path: "/broken/:sessionId", operationId: "broken" });
const feed = route({
  method: "GET",
  path: "/feed",
  operationId: "feed",
  tag: "platform",
  summary: "Feed",
  callers: ["operate"],
  responses: { 200: { description: "Items", schema: z.unknown() } },
});

const folder = mkdtempSync(join(tmpdir(), "hotseat-http-"));
const config = parseConfig(listenConfig, { port: 0 });
let secrets: Secrets;
let server: HttpServer;
let baseUrl: string;
let feedClosed: Promise<void>;

beforeAll(async () => {
  secrets = await ensureSecrets(join(folder, "secrets.json"));
  const log = createLog({ name: "test", level: "silent" });
  server = await createHttpServer({ config, authenticator: new Authenticator(secrets, systemClock), log });
  serve(server, echo, async ({ body }) => ({ status: 200, body: { width: body.cap.width } }));
  serve(server, broken, async () => {
    throw new Error("secret internals");
  });
  let closed = () => {};
  feedClosed = new Promise((resolve) => (closed = resolve));
  serve(server, feed, ({ reply }) =>
    sendFeed(reply, async function* (signal): AsyncGenerator<FeedItem> {
      yield { id: "1", data: { n: 1 } };
      yield { id: "2", data: { n: 2 } };
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      closed();
    }),
  );
  await listen(server, config);
  baseUrl = ownUrl(server, config);
});
afterAll(async () => {
  await server.app.close();
  rmSync(folder, { recursive: true });
});

const post = async (path: string, body: string | undefined, headers: Record<string, string> = {}) => {
  const response = await fetch(baseUrl + path, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });
  return { status: response.status, type: response.headers.get("content-type"), document: await response.json() };
};
const operator = () => ({ authorization: `Bearer ${plainKey(secrets, "operate")}` });

describe("the HTTP edge", () => {
  it("answers a good call", async () => {
    expect(await post("/echo/s1", '{"cap":{"width":4}}', operator())).toMatchObject({
      status: 200,
      document: { width: 4 },
    });
  });

  it("asks for a credential before it looks at the body", async () => {
    expect(await post("/echo/s1", "nonsense")).toMatchObject({
      status: 401,
      type: "application/problem+json; charset=utf-8",
    });
    expect((await post("/echo/s1", "{}", { authorization: "Bearer hs_operate_guess" })).status).toBe(401);
    expect((await post("/echo/s1", "{}", { authorization: "Basic eDp5" })).status).toBe(401);
  });

  it("refuses a scope the route is not for, and a ticket for another session", async () => {
    expect((await post("/echo/s1", "{}", { authorization: `Bearer ${plainKey(secrets, "read")}` })).status).toBe(403);
    const { ticket } = await new Authenticator(secrets, systemClock).mintTicket("s2", "jti");
    expect((await post("/echo/s1", "{}", { authorization: `Bearer ${ticket}` })).status).toBe(403);
    expect((await post("/echo/s2", '{"cap":{"width":4}}', { authorization: `Bearer ${ticket}` })).status).toBe(200);
  });

  it("names each wrong field of a body, also inside unions", async () => {
    const { status, document } = await post("/echo/s1", '{"cap":{"width":"4","depth":1},"pick":{"a":"x"}}', operator());
    expect(status).toBe(400);
    expect(document.type).toBe("urn:hotseat:problem:invalid-request");
    expect(document.errors.map((error: { field: string }) => error.field).sort()).toStrictEqual([
      "cap.depth",
      "cap.width",
      "pick.a",
    ]);
  });

  it("refuses what cannot be measured like anything else that is wrong", async () => {
    const body = '{"cap":{"width":4},"pick":{"b":{"length":{"toString":1}}}}';
    expect((await post("/echo/s1", body, operator())).status).toBe(400);
  });

  it("tells broken JSON, a missing body, another media type and an oversize body apart", async () => {
    expect((await post("/echo/s1", "{", operator())).document.detail).toBe("The body is not JSON.");
    expect((await post("/echo/s1", undefined, operator())).status).toBe(400);
    expect((await post("/echo/s1", "{}", { ...operator(), "content-type": "text/plain" })).status).toBe(415);
    expect((await post("/echo/s1", JSON.stringify({ x: "x".repeat(70_000) }), operator())).status).toBe(413);
  });

  it("answers addresses that cannot be read as it answers any other that names nothing", async () => {
    for (const path of ["/echo/%ff", `/echo/${"x".repeat(400)}`]) {
      const { status, type, document } = await post(path, "{}", operator());
      expect({ status, type }).toStrictEqual({ status: 404, type: "application/problem+json; charset=utf-8" });
      expect(document.type).toBe("urn:hotseat:problem:not-found");
    }
  });

  it("answers what it does not serve, and ids that cannot be, with 404", async () => {
    expect((await post("/nowhere", "{}", operator())).status).toBe(404);
    expect((await post("/echo/far-too-long-an-id", '{"cap":{"width":4}}', operator())).status).toBe(404);
  });

  it("keeps the internals of a failure to itself", async () => {
    const { status, document } = await post("/broken/s1", '{"cap":{"width":4}}', operator());
    expect(status).toBe(500);
    expect(JSON.stringify(document)).not.toContain("secret internals");
  });

  it("refuses pages of other origins, and names that are not its own", async () => {
    expect((await post("/echo/s1", "{}", { ...operator(), origin: "https://evil.example" })).status).toBe(403);
    expect((await post("/echo/s1", '{"cap":{"width":4}}', { ...operator(), origin: baseUrl })).status).toBe(200);
    const status = await new Promise((resolve) => {
      request(`${baseUrl}/feed`, { headers: { ...operator(), host: "evil.example" } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).end();
    });
    expect(status).toBe(403);
  });
});

describe("the budget of requests", () => {
  const left = async (headers: Record<string, string>) => {
    const response = await fetch(`${baseUrl}/echo/s1`, { method: "POST", headers });
    await response.arrayBuffer();
    return { status: response.status, left: Number(response.headers.get("x-ratelimit-remaining")) };
  };
  /** How much of it each took, after the first. */
  const taken = async (...dresses: Record<string, string>[]) => {
    const seen: number[] = [];
    for (const headers of dresses) {
      const answer = await left(headers);
      expect(answer.status).not.toBe(401);
      seen.push(answer.left);
    }
    return seen.slice(1).map((remaining, i) => seen[i]! - remaining);
  };

  it("is one for a credential, however it is written", async () => {
    const authenticator = new Authenticator(secrets, systemClock);
    const key = plainKey(secrets, "operate");
    const { value } = authenticator.mintCookie(key)!;
    const { ticket } = await authenticator.mintTicket("s1", "jti-budget");
    const written = (token: string) => [`Bearer ${token}`, `bearer ${token}`, `BEARER ${token}`];
    expect(await taken(...written(key).map((authorization) => ({ authorization })))).toEqual([1, 1]);
    expect(await taken(...written(ticket).map((authorization) => ({ authorization })))).toEqual([1, 1]);
    const cookies = [`hotseat=${value}`, `a=1; hotseat=${value}`, `hotseat=${value}; b=${"x".repeat(100)}`];
    expect(await taken(...cookies.map((cookie) => ({ cookie })))).toEqual([1, 1]);
  });

  it("is not widened by what is added to a credential: that proves nothing", async () => {
    const { value } = new Authenticator(secrets, systemClock).mintCookie(plainKey(secrets, "operate"))!;
    const key = plainKey(secrets, "operate");
    expect((await left({ authorization: `Bearer ${key}` })).status).not.toBe(401);
    expect((await left({ authorization: `Bearer ${key} x1` })).status).toBe(401);
    expect((await left({ cookie: `hotseat=${value}` })).status).not.toBe(401);
    expect((await left({ cookie: `hotseat=${value}.more` })).status).toBe(401);
  });
});

describe("the typed client", () => {
  it("passes answers and problems through, and calls silence unavailable", async () => {
    const client = createClient({ baseUrl, bearer: plainKey(secrets, "operate") });
    const call = { params: { sessionId: "s1" }, body: { cap: { width: 2 } } };
    expect(await client.call(echo, call)).toStrictEqual({ status: 200, body: { width: 2 } });
    const reader = createClient({ baseUrl, bearer: plainKey(secrets, "read") });
    await expect(reader.call(echo, call)).rejects.toMatchObject({ type: "forbidden" });
    const nobody = createClient({ baseUrl: "http://127.0.0.1:9", bearer: "x" });
    await expect(nobody.call(echo, call)).rejects.toMatchObject({ type: "unavailable" });
  });
});

describe("a feed", () => {
  it("delivers items in order, and its source ends when the reader leaves", async () => {
    const reader = new AbortController();
    const ids: string[] = [];
    for await (const { id } of readFeed({
      url: `${baseUrl}/feed`,
      bearer: plainKey(secrets, "operate"),
      signal: reader.signal,
    })) {
      ids.push(id);
      if (ids.length === 2) reader.abort();
    }
    expect(ids).toStrictEqual(["1", "2"]);
    await feedClosed;
  });

  it("that cannot be opened is a problem, not an empty feed", async () => {
    const items = readFeed({
      url: `${baseUrl}/feed`,
      bearer: plainKey(secrets, "read"),
      signal: new AbortController().signal,
    });
    await expect(items.next()).rejects.toBeInstanceOf(Problem);
  });
});
