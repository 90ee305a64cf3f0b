import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { route } from "../contracts/route.js";
import { Authenticator } from "./auth.js";
import { systemClock } from "./clock.js";
import { listenConfig, parseConfig } from "./config.js";
import { createHttpServer, type HttpServer, listen, ownUrl, serve } from "./http.js";
import { mintKey } from "./secrets.js";
import { feedsMax, sendFeed } from "./sse.js";
import { silentLog } from "./test-postgres.js";

const feed = (name: string) =>
  route({
    method: "GET",
    path: `/${name}`,
    operationId: name,
    tag: "platform",
    summary: "Feed",
    callers: ["operate", "service"],
    responses: { 200: { description: "Items", schema: z.unknown() } },
  });

const [operator, role] = [mintKey("operate", "one"), mintKey("service", "two")];
const items = 20_000;
let server: HttpServer;
let baseUrl: string;
/** How far the source of the long feed was asked. */
let asked = 0;

beforeAll(async () => {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const secrets = { keys: [operator, role], signingKey: pair.privateKey, verifyingKey: pair.publicKey };
  const config = parseConfig(listenConfig, { port: 0 });
  server = await createHttpServer({ config, authenticator: new Authenticator(secrets, systemClock), log: silentLog });
  serve(server, feed("long"), ({ reply }) =>
    sendFeed(reply, async function* () {
      for (asked = 1; asked <= items; asked++) yield { id: String(asked), data: "x".repeat(1_000) };
    }),
  );
  serve(server, feed("silent"), ({ reply }) =>
    sendFeed(reply, async function* (signal) {
      await once(signal, "abort");
      yield* [];
    }),
  );
  await listen(server, config);
  baseUrl = ownUrl(server, config);
});
afterAll(() => server.app.close());

const open = async (path: string, key = operator.key): Promise<IncomingMessage> => {
  const [response] = await once(get(baseUrl + path, { headers: { authorization: `Bearer ${key}` } }), "response");
  return response;
};

test("a reader that is slow for a while holds the source up, and then gets everything", async () => {
  const response = await open("/long");
  await expect.poll(() => asked, { interval: 50 }).toBeGreaterThan(100);
  let before = 0;
  await expect
    .poll(
      () => {
        const stands = asked === before;
        before = asked;
        return stands;
      },
      { interval: 100 },
    )
    .toBe(true);
  expect(asked).toBeLessThan(items);
  let text = "";
  for await (const chunk of response) text += chunk;
  expect(text.match(/^id: /gm)).toHaveLength(items);
});

test("there are so many feeds and no more, but for the roles' own; one that closes makes room", async () => {
  const open256 = await Promise.all(Array.from({ length: feedsMax }, () => open("/silent")));
  expect(new Set(open256.map(({ statusCode }) => statusCode))).toEqual(new Set([200]));
  const refused = await open("/silent");
  expect(refused.statusCode).toBe(429);
  refused.resume();
  const own = await open("/silent", role.key);
  expect(own.statusCode).toBe(200);
  open256[0]!.destroy();
  await expect
    .poll(async () => {
      const again = await open("/silent");
      if (again.statusCode !== 200) again.resume();
      else open256.push(again);
      return again.statusCode;
    })
    .toBe(200);
  for (const response of [own, ...open256]) response.destroy();
});
