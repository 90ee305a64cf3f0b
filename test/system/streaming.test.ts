// The streaming role with real sockets at both ends: players by `ws`, an agent by `ws`, the session role behind it.
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { encodeInput } from "../../src/contracts/input.js";
import { type CreatedSession, type IceServer, sessionRoutes } from "../../src/contracts/session.js";
import {
  closeCodes,
  type Hello,
  protocolVersions,
  signallingLimits,
  versionHeader,
} from "../../src/contracts/signalling.js";
import { streamingRoutes, streamingSockets } from "../../src/contracts/streaming.js";
import { Authenticator } from "../../src/platform/auth.js";
import { fillPath } from "../../src/platform/client.js";
import { until } from "../support/hotseat.js";
import { type Ground, openGround, openStage, type Stage, type StageOptions } from "./session-stage.js";

let ground: Ground;
let stage: Stage;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(() => ground[Symbol.asyncDispose]());
afterEach(() => stage[Symbol.asyncDispose]());

const open = async (options?: StageOptions) => {
  stage = await openStage(ground, options);
  return stage;
};
const create = async (): Promise<CreatedSession> =>
  (await stage.integrator.call(sessionRoutes.createSession, { body: { gameId: "demo" } })).body;
const ticketOf = async (sessionId: string) =>
  (await stage.integrator.call(sessionRoutes.createTicket, { params: { sessionId } })).body.ticket;
const statusOf = async (sessionId: string) =>
  (await stage.streaming.call(streamingRoutes.streamStatus, { params: { sessionId } })).body;
const offer = { type: "offer", sdp: "the offer" } as const;
const candidate = (name: string) => ({ type: "candidate", candidate: { candidate: name, sdpMid: "0" } }) as const;

/** A session with a seat, its agent linked, its player welcomed. */
async function playing(seats = 1) {
  stage.orchestrator.addVm("vm-1", seats);
  const agent = await stage.agent("vm-1");
  const session = await create();
  const player = await stage.player(session.urls.signalling, { type: "hello", ticket: session.ticket });
  const { resume } = await player.next("welcome");
  return { agent, session, player, resume };
}

describe("TURN credentials", () => {
  const sharedSecret = "the secret of a TURN server";
  const withTurn = () => {
    const sharedSecretFile = join(ground.folder, "turn-secret");
    writeFileSync(sharedSecretFile, `${sharedSecret}\n`);
    return open({
      streaming: { iceServers: [{ urls: ["turn:turn.example.org"], sharedSecretFile }], turnCredentialSeconds: 1 },
    });
  };
  const isGenuine = ({ username = "", credential }: IceServer, sessionId: string) =>
    username.endsWith(`:${sessionId}`) &&
    credential === createHmac("sha1", sharedSecret).update(username).digest("base64");

  it("reach player and agent with the welcome, and new ones before those end, as long as the player is there", async () => {
    await withTurn();
    const { agent, session, player } = await playing();
    const { sessionId } = session;
    const seen = new Set<string | undefined>();
    for (let renewal = 0; renewal < 3; renewal++) {
      const [forPlayer] = (await player.next("ice-servers")).iceServers;
      const message = await agent.line.next("ice-servers");
      expect(message).toMatchObject({ sessionId, iceServers: [forPlayer] });
      expect(isGenuine(forPlayer!, sessionId)).toBe(true);
      seen.add(forPlayer!.username);
    }
    expect(seen.size).toBeGreaterThan(1);
    const [join] = agent.line.said.filter((message) => message.type === "join");
    expect(isGenuine(join!.iceServers[0]!, sessionId)).toBe(true);
    expect(isGenuine(session.urls.iceServers[0]!, sessionId)).toBe(true);

    await player.leave();
    await agent.line.next("gone");
    const told = agent.line.said.length;
    const another = await stage.player(session.urls.signalling, {
      type: "hello",
      ticket: await ticketOf(sessionId),
    });
    await another.next("ice-servers");
    const since = agent.line.said.slice(told).filter((message) => message.type === "ice-servers");
    const [again] = agent.line.said.slice(told).filter((message) => message.type === "join");
    expect(since.every(({ connectionId }) => connectionId === again!.connectionId)).toBe(true);
  });
});

