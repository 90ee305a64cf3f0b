// Bad input on the agent's link: an ingest that says anything. The supervisor, a process of its own seen from inside,
// goes on, and so does the session it does not name, which has a page and its media.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Random } from "../../sim/kernel/random.js";
import { controlPrefix, fromAgent, signallingLimits, toAgent, toPlayer } from "../../src/contracts/signalling.js";
import { changedBytes, inputMessage } from "../fuzz/bytes.js";
import { Attacker, again, fuzzSeed } from "../fuzz/messages.js";
import { Inspected, inspectable } from "../support/inspected.js";
import { PagePeer } from "../support/page-peer.js";
import { ControlPlane, smallSeat } from "./agent-control-plane.js";

// Far more than it takes: other tests may have the machine's cores.
vi.setConfig({ testTimeout: 300_000 });

const messages = { early: 2_000, late: 9_000 };
const batch = 100;
/** More closes the link: that is tried once, at the end. */
const linkBytesMax = 2 * signallingLimits.messageBytesMax;
const growthBytesMax = 8 * 1024 * 1024;

const healthy = { sessionId: "healthy", connectionId: "connection-healthy" };
const victim = { sessionId: "victim", connectionId: "connection-victim", controlId: "connection-control" };

let controlPlane: ControlPlane;
let agent: ChildProcess;
let inside: Inspected;
beforeEach(async () => {
  controlPlane = await ControlPlane.start();
  await controlPlane.configure({ bindAddress: "127.0.0.1" });
  agent = spawn(process.execPath, [inspectable, join(import.meta.dirname, "run-agent.mjs"), controlPlane.configPath], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  inside = await Inspected.attach(agent);
  await controlPlane.until(() => controlPlane.heartbeats > 0 && controlPlane.links > 0);
});
afterEach(async () => {
  inside?.[Symbol.dispose]();
  if (agent?.exitCode === null) {
    agent.kill("SIGTERM");
    await once(agent, "exit");
  }
  await controlPlane?.remove();
});

async function joined(
  sessionId: string,
  connectionId: string,
  { resume, channel }: { resume?: string; channel?: "control" } = {},
): Promise<string> {
  const proof = resume === undefined ? { jti: randomUUID() } : { resume };
  const { answer } = await controlPlane.join(sessionId, proof, { connectionId, ...(channel && { channel }) });
  if (answer.type !== "joined") throw new Error(`refused: ${answer.detail}`);
  return answer.resume;
}

/** A page of that session, by its own connection, with its media up. */
async function connect({ sessionId, connectionId }: { sessionId: string; connectionId: string }): Promise<PagePeer> {
  const page = new PagePeer();
  let heard = controlPlane.said.length;
  const listen = () => {
    for (const said of controlPlane.said.slice(heard))
      if (said.type === "signal" && said.connectionId === connectionId) page.receive(said.message);
    heard = controlPlane.said.length;
    return false;
  };
  void controlPlane.until(listen);
  await page.connect((message) => controlPlane.tell({ type: "signal", sessionId, connectionId, message }));
  return page;
}

it(`an ingest that says anything costs the agent nothing, nor a session it does not name (${again})`, () =>
  inside.whileItLives(sayAnything()));

async function sayAnything(): Promise<void> {
  controlPlane.seats = [smallSeat(healthy.sessionId), smallSeat(victim.sessionId)];
  const resume = await joined(healthy.sessionId, healthy.connectionId);
  const victims = await joined(victim.sessionId, victim.connectionId);
  await joined(victim.sessionId, victim.controlId, { resume: victims, channel: "control" });
  using page = await connect(healthy);

  const random = new Random(fuzzSeed, "ingest");
  const attacker = new Attacker({
    expected: toAgent,
    others: [fromAgent, toPlayer],
    validShare: 0.4,
    known: { sessionId: [victim.sessionId], connectionId: [victim.connectionId, victim.controlId] },
  });
  const attack = async (count: number) => {
    for (let sent = 0; sent < count; ) {
      for (const until = sent + batch; sent < until; ) {
        const message = random.chance(0.15)
          ? Buffer.concat([controlPrefix(victim.controlId), changedBytes(random, inputMessage(random))])
          : attacker.message();
        if (Buffer.byteLength(message) > linkBytesMax) continue;
        // By its own goodbye the session would be over, and nothing be tried on it any more.
        if (typeof message === "string" && message.includes('"bye"')) continue;
        controlPlane.tellRaw(message);
        sent++;
      }
      await controlPlane.takenIn();
      // The same join again: the same answer.
      expect(await joined(healthy.sessionId, healthy.connectionId, { resume }), again).toBe(resume);
      await page.pictureGoesOn(1);
    }
  };
  await attack(messages.early);
  const early = await inside.look();
  await attack(messages.late);
  const late = await inside.look();
  console.log(again, { grownBytes: late.heldBytes - early.heldBytes, rtpPackets: page.rtpPackets });
  expect(late.heldBytes - early.heldBytes, again).toBeLessThan(growthBytesMax);
  for (const kind of ["TCPSocketWrap", "UDPWrap", "Timeout", "ProcessWrap", "PipeWrap"])
    expect(late.resources[kind] ?? 0, kind).toBeLessThanOrEqual((early.resources[kind] ?? 0) + 3);
  expect(agent.exitCode).toBeNull();
  expect(controlPlane.links).toBe(1);
  await page.pictureGoesOn();

  // The victim's process has heard of it all, offers and candidates among it, and can be played.
  const after = { sessionId: victim.sessionId, connectionId: "connection-after" };
  await joined(after.sessionId, after.connectionId);
  using next = await connect(after);
  await next.pictureGoesOn();
  // The two that got media, and no session that ended or failed.
  expect(
    controlPlane.said.filter(({ type }) => type === "session").map((said) => "state" in said && said.state),
  ).toEqual(["connected", "connected"]);

  // More than a link takes closes it (RFC 6455 §7.4.1), and the next one knows the sessions as they were.
  controlPlane.tellRaw("x".repeat(linkBytesMax + 1));
  await controlPlane.until(() => controlPlane.links > 1);
  expect(await joined(healthy.sessionId, healthy.connectionId, { resume })).toBe(resume);
  await page.pictureGoesOn();
}
