import { describe, expect, test } from "vitest";
import { createLog } from "../platform/log.js";
import { Bell, keepDoing } from "./loop.js";

const log = createLog({ name: "test", level: "silent" });
const never = 1_000_000;

describe("keepDoing", () => {
  test("does not miss a ring that comes while a round is under way", async () => {
    const bell = new Bell();
    const stop = new AbortController();
    let rounds = 0;
    const round = async () => {
      rounds += 1;
      if (rounds < 3) bell.ring();
      else stop.abort();
    };
    await keepDoing("test", round, { bell, everyMs: never, signal: stop.signal, log });
    expect(rounds).toBe(3);
  });

  test("goes on after a round that failed", async () => {
    const bell = new Bell();
    const stop = new AbortController();
    let rounds = 0;
    const round = async () => {
      rounds += 1;
      if (rounds === 1) throw new Error("once");
      stop.abort();
    };
    await keepDoing("test", round, { bell, everyMs: 1, signal: stop.signal, log });
    expect(rounds).toBe(2);
  });

  test("ends at once when it is stopped while it waits", async () => {
    const bell = new Bell();
    const stop = new AbortController();
    const kept = keepDoing("test", async () => {}, { bell, everyMs: never, signal: stop.signal, log });
    setImmediate(() => stop.abort());
    await kept;
  });

  test("comes again by itself", async () => {
    const stop = new AbortController();
    let rounds = 0;
    const round = async () => {
      rounds += 1;
      if (rounds === 3) stop.abort();
    };
    await keepDoing("test", round, { bell: new Bell(), everyMs: 1, signal: stop.signal, log });
    expect(rounds).toBe(3);
  });
});
