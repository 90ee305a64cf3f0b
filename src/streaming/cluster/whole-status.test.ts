import { describe, expect, it } from "vitest";
import type { StreamStatus } from "../../contracts/streaming.js";
import { wholeStatus } from "./whole-status.js";

const status = (connection: StreamStatus["connection"], players: number): StreamStatus => ({
  sessionId: "s",
  vmId: "vm",
  connection,
  players,
  since: null,
  latency: null,
});
const reported = (ageMs: number): StreamStatus["latency"] => ({
  reportedAt: "2026-01-01T00:00:00.000Z",
  ageMs,
  verdict: { kind: "not-measured", detail: "" },
  control: null,
  recent: null,
  session: { inputs: 0, frames: 0, skipped: 0, heldBack: 0, stages: {} },
});

describe("a session's status among nodes", () => {
  it("is that of the node its player is at, with the sockets of all", () => {
    const here = status("joining", 1);
    expect(wholeStatus([status("none", 0), here])).toEqual(here);
    expect(wholeStatus([here, status("waiting", 1), status("none", 0)])).toEqual({ ...here, players: 2 });
  });

  it("is told by the node that has the player, where the session's own state says the same at each", () => {
    const there = { ...status("connected", 1), since: "2026-01-01T00:00:00.000Z" };
    expect(wholeStatus([status("connected", 0), there])).toEqual(there);
  });

  it("has the newest of what the session's pages reported, wherever that is", () => {
    const [older, newer] = [reported(4_000), reported(200)];
    const here = { ...status("connected", 1), latency: older };
    expect(wholeStatus([here, { ...status("none", 0), latency: newer }])).toEqual({ ...here, latency: newer });
  });
});