describe("a player's way in", () => {
  it("goes from hello to welcome, offer, answer, candidates, and the session is ACTIVE when the agent says so", async () => {
    const { watcher } = await open();
    const { agent, session, player } = await playing();
    player.say(candidate("early"));
    player.say(offer);
    expect(await player.next("answer")).toMatchObject({ sdp: "the answer" });
    expect(await agent.line.next("signal")).toMatchObject({ message: offer });
    expect(await agent.line.next("signal")).toMatchObject({ message: candidate("early") });
    agent.report(session.sessionId, "connected");
    await watcher.until(session.sessionId, "ACTIVE");
    expect(await statusOf(session.sessionId)).toMatchObject({ connection: "connected", vmId: "vm-1", players: 1 });
  });

  it("leads to a status that says what its page has measured, how old that is and what it means", async () => {
    await open();
    const { session, player } = await playing();
    expect(await statusOf(session.sessionId)).toMatchObject({ latency: null });
    const stages = { total: { p50: 48, p95: 71, p99: 90.5 }, encode: { p50: 19, p95: 24, p99: 25 } };
    const recent = {
      inputs: 12,
      frames: 500,
      skipped: 90,
      heldBack: 0,
      stages,
      fps: 60,
      jitterMs: 3,
      rttMs: null,
      lossRatio: 0,
    };
    const measured = { inputs: 30, frames: 2_000, skipped: 90, heldBack: 0, stages };
    const report = { type: "report", control: "data-channel", recent, session: measured } as const;
    player.say(report);
    const { latency } = await until("the status has it", async () => {
      const status = await statusOf(session.sessionId);
      return status.latency === null ? undefined : status;
    });
    expect(latency).toMatchObject({
      control: "data-channel",
      recent,
      session: measured,
      verdict: { kind: "encoder", detail: "encoder over budget: 24 ms of 16.7" },
    });
    expect(latency!.ageMs).toBeLessThan(20_000);
    expect(Date.parse(latency!.reportedAt)).toBeLessThanOrEqual(Date.now());

    player.say({ ...report, recent: null });
    player.say({ type: "ping" });
    await player.next("pong");
    expect((await statusOf(session.sessionId)).latency?.recent, "a second report within the same second").toEqual(
      recent,
    );
    player.say({ ...report, session: { ...measured, frames: -1 } });
    expect(await player.closed).toBe(closeCodes.badMessage);
  });

  it("starts before there is a seat: the place in the queue, then the connecting, then the welcome", async () => {
    const { orchestrator } = await open();
    const agent = await stage.agent("vm-1");
    const ahead = await create();
    const session = await create();
    const player = await stage.player(session.urls.signalling, { type: "hello", ticket: session.ticket });
    expect(await player.next("progress")).toMatchObject({ status: "QUEUED", step: "finding-seat", position: 2 });
    expect(await statusOf(session.sessionId)).toMatchObject({ connection: "waiting", vmId: null, players: 1 });
    await stage.integrator.call(sessionRoutes.endSession, { params: { sessionId: ahead.sessionId } });
    await player.next("progress", (message) => message.type === "progress" && message.position === 1);
    orchestrator.addVm("vm-1", 1);
    expect(await player.next("progress")).toMatchObject({ status: "READY", step: "connecting" });
    await player.next("welcome");
    expect(await agent.line.next("join")).toMatchObject({ sessionId: session.sessionId });
  });

  it("waits for the agent's link", async () => {
    const { orchestrator } = await open();
    orchestrator.addVm("vm-1", 1);
    const session = await create();
    const player = await stage.player(session.urls.signalling, { type: "hello", ticket: session.ticket });
    expect(await player.next("progress")).toMatchObject({ status: "READY", step: "connecting" });
    await stage.agent("vm-1");
    await player.next("welcome");
  });

  it("is told of the session's end, and closed", async () => {
    await open();
    const { session, player, agent } = await playing();
    await stage.integrator.call(sessionRoutes.endSession, { params: { sessionId: session.sessionId } });
    expect(await player.next("ended")).toMatchObject({ reason: "ended-by-request" });
    expect(await player.closed).toBe(closeCodes.ended);
    await agent.line.next("gone");
  });

  it("ends the session by its bye, also while it waits for a seat", async () => {
    const { watcher } = await open();
    const waiting = await create();
    const early = await stage.player(waiting.urls.signalling, { type: "hello", ticket: waiting.ticket });
    await early.next("progress");
    early.say({ type: "bye" });
    expect(await early.closed).toBe(closeCodes.ended);
    const { session, player } = await playing();
    player.say({ type: "bye" });
    expect(await player.next("ended")).toMatchObject({ reason: "ended-by-player" });
    for (const { sessionId } of [waiting, session])
      expect((await watcher.until(sessionId, "ENDED")).end?.reason).toBe("ended-by-player");
  });
});

