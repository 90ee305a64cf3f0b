// The agent's one connection to streaming-ingest: a WebSocket it dials out, so that a VM needs no open port for it.
//
// Losing it touches no media: it is dialled again with back-off and jitter, at addresses and with a token that are
// asked for each time: any of several streaming nodes will do, and the one just lost is tried last. What would be said meanwhile is dropped, since either end says again what still matters: the
// agent each session's newest state, ingest each join and each unanswered offer. A link that answers no ping for 15 s,
// or that takes nothing off our hands, is dead and replaced. Messages that are not the contract's are logged, the first
// of each link, and dropped: an ingest newer than this agent may say more than it knows. So are our own, lest what one
// session's process says close the link for all of them.
import { WebSocket } from "ws";
import { readAs } from "../../contracts/read-as.js";
import {
  type FromAgent,
  fromAgent,
  protocolVersions,
  signallingLimits,
  type ToAgent,
  toAgent,
  unframeControl,
  versionHeader,
} from "../../contracts/signalling.js";
import { dialledAtHeader, streamingSockets } from "../../contracts/streaming.js";
import { fillPath } from "../../platform/client.js";
import { backoffMs, type Clock } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import type { Identity } from "./identity.js";
import { backoff, pause } from "./retry.js";

const linkLimits = {
  handshakeMsMax: 5_000,
  closeMsMax: 500,
  settledMs: 5_000,
  // A player's message of the largest size, wrapped once more.
  messageBytesMax: 2 * signallingLimits.messageBytesMax,
  bufferedBytesMax: 1024 * 1024,
} as const;

