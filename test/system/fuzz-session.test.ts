// Bad input on the data channels of a session's own process, seen from inside. The page's end is libdatachannel's.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { DataChannel } from "node-datachannel";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { Random } from "../../sim/kernel/random.js";
import { type FromChild, fromChild, type ToChildInput } from "../../src/agent/session/protocol.js";
import { decodeInput, encodeInput } from "../../src/contracts/input.js";
import { fromAgent } from "../../src/contracts/signalling.js";
import { changedBytes, inputMessage } from "../fuzz/bytes.js";
import { Attacker, again, fuzzSeed } from "../fuzz/messages.js";
import { Inspected, inspectable } from "../support/inspected.js";
import { PagePeer } from "../support/page-peer.js";
import { smallSeat } from "./agent-control-plane.js";

// Far more than it takes: other tests may have the machine's cores.
vi.setConfig({ testTimeout: 300_000 });

const messages = { early: 2_000, late: 9_000 };
const batch = 200;
const growthBytesMax = 8 * 1024 * 1024;
/** What may wait in our own end: far below what a message channel of libdatachannel takes. */
const bufferedBytesMax = 100_000;
const waitMs = 5;
const mode = { width: 320, height: 180, fps: 30 };

let child: ChildProcess;
let inside: Inspected;
const heard: FromChild[] = [];
const listeners = new Set<(message: FromChild) => void>();
const tell = (message: ToChildInput) => child.send(message);

const hears = (matches: (message: FromChild) => boolean) =>
  new Promise<FromChild>((resolve) => {
    const look = (message: FromChild) => {
      if (!matches(message)) return;
      listeners.delete(look);
      resolve(message);
    };
    listeners.add(look);
  });

beforeAll(async () => {
  child = fork(join(import.meta.dirname, "../browser/fixtures/signal-game.js"), {
    serialization: "advanced",
    execArgv: [inspectable],
    env: { UV_THREADPOOL_SIZE: "8" },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  child.on("message", (raw) => {
    const message = fromChild.parse(raw);
    heard.push(message);
    for (const listener of [...listeners]) listener(message);
  });
  const prepared = hears(({ type }) => type === "prepared");
  inside = await Inspected.attach(child);
  await prepared;
  const started = hears(({ type }) => type === "started");
  tell({
    type: "start",
    seat: { ...smallSeat("session-1"), gameId: "signal" },
    capabilities: { encoder: "libx264", pixelsPerSecond: 2e8, sustains: mode, sessionsMax: 1 },
    network: { bindAddress: "127.0.0.1" },
  });
  await started;
});
afterAll(async () => {
  inside?.[Symbol.dispose]();
  if (child?.exitCode === null) {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
});

async function connect(connectionId: string): Promise<PagePeer> {
  const page = new PagePeer();
  listeners.add((message) => {
    if (message.type !== "answer" && message.type !== "candidate") return;
    if (message.connectionId === connectionId) page.receive(message);
  });
  tell({ type: "connect", connectionId, iceServers: [] });
  await page.connect((signal) => tell({ ...signal, connectionId }));
  return page;
}

/** Escape ends this game, R rumbles: each is pressed when the test means it. */
function pressesWhatCounts(bytes: Uint8Array): boolean {
  try {
    const { event } = decodeInput(bytes);
    return event.kind === "key" && ["Escape", "KeyR"].includes(event.code);
  } catch {
    return false;
  }
}

/** R until the game rumbles. Whatever number input began anew at last, one of these four is newer. */
async function keyCounts({ input }: PagePeer, channel: DataChannel): Promise<void> {
  let felt = false;
  input.onMessage(() => {
    felt = true;
  });
  while (!felt) {
    for (const quarter of [0, 1, 2, 3])
      channel.sendMessageBinary(
        encodeInput({ seq: quarter * 2 ** 30, event: { kind: "key", code: "KeyR", down: true } }),
      );
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

it.each(["input", "state"] as const)(`a session goes on whatever comes on its %s channel (${again})`, async (label) => {
  using page = await connect(label);
  const channel = page[label];
  const random = new Random(fuzzSeed, label);
  const texts = new Attacker({ expected: fromAgent, others: [] });
  const say = () => {
    if (random.chance(0.05)) {
      const text = texts.message();
      return typeof text === "string" ? channel.sendMessage(text.slice(0, 60_000)) : channel.sendMessageBinary(text);
    }
    const bytes = random.chance(0.5) ? inputMessage(random) : changedBytes(random, inputMessage(random));
    return !pressesWhatCounts(bytes) && channel.sendMessageBinary(bytes);
  };
  const attack = async (count: number) => {
    for (let sent = 0; sent < count; ) {
      for (const until = sent + batch; sent < until; sent++) say();
      while (channel.bufferedAmount() > bufferedBytesMax) await new Promise((resolve) => setTimeout(resolve, waitMs));
      await page.pictureGoesOn(1);
    }
  };
  await inside.whileItLives(attack(messages.early));
  await page.pictureGoesOn();
  const early = await inside.look();
  await inside.whileItLives(attack(messages.late));
  await page.pictureGoesOn();
  const late = await inside.look();
  console.log(again, label, { grownBytes: late.heldBytes - early.heldBytes, rtpPackets: page.rtpPackets });
  expect(child.exitCode).toBeNull();
  expect(late.heldBytes - early.heldBytes, again).toBeLessThan(growthBytesMax);
  for (const kind of ["UDPWrap", "Timeout"])
    expect(late.resources[kind] ?? 0, kind).toBeLessThanOrEqual((early.resources[kind] ?? 0) + 3);
  await keyCounts(page, channel);
  // It came, and that is all there was to tell of.
  expect(heard.filter((one) => one.type === "state" && one.connectionId === label)).toMatchObject([
    { state: "connected" },
  ]);
});

it("the page that comes after all that plays, and leaves the game by a key", async () => {
  // Node waits for whoever looks into it before it ends.
  inside[Symbol.dispose]();
  using next = await connect("next");
  await next.pictureGoesOn();
  const over = hears((message) => message.type === "state" && message.state === "game-exited");
  const exited = once(child, "exit");
  next.input.sendMessageBinary(encodeInput({ seq: 1, event: { kind: "key", code: "Escape", down: true } }));
  expect(await over).toMatchObject({ detail: "the game was left" });
  expect(await exited).toEqual([0, null]);
});
