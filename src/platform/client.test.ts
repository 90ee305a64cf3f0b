import { describe, expect, it } from "vitest";
import { Problem, type ProblemType } from "../contracts/problems.js";
import { streamingRoutes } from "../contracts/streaming.js";
import { anyOf, type RouteClient } from "./client.js";

const body = { sessionId: "s", connection: "none", vmId: null, players: 0, since: null } as const;
const answering = { call: async () => ({ status: 200, body }) } as unknown as RouteClient;
const failing = (type: ProblemType): RouteClient => ({ call: () => Promise.reject(new Problem(type)) });
const ask = (...clients: RouteClient[]) =>
  anyOf(
    () => clients,
    () => 0,
  ).call(streamingRoutes.streamStatus, { params: { sessionId: "s" } });

describe("a call to any of several", () => {
  it("passes those over that do not answer", async () => {
    expect((await ask(failing("unavailable"), failing("unavailable"), answering)).body).toEqual(body);
  });

  it("fails when none answers, and at once with what one of them refused", async () => {
    await expect(ask(failing("unavailable"), failing("unavailable"))).rejects.toMatchObject({ type: "unavailable" });
    await expect(ask(failing("not-found"), answering)).rejects.toMatchObject({ type: "not-found" });
  });
});
