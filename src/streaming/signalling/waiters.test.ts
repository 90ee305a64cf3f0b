import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Connection, openConnection } from "./connection.js";
import { Waiters } from "./waiters.js";

const waiterGoneMs = 15_000;
const askedMs = 2;
const sessionId = "s_1";
/** Of a player that had a genuine ticket and no seat. */
const proved: Connection = {
  ...openConnection({ sessionId, connectionId: "connection-1", channel: "signalling" }),
  proof: { jti: "ticket-1", expiresAt: 1_000 },
};
const unproved: Connection = { ...proved, proof: null };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Waiters of one node, whose question to the others is answered by the test. */
function asking() {
  const left: string[] = [];
  let answer: (elsewhere: boolean | null) => void = () => {};
  const waiters = new Waiters({
    waiterGoneMs,
    playsElsewhere: () => new Promise((resolve) => (answer = resolve)),
    left: (id) => left.push(id),
  });
  const answers = async (elsewhere: boolean | null) => {
    answer(elsewhere);
    await vi.advanceTimersByTimeAsync(0);
  };
  return { waiters, left, answers };
}

/** Two nodes that ask each other. */
function pair(ask: (times: () => boolean) => Promise<boolean>) {
  const left: string[] = [];
  const nodes: Waiters[] = ["a", "b"].map(
    (name, i) =>
      new Waiters({
        waiterGoneMs,
        playsElsewhere: (id) => ask(() => nodes[1 - i]!.times(id)),
        left: () => left.push(name),
      }),
  );
  return { nodes, left };
}

describe("a player who leaves while waiting", () => {
  it("loses the place after its time, once it is known to be nowhere else", async () => {
    const { waiters, left, answers } = asking();
    waiters.left(proved, true);
    await vi.advanceTimersByTimeAsync(waiterGoneMs);
    expect(left).toEqual([]);
    await answers(false);
    expect(left).toEqual([sessionId]);
  });

  it.each([true, null])("keeps it when it is elsewhere, or that is not known", async (elsewhere) => {
    const { waiters, left, answers } = asking();
    waiters.left(proved, true);
    await vi.advanceTimersByTimeAsync(waiterGoneMs);
    await answers(elsewhere);
    expect(left).toEqual([]);
  });

  it("keeps it by coming back while the other nodes are asked, and loses it by leaving again, proved or not", async () => {
    const { waiters, left, answers } = asking();
    waiters.left(proved, true);
    await vi.advanceTimersByTimeAsync(waiterGoneMs);
    waiters.greeted(sessionId);
    await answers(false);
    expect(left).toEqual([]);
    waiters.left(unproved, true);
    await vi.advanceTimersByTimeAsync(waiterGoneMs);
    await answers(false);
    expect(left).toEqual([sessionId]);
  });

  it("loses it by its newest leave, when it went from one node to another and left that, too", async () => {
    const { nodes, left } = pair(async (times) => times());
    nodes[0]!.left(proved, true);
    await vi.advanceTimersByTimeAsync(waiterGoneMs / 2);
    nodes[1]!.left(proved, true);
    await vi.advanceTimersByTimeAsync(waiterGoneMs / 2);
    expect(left).toEqual([]);
    await vi.advanceTimersByTimeAsync(waiterGoneMs / 2);
    expect(left).toEqual(["b"]);
  });

  it("from two nodes in the same moment, loses it all the same", async () => {
    const { nodes, left } = pair((times) => new Promise((resolve) => setTimeout(() => resolve(times()), askedMs)));
    for (const node of nodes) node.left(proved, true);
    await vi.advanceTimersByTimeAsync(waiterGoneMs + askedMs);
    expect(left).toEqual(["a", "b"]);
  });
});
