// What strangers and broken clients send: an answer in the documented form, never a failure of ours.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { allRoutes } from "../../src/contracts/routes.js";
import { fillPath } from "../../src/platform/client.js";
import { type RunningHotseat, startUp } from "../support/hotseat.js";

let hotseat: RunningHotseat;
beforeAll(async () => {
  hotseat = await startUp({ args: ["--warm", "0"] });
});
afterAll(() => hotseat?.[Symbol.asyncDispose]());

describe("pages and files", () => {
  const strange = ["/assets/", "/assets/%00", "/assets/..%2f..%2fpackage.json", "/docs/%00", "/%ff"];

  it.each(strange)("%s names nothing", async (path) => {
    const response = await fetch(hotseat.url + path);
    expect(response.status).toBe(404);
    expect(response.headers.get("content-type")).toContain("application/problem+json");
  });

  it.each(["/", "/docs", "/docs/", "/openapi.json", "/favicon.ico", "/healthz"])(
    "%s is there for everyone",
    async (path) => {
      expect((await fetch(hotseat.url + path)).status).toBe(200);
    },
  );
});

describe.each(allRoutes.filter(({ body }) => body !== undefined))("$method $path", (route) => {
  const bodies = ["null", "[]", "1", '"x"', "{", '{"\\u0000":1}', `{"a":${"[".repeat(5_000)}${"]".repeat(5_000)}}`];

  it.each(bodies)("answers the body %s in the documented form", async (body) => {
    const caller = route.callers.find((kind) => kind === "operate" || kind === "session" || kind === "service");
    const path = fillPath(route.path, { vmId: "none", sessionId: "none", region: "none" });
    const response = await fetch(hotseat.url + path, {
      method: route.method,
      headers: {
        "content-type": "application/json",
        ...(caller === undefined ? {} : { authorization: `Bearer ${hotseat.key(caller)}` }),
      },
      body,
    });
    expect(response.status).toBeGreaterThanOrEqual(400);
    expect(response.status).toBeLessThan(500);
    expect(await response.json()).toMatchObject({
      status: response.status,
      type: expect.stringMatching(/^urn:hotseat:problem:/),
    });
  });
});

it("free text that the database cannot keep is refused by name", async () => {
  const response = await fetch(`${hotseat.url}/api/session/v1`, {
    method: "POST",
    headers: { authorization: `Bearer ${hotseat.key("session")}`, "content-type": "application/json" },
    body: JSON.stringify({ gameId: "demo", playerId: "a\u0000b" }),
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ errors: [{ field: "playerId" }] });
});