describe("leaving while there is no seat", () => {
  const waiting = async () => {
    const session = await create();
    const player = await stage.player(session.urls.signalling, { type: "hello", ticket: session.ticket });
    await player.next("progress");
    return { session, player };
  };

  it("for good gives the place in the queue up", async () => {
    const { orchestrator, watcher } = await open({ streaming: { waiterGoneMs: 50 } });
    const { session, player } = await waiting();
    await player.leave();
    const { end } = await watcher.until(session.sessionId, "ENDED");
    expect(end).toMatchObject({ reason: "ended-by-player", detail: expect.stringContaining("while waiting") });
    await orchestrator.until(() => orchestrator.placements.size === 0);
  });

  it("keeps the place through a reload, in another tab, and for whom no player was there yet", async () => {
    const { watcher, integrator } = await open({ streaming: { waiterGoneMs: 1_000 } });
    const untouched = await create();
    const [reloading, inTwoTabs] = [await waiting(), await waiting()];
    const secondTab = { type: "hello", ticket: await ticketOf(inTwoTabs.session.sessionId) } as const;
    const tab = await stage.player(inTwoTabs.session.urls.signalling, secondTab);
    await tab.next("progress");
    await inTwoTabs.player.leave();
    const reloaded = { type: "hello", ticket: await ticketOf(reloading.session.sessionId) } as const;
    await reloading.player.leave();
    const page = await stage.player(reloading.session.urls.signalling, reloaded);
    await page.next("progress");
    // Who leaves after them shows that their time has passed too.
    const late = await waiting();
    await late.player.leave();
    await watcher.until(late.session.sessionId, "ENDED");
    for (const { sessionId } of [untouched, reloading.session, inTwoTabs.session]) {
      const { body } = await integrator.call(sessionRoutes.getSession, { params: { sessionId } });
      expect(body.status).toBe("QUEUED");
    }
    await page.leave();
    await watcher.until(reloading.session.sessionId, "ENDED");
  });

  it("by one who proved nothing ends nobody's session, nor does it drive the player out", async () => {
    const { watcher, integrator } = await open({ streaming: { waiterGoneMs: 200 } });
    const { session, player } = await waiting();
    const guess: Hello = { type: "hello", resume: "a guess" };
    const strangers = [];
    for (let i = 0; i < 8; i++) {
      strangers.push(await stage.player(session.urls.signalling, guess));
      if (i < 7) await strangers.at(-1)!.next("progress");
    }
    expect(await strangers[0]!.closed).toBe(closeCodes.tooFast);
    player.say({ type: "ping" });
    await player.next("pong");
    const alone = await create();
    const stranger = await stage.player(alone.urls.signalling, guess);
    await stranger.next("progress");
    await stranger.leave();
    const late = await waiting();
    await late.player.leave();
    await watcher.until(late.session.sessionId, "ENDED");
    const { body } = await integrator.call(sessionRoutes.getSession, { params: { sessionId: alone.sessionId } });
    expect(body.status).toBe("QUEUED");
  });
});

