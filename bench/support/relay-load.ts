// The ends of all pairs in one process: players that send, agents that answer, and the one clock that measures both.
//
// Message number n of a run is due at n / rate and is pair n modulo pairs' turn; it says its number, so whoever receives
// it knows when it was due. Every 100th is an offer, which the agent answers with the same number.
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { type RawData, WebSocket } from "ws";
import { decodeInput, encodeInput } from "../../src/contracts/input.js";
import {
  type FromAgent,
  type FromPlayer,
  type Hello,
  type StreamInfo,
  unframeControl,
} from "../../src/contracts/signalling.js";
import { dialledAtHeader, streamingSockets } from "../../src/contracts/streaming.js";
import { Authenticator } from "../../src/platform/auth.js";
import { fillPath } from "../../src/platform/client.js";
import { systemClock } from "../../src/platform/clock.js";
import { loadSecrets } from "../../src/platform/secrets.js";
import { percentile } from "./statistics.js";

export type Order =
  | {
      readonly do: "open";
      readonly name: string;
      readonly kind: "node" | "bare";
      readonly agents: string;
      readonly players: string;
      readonly pairs: number;
      readonly secretsPath: string;
    }
  | { readonly do: "run"; readonly name: string; readonly perSecond: number; readonly lastsMs: number };

export interface Measured {
  readonly arrived: number;
  readonly lost: number;
  readonly p99Ms: number;
}

const offerEvery = 100;
const openAtOnce = 50;
const settleMsMax = 5_000;

const sessionIdOf = (pair: number) => `s-${pair}`;
export const vmIdOf = (session: string) => session.replace("s-", "vm-");

interface Pair {
  readonly signalling: WebSocket;
  readonly control: WebSocket;
}

/** What arrives, by the message's number. */
type Arrived = (n: number) => void;

const stream: StreamInfo = {
  gameId: "demo",
  title: "Demo",
  asked: { width: 1280, height: 720, fps: 60 },
  mode: { width: 1280, height: 720, fps: 60 },
  encoder: "libx264",
  why: null,
  pointer: "relative",
};

/** A process of its own: does as it is told, one order after another. */
export function bearLoad(): void {
  const stages = new Map<string, { pairs: Pair[]; arrived: { now: Arrived } }>();
  process.on("message", async (order: Order) => {
    if (order.do === "open") {
      const arrived = { now: (() => {}) as Arrived };
      stages.set(order.name, { pairs: await openPairs(order, (n) => arrived.now(n)), arrived });
      process.send?.({ arrived: 0, lost: 0, p99Ms: 0 } satisfies Measured);
    } else {
      const { pairs, arrived } = stages.get(order.name)!;
      process.send?.(await run(pairs, order, arrived));
    }
  });
}

async function openPairs(order: Extract<Order, { do: "open" }>, arrived: Arrived): Promise<Pair[]> {
  const opened: Pair[] = [];
  const authenticator = new Authenticator(await loadSecrets(order.secretsPath), systemClock);
  const open = order.kind === "bare" ? openBare : openJoined;
  const opener = async (_: unknown, first: number) => {
    for (let pair = first; pair < order.pairs; pair += openAtOnce)
      opened[pair] = await open(order, pair, arrived, authenticator);
  };
  await Promise.all(Array.from({ length: openAtOnce }, opener));
  return opened;
}

const socketTo = async (url: string, path: string, headers: Record<string, string> = {}): Promise<WebSocket> => {
  const socket = new WebSocket(new URL(path, url.replace("http", "ws")), { headers, perMessageDeflate: false });
  await once(socket, "open");
  return socket;
};

