// Peers that stop reading, at real sockets: they are cut off once too much waits for them, and nobody else notices.
import { once } from "node:events";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type CreatedSession, sessionRoutes } from "../../src/contracts/session.js";
import { type Ground, openGround, openStage, type Stage } from "./session-stage.js";
import type { PlayerLine } from "./streaming-ends.js";

let ground: Ground;
let stage: Stage;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground[Symbol.asyncDispose]());
afterEach(() => stage[Symbol.asyncDispose]());

// What the kernel takes off our hands for a peer on this machine (tcp_wmem and tcp_rmem, a few MB) is not waiting here.
const saidBytesMax = 64 * 1024 * 1024;
const bigSdp = "x".repeat(60_000);

async function open() {
  // The silence of a peer that does not even read pings would cut it off, too: not within this test.
  stage = await openStage(ground, {
    streaming: { bufferedBytesMax: 256 * 1024, silenceMs: 600_000, messagesPerSecond: 1_000_000 },
  });
  stage.orchestrator.addVm("vm-1", 2);
  return stage.agent("vm-1");
}

async function join(): Promise<{ session: CreatedSession; player: PlayerLine }> {
  const session = (await stage.integrator.call(sessionRoutes.createSession, { body: { gameId: "demo" } })).body;
  const player = await stage.player(session.urls.signalling, { type: "hello", ticket: session.ticket });
  await player.next("welcome");
  return { session, player };
}

const sockets = async (kind: string) =>
  Number(new RegExp(`hotseat_streaming_sockets{kind="${kind}"} (\\d+)`).exec(await stage.registry.metrics())?.[1]);

/** Offers until a socket of that kind is gone; how much was offered. */
async function offerUntilCut(player: PlayerLine, kind: string): Promise<number> {
  const before = await sockets(kind);
  let bytes = 0;
  while ((await sockets(kind)) === before && bytes < saidBytesMax) {
    player.say({ type: "offer", sdp: bigSdp });
    bytes += bigSdp.length;
    await new Promise(setImmediate);
  }
  return bytes;
}

it("a player that does not read is cut off, and the agent is told; another plays on", async () => {
  const agent = await open();
  const slow = await join();
  const other = await join();
  agent.answerSdp = bigSdp;
  slow.player.socket.pause();
  expect(await offerUntilCut(slow.player, "signalling")).toBeLessThan(saidBytesMax);
  expect(await agent.line.next("gone")).toMatchObject({ sessionId: slow.session.sessionId });
  slow.player.socket.resume();
  expect(await slow.player.closed).toBe(1006);
  other.player.say({ type: "offer", sdp: "the offer" });
  await other.player.next("answer");
});

it("an agent that does not read loses its link, not its players; it may link again", async () => {
  const agent = await open();
  const { player } = await join();
  const { socket } = agent.line;
  const closed = once(socket, "close");
  socket.pause();
  expect(await offerUntilCut(player, "agent")).toBeLessThan(saidBytesMax);
  expect(await sockets("signalling")).toBe(1);
  socket.resume();
  await closed;
  await agent.link();
  player.say({ type: "offer", sdp: "the newest offer" });
  await player.next("answer");
});
