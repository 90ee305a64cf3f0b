import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import {
  closeCodes,
  type FromPlayer,
  type Hello,
  protocolVersions,
  signallingLimits,
  type ToPlayer,
} from "../contracts/signalling.js";
import type { Credential } from "./api.js";
import { type Heard, SignallingClient } from "./signalling-client.js";

let server: WebSocketServer;
let client: SignallingClient;
beforeAll(async () => {
  Object.assign(globalThis, { WebSocket });
  server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
});
afterAll(() => server.close());
afterEach(() => client.close());

/** Ingest's end of one socket. */
class Ingest {
  readonly #said: (Hello | FromPlayer)[] = [];
  #wake: (() => void)[] = [];

  constructor(readonly socket: WebSocket) {
    socket.on("message", (text: Buffer) => {
      this.#said.push(JSON.parse(text.toString()));
      for (const wake of this.#wake.splice(0)) wake();
    });
  }

  say(message: ToPlayer): void {
    this.socket.send(JSON.stringify(message));
  }

  async next(): Promise<Hello | FromPlayer> {
    while (this.#said.length === 0) await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.#said.shift()!;
  }
}

const nextSocket = async () => {
  const [socket] = (await once(server, "connection")) as [WebSocket];
  return new Ingest(socket);
};

async function open() {
  const heard: Heard[] = [];
  const goesOn: boolean[] = [];
  const codes: number[] = [];
  let wake = () => {};
  let credential: Credential = { ticket: "a.b.c" };
  const { port } = server.address() as AddressInfo;
  client = new SignallingClient(() => `ws://127.0.0.1:${port}`, {
    credential: () => credential,
    message: (message, goes) => {
      if (message.type === "welcome") {
        credential = { resume: message.resume };
        goesOn.push(goes);
      } else heard.push(message);
      wake();
    },
    closed: (code) => {
      codes.push(code);
      return code !== closeCodes.ended;
    },
  });
  const coming = nextSocket();
  client.open();
  const until = async (fact: () => boolean) => {
    while (!fact()) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { ingest: await coming, heard, goesOn, codes, until };
}

const welcome = (line?: { id: string; received: number }): ToPlayer => ({
  type: "welcome",
  resume: "secret",
  iceServers: [],
  versions: protocolVersions,
  stream: {
    gameId: "demo",
    title: "Demo",
    asked: { width: 1280, height: 720, fps: 60 },
    mode: { width: 1280, height: 720, fps: 60 },
    encoder: "libx264",
    why: null,
    pointer: "relative",
  },
  line,
});
const offer = { type: "offer", sdp: "the offer" } as const;
const bye = { type: "bye" } as const;
const id = "line-of-vm-1";

/** Welcomed on the line `id`, on which nothing has been said. */
async function openWelcomed() {
  const opened = await open();
  await opened.ingest.next();
  opened.ingest.say(welcome({ id, received: 0 }));
  await opened.until(() => opened.goesOn.length === 1);
  return opened;
}

it("what is said while the socket is away is said by the next, with what was not heard before", async () => {
  const { ingest, goesOn, until } = await open();
  expect(await ingest.next()).toEqual({ type: "hello", version: 2, ticket: "a.b.c" });
  ingest.say(welcome({ id, received: 0 }));
  await until(() => goesOn.length === 1);
  expect(client.say(offer)).toBe(1);
  expect(await ingest.next()).toEqual({ ...offer, seq: 1 });
  const coming = nextSocket();
  ingest.socket.terminate();
  const next = await coming;
  expect(client.say(bye)).toBe(2);
  expect(await next.next()).toEqual({ type: "hello", version: 2, resume: "secret", line: { id, received: 0 } });
  next.say(welcome({ id, received: 0 }));
  expect(await next.next()).toEqual({ ...offer, seq: 1 });
  expect(await next.next()).toEqual({ ...bye, seq: 2 });
  await until(() => goesOn.length === 2);
  expect(goesOn).toEqual([false, true]);
});

it("what was acked is not said again when the machine's link was away", async () => {
  const { ingest } = await openWelcomed();
  client.say(offer);
  client.say(bye);
  await ingest.next();
  await ingest.next();
  ingest.say({ type: "ack", received: 1 });
  ingest.say({ type: "resumed", line: { id, received: 1 } });
  expect(await ingest.next()).toEqual({ ...bye, seq: 2 });
});

it("what comes twice is heard once, what follows a loss is not heard yet, and what is heard is acked", async () => {
  const { ingest, heard, until } = await openWelcomed();
  const answer = (seq: number): ToPlayer => ({ type: "answer", sdp: `answer ${seq}`, to: 1, seq });
  for (const seq of [1, 1, 3, 2]) ingest.say(answer(seq));
  expect(await ingest.next()).toEqual({ type: "ack", received: 1 });
  expect(await ingest.next()).toEqual({ type: "ack", received: 2 });
  await until(() => heard.length === 2);
  expect(heard).toMatchObject([{ sdp: "answer 1" }, { sdp: "answer 2" }]);
});

it("acks again at each heartbeat, and says again what was not acked for a whole one", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  try {
    const { ingest } = await openWelcomed();
    client.say(offer);
    expect(await ingest.next()).toEqual({ ...offer, seq: 1 });
    for (let beat = 0; beat < 2; beat++) {
      vi.advanceTimersByTime(signallingLimits.pingMs);
      expect(await ingest.next()).toEqual({ type: "ping" });
      expect(await ingest.next()).toEqual({ type: "ack", received: 0 });
    }
    expect(await ingest.next()).toEqual({ ...offer, seq: 1 });
  } finally {
    vi.useRealTimers();
  }
});

it("another machine's line begins at 1, and of what was said on the one before only a goodbye is said on it", async () => {
  const { ingest, goesOn } = await openWelcomed();
  client.say(offer);
  client.say(bye);
  await ingest.next();
  await ingest.next();
  ingest.say(welcome({ id: "line-of-vm-2", received: 0 }));
  expect(await ingest.next()).toEqual({ ...bye, seq: 1 });
  expect(client.say(offer)).toBe(2);
  expect(goesOn).toEqual([false, false]);
});

it("a machine of version 1 is told without numbers", async () => {
  const { ingest, goesOn, until } = await open();
  await ingest.next();
  ingest.say(welcome());
  await until(() => goesOn.length === 1);
  expect(client.say(offer)).toBeNull();
  expect(await ingest.next()).toEqual(offer);
});

it("a socket that answers no ping when its way seems gone is replaced, and the line goes on", async () => {
  const { ingest } = await openWelcomed();
  const coming = nextSocket();
  client.probe();
  expect(await ingest.next()).toEqual({ type: "ping" });
  expect(await (await coming).next()).toMatchObject({ type: "hello", line: { id, received: 0 } });
});