async function openBare({ agents, players }: { agents: string; players: string }, pair: number, arrived: Arrived) {
  const agent = await socketTo(agents, `/agent/${pair}`);
  const signalling = await socketTo(players, `/signalling/${pair}`);
  const control = await socketTo(players, `/control/${pair}`);
  agent.on("message", (bytes: Buffer, isBinary) => {
    if (isBinary) arrived(numberOf(bytes));
    else {
      const n = Number((JSON.parse(bytes.toString()) as { sdp: string }).sdp);
      arrived(n);
      agent.send(JSON.stringify({ type: "answer", sdp: String(n) }));
    }
  });
  signalling.on("message", (text) => arrived(Number((JSON.parse(text.toString()) as { sdp: string }).sdp)));
  return { signalling, control };
}

/** Joined by the protocol: the agent accepts everybody. */
async function openJoined(
  { agents, players }: { agents: string; players: string },
  pair: number,
  arrived: Arrived,
  authenticator: Authenticator,
): Promise<Pair> {
  const sessionId = sessionIdOf(pair);
  const vmId = vmIdOf(sessionId);
  const agent = await socketTo(agents, fillPath(streamingSockets.agent, { vmId }), {
    authorization: `Bearer ${await authenticator.mintAgentToken(vmId, 1)}`,
    [dialledAtHeader]: String(Date.now()),
  });
  const answer = (message: FromAgent) => agent.send(JSON.stringify(message));
  agent.on("message", (bytes: Buffer, isBinary) => {
    if (isBinary) {
      arrived(numberOf(unframeControl(bytes)!.input));
      return;
    }
    const message = JSON.parse(bytes.toString());
    if (message.type === "ping") answer({ type: "pong" });
    else if (message.type === "join")
      answer({ type: "joined", connectionId: message.connectionId, resume: "secret", stream });
    else if (message.type === "signal" && message.message.type === "offer") {
      const { connectionId } = message;
      const { sdp } = message.message;
      arrived(Number(sdp));
      answer({ type: "signal", connectionId, message: { type: "answer", sdp } });
    }
  });
  const join = async (path: string, hello: Hello) => {
    const socket = await socketTo(players, fillPath(path, { sessionId }));
    const welcomed = new Promise<void>((resolve) => {
      socket.on("message", (text: RawData) => {
        const message = JSON.parse(text.toString());
        if (message.type === "welcome") resolve();
        else if (message.type === "answer") arrived(Number(message.sdp));
      });
    });
    socket.send(JSON.stringify(hello));
    await welcomed;
    return socket;
  };
  const { ticket } = await authenticator.mintTicket(sessionId, `${sessionId}-${Date.now()}`);
  const signalling = await join(streamingSockets.signalling, { type: "hello", ticket });
  const control = await join(streamingSockets.control, { type: "hello", resume: "secret" });
  return { signalling, control };
}

const numberOf = (input: Uint8Array): number => decodeInput(input).seq;

async function run(
  pairs: readonly Pair[],
  { perSecond, lastsMs }: { perSecond: number; lastsMs: number },
  arrived: { now: Arrived },
): Promise<Measured> {
  const latencies: number[] = [];
  const started = performance.now() + 5;
  const dueAt = (n: number) => started + (n * 1000) / perSecond;
  arrived.now = (n) => void latencies.push(performance.now() - dueAt(n));
  const last = Math.floor((perSecond * lastsMs) / 1000);
  let expected = 0;
  for (let n = 0; n < last; ) {
    for (const now = performance.now(); n < last && dueAt(n) <= now; n++) {
      const { signalling, control } = pairs[n % pairs.length]!;
      // Not always the same pairs' turn: 100 divides 1,000.
      if ((n + Math.floor(n / pairs.length)) % offerEvery === 0) {
        signalling.send(JSON.stringify({ type: "offer", sdp: String(n) } satisfies FromPlayer));
        expected += 2;
      } else {
        control.send(encodeInput({ seq: n, event: { kind: "key", code: "KeyW", down: n % 2 === 0 } }));
        expected += 1;
      }
    }
    await sleep(1);
  }
  for (const from = performance.now(); latencies.length < expected && performance.now() - from < settleMsMax; )
    await sleep(5);
  arrived.now = () => {};
  return { arrived: latencies.length, lost: expected - latencies.length, p99Ms: percentile(latencies, 99) };
}