export interface LinkContext {
  readonly vmId: string;
  /** One or more. */
  readonly streamingUrls: () => Promise<readonly string[]>;
  readonly identity: Identity;
  /** What every new link is told first. */
  readonly greeting: () => FromAgent[];
  readonly receive: (message: Exclude<ToAgent, { type: "ping" }>) => void;
  readonly receiveControl: (connectionId: string, input: Uint8Array) => void;
  /** Ingest is there. */
  readonly heard: () => void;
  readonly monotonicMs: () => number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export class AgentLink {
  #open: WebSocket | null = null;
  #url: string | null = null;
  #dialledAtMs = 0;

  constructor(private readonly context: LinkContext) {}

  /** Keeps a link until the signal. */
  async run(): Promise<void> {
    const { random, log, signal } = this.context;
    let failures = 0;
    while (!signal.aborted) {
      const { lastedMs, why } = await this.#dial();
      if (signal.aborted) return;
      const opened = lastedMs > 0;
      // One that ingest closes at once, over and over, is no better than none.
      failures = lastedMs > linkLimits.settledMs ? 0 : failures + 1;
      const waitMs = backoffMs(failures, random(), backoff);
      log.warn({ why, waitMs }, opened ? "link to streaming lost" : "no link to streaming yet");
      await pause(waitMs, signal);
    }
  }

  /** Dropped when there is no link. */
  send(message: FromAgent): void {
    if (this.#open !== null) this.#write(this.#open, message);
  }

  #write(socket: WebSocket, message: FromAgent): void {
    if (socket.bufferedAmount > linkLimits.bufferedBytesMax) {
      socket.terminate();
      return;
    }
    const text = JSON.stringify(message);
    const wrong = readAs(fromAgent, message).error ?? tooLong(text);
    if (wrong === null) socket.send(text);
    else this.context.log.error({ err: wrong, type: message.type }, "this is no message for ingest: it is not sent");
  }

  /** One link from dialling to its end. */
  async #dial(): Promise<{ lastedMs: number; why: string }> {
    const { vmId, streamingUrls, identity, greeting, heard, monotonicMs, clock, random, log, signal } = this.context;
    let url: URL;
    let token: string;
    try {
      this.#url = anotherUrl(await streamingUrls(), this.#url, random());
      url = new URL(fillPath(streamingSockets.agent, { vmId }), this.#url);
      token = await identity.bearer();
    } catch (error) {
      return { lastedMs: 0, why: String(error) };
    }
    if (signal.aborted) return { lastedMs: 0, why: "stopped" };
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    // The later of two links counts, by this number: it never goes back, whatever the clock does.
    this.#dialledAtMs = Math.max(this.#dialledAtMs + 1, clock.now());
    const socket = new WebSocket(url, {
      headers: {
        authorization: `Bearer ${token}`,
        [versionHeader]: String(protocolVersions.newest),
        [dialledAtHeader]: String(this.#dialledAtMs),
      },
      handshakeTimeout: linkLimits.handshakeMsMax,
      maxPayload: linkLimits.messageBytesMax,
      perMessageDeflate: false,
    });
    let openedAtMs: number | null = null;
    let why = "";
    let aliveAtMs = monotonicMs();
    const alive = () => {
      aliveAtMs = monotonicMs();
      heard();
    };
    const pings = setInterval(() => {
      if (monotonicMs() - aliveAtMs > signallingLimits.silenceMsMax) socket.terminate();
      else if (openedAtMs !== null) socket.ping();
    }, signallingLimits.pingMs);
    let told = false;
    const unknown = (err: Error) => {
      if (!told) log.warn({ err }, "ingest sends messages this agent does not know");
      told = true;
    };
    let insist: NodeJS.Timeout | undefined;
    const stop = () => {
      if (openedAtMs === null) return socket.terminate();
      socket.close(1001);
      insist = setTimeout(() => socket.terminate(), linkLimits.closeMsMax);
    };
    signal.addEventListener("abort", stop);

    socket.on("open", () => {
      openedAtMs = monotonicMs();
      this.#open = socket;
      alive();
      log.info({ url: url.href }, "link to streaming open");
      for (const message of greeting()) this.#write(socket, message);
    });
    socket.on("pong", alive);
    socket.on("ping", alive);
    socket.on("message", (data, isBinary) => {
      alive();
      this.#receive(socket, data as Buffer, isBinary, unknown);
    });
    socket.on("unexpected-response", (request, response) => {
      why = `answered ${response.statusCode}`;
      if (response.statusCode === 401 || response.statusCode === 403) identity.invalidate();
      response.resume();
      request.destroy();
      socket.terminate();
    });
    socket.on("error", (error) => {
      why ||= error.message;
    });
    return new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        clearInterval(pings);
        clearTimeout(insist);
        signal.removeEventListener("abort", stop);
        if (this.#open === socket) this.#open = null;
        const lastedMs = openedAtMs === null ? 0 : Math.max(1, monotonicMs() - openedAtMs);
        resolve({ lastedMs, why: why || `closed with ${code} ${reason.toString()}`.trim() });
      });
    });
  }

  #receive(socket: WebSocket, bytes: Buffer, isBinary: boolean, unknown: (error: Error) => void): void {
    const { receive, receiveControl } = this.context;
    if (isBinary) {
      const control = unframeControl(bytes);
      if (control !== null) receiveControl(control.connectionId, control.input);
      return;
    }
    const message = readAs(toAgent, parseJson(bytes.toString("utf8")));
    if (!message.success) unknown(message.error);
    else if (message.data.type === "ping") this.#write(socket, { type: "pong" });
    else receive(message.data);
  }
}

/** Any of them, but the last one only if there is no other. `random` in [0, 1). */
export function anotherUrl(urls: readonly string[], lastUrl: string | null, random: number): string {
  const others = urls.filter((url) => url !== lastUrl);
  const from = others.length > 0 ? others : urls;
  const url = from[Math.floor(random * from.length)];
  if (url === undefined) throw new Error("there is at least one streaming URL");
  return url;
}

const tooLong = (text: string) =>
  Buffer.byteLength(text) > signallingLimits.messageBytesMax ? new RangeError("it is too long") : null;

/** Undefined, which no message is, when the text is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
