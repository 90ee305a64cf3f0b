// Both ends of streaming-ingest as tests play them: lines whose messages can be awaited, and an agent that behaves.
import { once } from "node:events";
import { WebSocket } from "ws";
import type { z } from "zod";
import {
  type FromAgent,
  type FromPlayer,
  type Hello,
  type StreamInfo,
  type ToAgent,
  type ToPlayer,
  toAgent,
  unframeControl,
} from "../../src/contracts/signalling.js";
import { streamingSockets } from "../../src/contracts/streaming.js";
import type { Authenticator } from "../../src/platform/auth.js";
import { fillPath } from "../../src/platform/client.js";

/** One end of a WebSocket whose messages can be awaited. */
export class Line<Said extends { type: string }, Says> {
  readonly closed: Promise<number>;
  readonly said: Said[] = [];
  #taken = 0;
  #wake: (() => void)[] = [];

  constructor(
    readonly socket: WebSocket,
    schema: z.ZodType<Said>,
    onBinary: (bytes: Uint8Array) => void = () => {},
  ) {
    this.closed = once(socket, "close").then(([code]) => code as number);
    socket.on("error", () => {});
    socket.on("message", (bytes: Buffer, isBinary) => {
      if (isBinary) return onBinary(bytes);
      this.said.push(schema.parse(JSON.parse(bytes.toString())));
      for (const wake of this.#wake.splice(0)) wake();
    });
  }

  say(message: Says): void {
    this.socket.send(JSON.stringify(message));
  }

  /** The next message of that type; others before it are passed over. */
  async next<T extends Said["type"]>(type: T, also: (message: Said) => boolean = () => true) {
    for (;;) {
      const at = this.said.findIndex((message, i) => i >= this.#taken && message.type === type && also(message));
      if (at !== -1) {
        this.#taken = at + 1;
        return this.said[at] as Extract<Said, { type: T }>;
      }
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  async leave(): Promise<void> {
    this.socket.close();
    await this.closed;
  }
}

export type PlayerLine = Line<ToPlayer, FromPlayer | Hello>;

const stream: StreamInfo = {
  gameId: "demo",
  title: "Demo",
  asked: { width: 1280, height: 720, fps: 60 },
  mode: { width: 1280, height: 720, fps: 60 },
  encoder: "libx264",
  why: null,
  pointer: "relative",
};

/**
 * An agent as ingest sees it: consumes tickets once, hands out resume secrets, lets the newest connection take over. Like
 * the real one it hears only the link it dialled last: an older one that ingest still has is as good as dead.
 */
export class TestAgent {
  line!: Line<ToAgent, FromAgent>;
  readonly inputs: Uint8Array[] = [];
  /** To every offer. */
  answerSdp = "the answer";
  readonly #usedJtis = new Set<string>();
  readonly #resumes = new Map<string, string>();
  readonly #signalling = new Map<string, string>();
  #secrets = 0;
  #wake: (() => void)[] = [];

  constructor(
    readonly vmId: string,
    private readonly streamingUrl: string,
    private readonly authenticator: Authenticator,
  ) {}

  /** At the node it knows, or at another. */
  async link(streamingUrl = this.streamingUrl): Promise<void> {
    const url = streamingUrl.replace("http", "ws") + fillPath(streamingSockets.agent, { vmId: this.vmId });
    const authorization = `Bearer ${await this.authenticator.mintAgentToken(this.vmId, 1)}`;
    const socket = new WebSocket(url, { headers: { authorization } });
    const line = new Line<ToAgent, FromAgent>(socket, toAgent, (bytes) => {
      const framed = this.line === line ? unframeControl(bytes) : null;
      if (framed !== null) this.inputs.push(Uint8Array.from(framed.input));
      for (const wake of this.#wake.splice(0)) wake();
    });
    this.line = line;
    socket.on("message", (bytes: Buffer, isBinary) => {
      if (!isBinary && this.line === line) this.#hear(toAgent.parse(JSON.parse(bytes.toString())));
    });
    await once(socket, "open");
  }

  report(sessionId: string, state: Extract<FromAgent, { type: "session" }>["state"]): void {
    this.line.say({ type: "session", sessionId, state });
  }

  async nextInputs(count: number): Promise<Uint8Array[]> {
    while (this.inputs.length < count) await new Promise<void>((resolve) => this.#wake.push(resolve));
    return this.inputs.splice(0, count);
  }

  #hear(message: ToAgent): void {
    if (message.type === "ping") this.line.say({ type: "pong" });
    else if (message.type === "join") this.#join(message);
    else if (message.type === "bye") this.report(message.sessionId, "left");
    else if (message.type === "signal" && message.message.type === "offer") {
      const { connectionId } = message;
      this.line.say({ type: "signal", connectionId, message: { type: "answer", sdp: this.answerSdp } });
    }
  }

  #join({ sessionId, connectionId, channel, proof }: Extract<ToAgent, { type: "join" }>): void {
    const refuse = (id: string, reason: Extract<FromAgent, { type: "refused" }>["reason"]) =>
      this.line.say({ type: "refused", connectionId: id, reason, detail: reason });
    if ("jti" in proof) {
      if (this.#usedJtis.has(proof.jti)) {
        refuse(connectionId, "ticket-used");
        return;
      }
      this.#usedJtis.add(proof.jti);
    } else if (this.#resumes.get(sessionId) !== proof.resume) {
      refuse(connectionId, "resume-wrong");
      return;
    }
    if (channel === "signalling") {
      const older = this.#signalling.get(sessionId);
      if (older !== undefined && older !== connectionId) refuse(older, "taken-over");
      this.#signalling.set(sessionId, connectionId);
      this.#resumes.set(sessionId, `resume-${this.vmId}-${++this.#secrets}`);
    }
    this.line.say({ type: "joined", connectionId, resume: this.#resumes.get(sessionId)!, stream });
  }
}