describe("coming back", () => {
  it("works by the resume secret; the newest connection takes over and the older is told", async () => {
    await open();
    const { session, player, resume } = await playing();
    const again = await stage.player(session.urls.signalling, { type: "hello", resume });
    expect((await again.next("welcome")).resume).not.toBe(resume);
    expect(await player.next("problem")).toMatchObject({ problem: { status: 409 } });
    expect(await player.closed).toBe(closeCodes.takenOver);
  });

  it("in the grace time keeps the session", async () => {
    const { watcher } = await open();
    const { agent, session, player, resume } = await playing();
    agent.report(session.sessionId, "connected");
    await watcher.until(session.sessionId, "ACTIVE");
    await player.leave();
    await agent.line.next("gone");
    agent.report(session.sessionId, "disconnected");
    await watcher.until(session.sessionId, "DISCONNECTED");
    expect(await statusOf(session.sessionId)).toMatchObject({ connection: "disconnected", players: 0 });
    const again = await stage.player(session.urls.signalling, { type: "hello", resume });
    await again.next("welcome");
    agent.report(session.sessionId, "connected");
    await watcher.until(session.sessionId, "ACTIVE");
  });

  it("of the agent's link closes no player, and signalling goes on over the new one", async () => {
    await open();
    const { agent, player } = await playing();
    await agent.line.leave();
    player.say(offer);
    player.say({ type: "ping" });
    await player.next("pong");
    await agent.link();
    expect(await player.next("answer")).toMatchObject({ sdp: "the answer" });
  });

  it("of a VM's agent by a second link closes the first", async () => {
    await open();
    stage.orchestrator.addVm("vm-1", 1);
    const first = await stage.agent("vm-1");
    const second = await stage.agent("vm-1");
    expect(await first.line.closed).toBe(closeCodes.takenOver);
    const session = await create();
    const player = await stage.player(session.urls.signalling, { type: "hello", ticket: session.ticket });
    await player.next("welcome");
    await second.line.next("join");
  });

  it("on another VM, after the first broke, needs nothing of the player but a new offer", async () => {
    const { orchestrator } = await open();
    const { player } = await playing();
    player.say(offer);
    await player.next("answer");
    await stage.agent("vm-2");
    orchestrator.addVm("vm-2", 1);
    orchestrator.breakVm("vm-1", "waiting");
    const { resume } = await player.next("welcome");
    expect(resume).toContain("vm-2");
    player.say(offer);
    await player.next("answer");
  });

  it("of the session service brings it the report made meanwhile", async () => {
    const { orchestrator } = await open();
    orchestrator.addVm("vm-1", 1);
    const agent = await stage.agent("vm-1");
    const { sessionId } = await create();
    const restart = await stage.stopSession();
    agent.report(sessionId, "connected");
    const watcher = await restart();
    await watcher.until(sessionId, "ACTIVE");
  });
});

describe("the control socket", () => {
  it("joins by the resume secret and carries input to the agent, also what came before the welcome", async () => {
    await open();
    const { agent, session, resume } = await playing();
    const control = await stage.player(session.urls.control, { type: "hello", resume });
    const early = encodeInput({ seq: 1, event: { kind: "key", code: "KeyW", down: true } });
    control.socket.send(early);
    await control.next("welcome");
    const late = encodeInput({ seq: 2, event: { kind: "key", code: "KeyW", down: false } });
    control.socket.send(late);
    expect(await agent.nextInputs(2)).toEqual([early, late]);
  });

  it.each([
    ["a ticket", (ticket: string): Hello => ({ type: "hello", ticket }), closeCodes.badMessage],
    ["a wrong secret", (): Hello => ({ type: "hello", resume: "wrong" }), closeCodes.unauthenticated],
  ] as const)("refuses %s", async (_, hello, code) => {
    await open();
    const { session } = await playing();
    const control = await stage.player(session.urls.control, hello(await ticketOf(session.sessionId)));
    expect(await control.closed).toBe(code);
  });

  it("closes on input that is too long", async () => {
    await open();
    const { agent, session, resume } = await playing();
    const control = await stage.player(session.urls.control, { type: "hello", resume });
    await control.next("welcome");
    control.socket.send(new Uint8Array(22));
    expect(await control.closed).toBe(closeCodes.badMessage);
    expect(agent.inputs).toEqual([]);
  });

  it("closes on input that comes too fast", async () => {
    await open({ streaming: { controlMessagesPerSecond: 10 } });
    const { session, resume } = await playing();
    const control = await stage.player(session.urls.control, { type: "hello", resume });
    await control.next("welcome");
    for (let seq = 0; seq < 40; seq++) control.socket.send(encodeInput({ seq, event: { kind: "reset" } }));
    expect(await control.closed).toBe(closeCodes.tooFast);
  });
});

