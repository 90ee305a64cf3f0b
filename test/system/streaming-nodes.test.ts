// Streaming nodes that meet over a real NATS server: the agent linked to one, its player's sockets at another.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { encodeInput } from "../../src/contracts/input.js";
import { type CreatedSession, sessionRoutes } from "../../src/contracts/session.js";
import { closeCodes } from "../../src/contracts/signalling.js";
import { streamingRoutes } from "../../src/contracts/streaming.js";
import { createClient } from "../../src/platform/client.js";
import { plainKey } from "../../src/platform/secrets.js";
import { startNats, type TestNats } from "../support/nats.js";
import { metricIs, type StreamingNode, startStreamingNode } from "../support/streaming-node.js";
import { type Ground, openGround, openStage, type Stage } from "./session-stage.js";

let ground: Ground;
let nats: TestNats;
/** Its own streaming role, in this process, is the first node: `here`. */
let stage: Stage;
/** The other one, a process. */
let there: StreamingNode;

beforeAll(async () => {
  [ground, nats] = await Promise.all([openGround(), startNats()]);
});
afterAll(async () => {
  await nats[Symbol.asyncDispose]();
  await ground[Symbol.asyncDispose]();
});

const settings = () => ({ nats: { servers: [nats.server] }, waiterGoneMs: 1_000 });
const start = () =>
  startStreamingNode({
    folder: ground.folder,
    secretsPath: ground.secretsPath,
    sessionUrl: stage.sessionUrl,
    key: plainKey(ground.secrets, "read"),
    settings: settings(),
  });
beforeEach(async () => {
  stage = await openStage(ground, { streaming: settings() });
  there = await start();
  await metricIs(there, "hotseat_streaming_nodes", 1);
});
afterEach(async () => {
  await there[Symbol.asyncDispose]();
  await stage[Symbol.asyncDispose]();
});

const create = async (): Promise<CreatedSession> =>
  (await stage.integrator.call(sessionRoutes.createSession, { body: { gameId: "demo" } })).body;
const ticketOf = async (sessionId: string) =>
  (await stage.integrator.call(sessionRoutes.createTicket, { params: { sessionId } })).body.ticket;
const at = (node: { url: string }, url: string) =>
  url.replace(stage.streamingUrl.replace("http", "ws"), node.url.replace("http", "ws"));
const statusAt = async (url: string, sessionId: string) =>
  (
    await createClient({ baseUrl: url, bearer: plainKey(ground.secrets, "service") }).call(
      streamingRoutes.streamStatus,
      {
        params: { sessionId },
      },
    )
  ).body;
const offer = { type: "offer", sdp: "the offer" } as const;
const candidate = { type: "candidate", candidate: { candidate: "c", sdpMid: "0" } } as const;

/** The agent linked to the other node, the player welcomed at this one. */
async function playing(vmId = "vm-1") {
  stage.orchestrator.addVm(vmId, 1);
  const agent = await stage.agent(vmId, there.url);
  const session = await create();
  const player = await stage.player(session.urls.signalling, { type: "hello", ticket: session.ticket });
  const { resume } = await player.next("welcome");
  return { agent, session, player, resume };
}

/** The offer on its way to the agent and the answer on its way back. */
async function negotiate({ agent, player }: Pick<Awaited<ReturnType<typeof playing>>, "agent" | "player">) {
  player.say(offer);
  player.say(candidate);
  expect(await player.next("answer")).toMatchObject({ sdp: "the answer" });
  expect(await agent.line.next("signal")).toMatchObject({ message: offer });
  expect(await agent.line.next("signal")).toMatchObject({ message: candidate });
}

describe("a player at one node and its agent at another", () => {
  it("meet: hello to welcome, offer, answer, candidates, control input, reports, goodbye", async () => {
    const { agent, session, player, resume } = await playing();
    await negotiate({ agent, player });
    agent.report(session.sessionId, "connected");
    await stage.watcher.until(session.sessionId, "ACTIVE");

    const control = await stage.player(session.urls.control, { type: "hello", resume });
    await control.next("welcome");
    const inputs = [1, 2, 3].map((seq) => encodeInput({ seq, event: { kind: "key", code: "KeyW", down: seq === 1 } }));
    for (const input of inputs) control.socket.send(input);
    expect(await agent.nextInputs(3)).toEqual(inputs);
    await control.leave();
    await agent.line.next("gone");

    player.say({ type: "bye" });
    expect(await player.next("ended")).toMatchObject({ reason: "ended-by-player" });
  });

  it("are told of by the status of either node", async () => {
    const { agent, session } = await playing();
    const joining = { connection: "joining", players: 1, vmId: "vm-1" };
    expect(await statusAt(there.url, session.sessionId)).toMatchObject(joining);
    expect(await statusAt(stage.streamingUrl, session.sessionId)).toMatchObject(joining);
    agent.report(session.sessionId, "connected");
    await stage.watcher.until(session.sessionId, "ACTIVE");
    expect(await statusAt(there.url, session.sessionId)).toMatchObject({ connection: "connected", players: 1 });
  });

  it("are taken over from a tab at another node, and the older tab is told", async () => {
    const { session, player, resume } = await playing();
    const tab = await stage.player(at(there, session.urls.signalling), { type: "hello", resume });
    expect((await tab.next("welcome")).resume).not.toBe(resume);
    expect(await player.next("problem")).toMatchObject({ problem: { status: 409 } });
    expect(await player.closed).toBe(closeCodes.takenOver);
  });

  it("are told of other nodes to go to, by the urls", async () => {
    const { urls } = await create();
    expect(urls.others).toEqual([{ signalling: at(there, urls.signalling), control: at(there, urls.control) }]);
  });
});

describe("a VM's link", () => {
  it("counts where it was dialled last: the older one at another node is closed", async () => {
    const { agent, player } = await playing();
    const older = agent.line;
    await agent.link(stage.streamingUrl);
    expect(await older.closed).toBe(closeCodes.takenOver);
    await negotiate({ agent, player });
  });

  it("that was killed with its node closes no player; signalling goes on by whichever node the agent dials next", async () => {
    const { agent, player } = await playing();
    const older = agent.line;
    await there.kill();
    await older.closed;
    player.say(offer);
    player.say({ type: "ping" });
    await player.next("pong");
    await agent.link(stage.streamingUrl);
    expect(await player.next("answer")).toMatchObject({ sdp: "the answer" });
    there = await start();
    await agent.link(there.url);
    await negotiate({ agent, player });
  });
});

describe("NATS", () => {
  it("killed, costs a node's own players nothing, and others wait until it is back", async () => {
    const apart = await playing("vm-1");
    stage.orchestrator.addVm("vm-2", 1);
    const own = await stage.agent("vm-2");
    const session = await create();
    const player = await stage.player(session.urls.signalling, { type: "hello", ticket: session.ticket });
    await player.next("welcome");

    await nats.kill();
    await metricIs(there, "hotseat_streaming_bus_up", 0);
    await negotiate({ agent: own, player });
    apart.player.say(offer);
    apart.player.say({ type: "ping" });
    await apart.player.next("pong");

    await nats.start();
    expect(await apart.player.next("answer")).toMatchObject({ sdp: "the answer" });
    await negotiate({ agent: own, player });
  });
});

describe("who waits for a seat", () => {
  const arrive = async (url: string, sessionId: string) => {
    const player = await stage.player(url, { type: "hello", ticket: await ticketOf(sessionId) });
    await player.next("progress");
    return player;
  };

  it("keeps the place when the page comes back at another node, and loses it by leaving that, too", async () => {
    const moved = await create();
    const left = await create();
    await (await arrive(moved.urls.signalling, moved.sessionId)).leave();
    const page = await arrive(at(there, moved.urls.signalling), moved.sessionId);
    // Who leaves after them shows that their time has passed.
    await (await arrive(left.urls.signalling, left.sessionId)).leave();
    await stage.watcher.until(left.sessionId, "ENDED");
    const { body } = await stage.integrator.call(sessionRoutes.getSession, { params: { sessionId: moved.sessionId } });
    expect(body.status).toBe("QUEUED");
    await page.leave();
    await stage.watcher.until(moved.sessionId, "ENDED");
  });
});

describe("the session service", () => {
  it("asks another node when one is gone", async () => {
    stage.nodes.push(there.url);
    await there.kill();
    for (let i = 0; i < 8; i++) expect((await create()).urls.signalling).toContain(stage.streamingUrl.slice(4));
    there = await start();
  });
});