describe("what is refused", () => {
  const hurts: [string, (session: CreatedSession) => Promise<string | Uint8Array> | string | Uint8Array, number][] = [
    ["a forged ticket", () => JSON.stringify({ type: "hello", ticket: "a.b.c" }), closeCodes.unauthenticated],
    [
      "another session's ticket",
      async () => JSON.stringify({ type: "hello", ticket: (await create()).ticket }),
      closeCodes.forbidden,
    ],
    [
      "an expired ticket, genuine and never used",
      async ({ sessionId }) => {
        const anHourAgo = { now: () => Date.now() - 3_600_000 };
        const { ticket } = await new Authenticator(ground.secrets, anHourAgo).mintTicket(sessionId, "unused");
        return JSON.stringify({ type: "hello", ticket });
      },
      closeCodes.unauthenticated,
    ],
    ["a ticket used before", ({ ticket }) => JSON.stringify({ type: "hello", ticket }), closeCodes.unauthenticated],
    ["a wrong resume secret", () => JSON.stringify({ type: "hello", resume: "wrong" }), closeCodes.unauthenticated],
    ["garbage", () => "{", closeCodes.badMessage],
    [
      "a hello of a version that is not spoken, whatever else it says",
      () => JSON.stringify({ type: "hello", version: protocolVersions.newest + 1, proof: "of a kind to come" }),
      closeCodes.unsupportedVersion,
    ],
    [
      "a hello of a version that never was",
      () => JSON.stringify({ type: "hello", version: 0, resume: "any" }),
      closeCodes.unsupportedVersion,
    ],
    ["signalling before hello", () => JSON.stringify(offer), closeCodes.badMessage],
    ["bytes where text belongs", () => new Uint8Array(8), closeCodes.badMessage],
    // Message Too Big, RFC 6455 §7.4.1: it is not even read.
    ["a message over 64 KiB", () => "x".repeat(signallingLimits.messageBytesMax + 1), 1009],
  ];
  it.each(hurts)("%s closes its socket with the documented code, and nothing else", async (_, say, code) => {
    await open();
    const { session, player } = await playing(2);
    const socket = await stage.player(session.urls.signalling);
    socket.socket.send(await say(session));
    expect(await socket.closed).toBe(code);
    player.say(offer);
    await player.next("answer");
  });

  it("messages that come too fast close their socket", async () => {
    await open({ streaming: { messagesPerSecond: 5 } });
    const { player } = await playing();
    for (let i = 0; i < 30; i++) player.say({ type: "ping" });
    expect(await player.closed).toBe(closeCodes.tooFast);
  });

  it("a socket that never says hello is closed", async () => {
    await open({ streaming: { helloMs: 50 } });
    const session = await create();
    const socket = await stage.player(session.urls.signalling);
    expect(await socket.closed).toBe(closeCodes.helloTimeout);
  });

  it("a player that falls silent is cut off, and its agent is told", async () => {
    await open({ streaming: { pingMs: 20, silenceMs: 100 } });
    const { agent, player } = await playing();
    player.socket.pause();
    await agent.line.next("gone");
    player.socket.resume();
    expect(await player.closed).toBe(1006);
  });

  it("an unknown session closes with not found", async () => {
    await open();
    const url =
      stage.streamingUrl.replace("http", "ws") + fillPath(streamingSockets.signalling, { sessionId: "nobody" });
    const { ticket } = await stage.authenticator.mintTicket("nobody", "jti");
    const socket = await stage.player(url, { type: "hello", ticket });
    expect(await socket.closed).toBe(closeCodes.notFound);
  });

  it("an agent's link needs that VM's token, and a version that is spoken", async () => {
    await open();
    const url = stage.streamingUrl.replace("http", "ws") + fillPath(streamingSockets.agent, { vmId: "vm-1" });
    const answerTo = async (headers: Record<string, string>) => {
      const socket = new WebSocket(url, { headers });
      socket.on("error", () => {});
      const [, response] = await once(socket, "unexpected-response");
      socket.terminate();
      return response.statusCode as number;
    };
    expect(await answerTo({})).toBe(401);
    const other = await stage.authenticator.mintAgentToken("vm-2", 1);
    expect(await answerTo({ authorization: `Bearer ${other}` })).toBe(403);
    const own = await stage.authenticator.mintAgentToken("vm-1", 1);
    for (const version of [String(protocolVersions.newest + 1), "0", "two"])
      expect(await answerTo({ authorization: `Bearer ${own}`, [versionHeader]: version })).toBe(426);
  });

  it("an agent speaks only for the sessions on its VM", async () => {
    const { watcher } = await open();
    const { session } = await playing();
    const stranger = await stage.agent("vm-2");
    stranger.report(session.sessionId, "left");
    const own = await stage.agent("vm-1");
    own.report(session.sessionId, "connected");
    await watcher.until(session.sessionId, "ACTIVE");
  });

  it("is counted", async () => {
    const { registry } = await open();
    const { player } = await playing();
    player.socket.send("garbage");
    await player.closed;
    const metrics = await registry.metrics();
    expect(metrics).toContain('hotseat_streaming_refused_total{kind="signalling",reason="badMessage"} 1');
    expect(metrics).toContain('hotseat_streaming_sockets{kind="agent"} 1');
  });
});
