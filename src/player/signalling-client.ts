// The signalling socket: typed messages in both directions, kept open for as long as the player lives.
//
// Guarantees: every socket starts with a hello; a socket that is silent for `silenceMsMax` is replaced; a lost one is
// opened again with back-off. What page and machine say to each other is on a line (contracts/line.ts), which goes on
// through all sockets that resume it: said while there is none, it is said by the next. It does not decide what a
// message means, nor when to give up: its owner does.
import { acknowledge, hear, type LineEnd, type LineState, openLineEnd, say, unackedOf } from "../contracts/line.js";
import { readAs } from "../contracts/read-as.js";
import {
  closeCodes,
  type FromPlayer,
  type Hello,
  protocolVersions,
  signallingLimits,
  type ToPlayer,
  toPlayer,
} from "../contracts/signalling.js";
import type { Credential } from "./api.js";
import { retryDelayMs } from "./recovery.js";

/** No close frame was received (RFC 6455 §7.1.5). */
const closedAbnormally = 1006;
/** A socket that answers no ping for so long, when something says that its way is gone, is not waited for. */
const probeMsMax = 700;

/** What the machine is told, by whichever socket. */
export type Said = Extract<FromPlayer, { type: "offer" | "candidate" | "bye" }>;
/** What is not this file's own business. */
export type Heard = Exclude<ToPlayer, { type: "ack" | "resumed" | "pong" }>;

export interface SignallingHandlers {
  /** What to open with, asked anew for each socket. */
  credential(): Credential;
  /** `goesOn`, of a welcome: the line does, and what was under way on it will arrive. */
  message(message: Heard, goesOn: boolean): void;
  /** The socket is gone, for `downMs` now. True: try again. */
  closed(code: number, downMs: number): boolean;
}

export class SignallingClient {
  #socket: WebSocket | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #probe: ReturnType<typeof setTimeout> | undefined;
  #welcomed = false;
  #heardAt = 0;
  #attempt = 0;
  #downSince: number;
  /** Null before the machine has named it, and where it numbers nothing. */
  #lineId: string | null = null;
  #line: LineEnd<Said> = openLineEnd;
  #numbers = true;
  /** `lastSaid` at the heartbeat before. */
  #saidAtBeat = -1;

  constructor(
    /** Asked anew for each socket. */
    private readonly url: () => string,
    private readonly handlers: SignallingHandlers,
  ) {
    this.#downSince = performance.now();
  }

  /** Opens a socket now, instead of the one there may be. */
  open(): void {
    this.#drop();
    const socket = new WebSocket(this.url());
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.onopen = () => this.#write(this.#hello());
    socket.onmessage = ({ data }: MessageEvent) => this.#receive(data);
    socket.onclose = ({ code }) => this.#lost(code);
    this.#heartbeat = setInterval(() => this.#beat(), signallingLimits.pingMs);
  }

  /** Gives the socket up, and opens another after a pause. */
  openAfter(delayMs: number): void {
    this.#drop();
    this.#retry = setTimeout(() => this.open(), delayMs);
  }

  /** Something says that the way is gone: opens a socket now if there is none, or soon if nothing comes by this one. */
  probe(): void {
    if (this.#retry !== undefined) this.open();
    else if (this.isOpen && this.#probe === undefined) {
      const askedAt = performance.now();
      this.#write({ type: "ping" });
      this.#probe = setTimeout(() => {
        this.#probe = undefined;
        if (this.#heardAt < askedAt) this.open();
      }, probeMsMax);
    }
  }

  /** Whether the machine has accepted this socket. */
  get isWelcome(): boolean {
    return this.#welcomed && this.isOpen;
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Says it to the machine, now or by the next socket; its number, null where nothing is numbered. */
  say(message: Said): number | null {
    if (!this.#numbers) {
      this.#write(message);
      return null;
    }
    const line = say(this.#line, message);
    if (line === null) {
      // Nobody acks: the other end is not what it seems. Another line, by another socket.
      this.#restart(null);
      this.#lost(closedAbnormally);
      return null;
    }
    this.#line = line;
    this.#write({ ...message, seq: line.lastSaid });
    return line.lastSaid;
  }

  /** It is about now: said by the socket there is, or not at all. */
  report(report: Extract<FromPlayer, { type: "report" }>): void {
    this.#write(report);
  }

  close(): void {
    this.#drop();
  }

  #write(message: FromPlayer | Hello): void {
    if (this.isOpen) this.#socket?.send(JSON.stringify(message));
  }

  #hello(): Hello {
    const credential = this.handlers.credential();
    const version = protocolVersions.newest;
    // A ticket begins anew whatever was before.
    if ("ticket" in credential) this.#restart(null);
    if ("ticket" in credential || this.#lineId === null) return { type: "hello", version, ...credential };
    const line = { id: this.#lineId, received: this.#line.received };
    return { type: "hello", version, ...credential, line };
  }

  /** Another line, from 1 again. What was said on the one before was about it; but a goodbye stays one. */
  #restart(id: string | null): void {
    const goodbye = this.#line.unacked.find(({ type }) => type === "bye");
    this.#lineId = id;
    this.#line = (goodbye && say<Said>(openLineEnd, goodbye)) ?? openLineEnd;
  }

  /** The machine says how far it heard: the rest is said again. True when the line it was goes on. */
  #resume(line: LineState | undefined): boolean {
    this.#numbers = line !== undefined;
    const goesOn = line !== undefined && line.id === this.#lineId;
    if (!goesOn) this.#restart(line?.id ?? null);
    this.#line = acknowledge(this.#line, line?.received ?? 0);
    this.#sayAgain();
    return goesOn;
  }

  /** Whether a message is new: always, where it has no number. */
  #isNew(message: Heard): boolean {
    if (!("seq" in message) || message.seq === undefined) return true;
    const { end, isNext } = hear(this.#line, message.seq);
    this.#line = end;
    if (isNext) this.#write({ type: "ack", received: end.received });
    return isNext;
  }

  #receive(data: unknown): void {
    this.#heardAt = performance.now();
    const message = parse(data);
    if (message === null) {
      this.#lost(closeCodes.badMessage);
      return;
    }
    // Anything the server says after the hello is progress: start over with short delays next time.
    if (message.type !== "problem") {
      this.#attempt = 0;
      this.#downSince = this.#heardAt;
    }
    switch (message.type) {
      case "ack":
        this.#line = acknowledge(this.#line, message.received);
        break;
      case "resumed":
        this.#resume(message.line);
        break;
      case "pong":
        break;
      case "welcome":
        this.#welcomed = true;
        this.handlers.message(message, this.#resume(message.line));
        break;
      default:
        if (this.#isNew(message)) this.handlers.message(message, false);
    }
  }

  #beat(): void {
    if (performance.now() - this.#heardAt > signallingLimits.silenceMsMax) this.#lost(closedAbnormally);
    else this.#write({ type: "ping" });
    if (this.#lineId !== null && this.#welcomed) this.#compareNotes();
  }

  /** A bus between two nodes may lose a message without anybody noticing: what is unacked for a whole beat is said again. */
  #compareNotes(): void {
    const { lastSaid, received, unacked } = this.#line;
    this.#write({ type: "ack", received });
    if (unacked.length > 0 && this.#saidAtBeat === lastSaid) this.#sayAgain();
    this.#saidAtBeat = lastSaid;
  }

  #sayAgain(): void {
    for (const { seq, message } of unackedOf(this.#line)) this.#write({ ...message, ...(this.#numbers && { seq }) });
  }

  #lost(code: number): void {
    this.#drop();
    if (!this.handlers.closed(code, performance.now() - this.#downSince)) return;
    this.openAfter(retryDelayMs(this.#attempt++, Math.random()));
  }

  #drop(): void {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#retry);
    clearTimeout(this.#probe);
    this.#retry = this.#probe = undefined;
    this.#welcomed = false;
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }
}

function parse(data: unknown): ToPlayer | null {
  if (typeof data !== "string" || data.length > signallingLimits.messageBytesMax) return null;
  try {
    const parsed = readAs(toPlayer, JSON.parse(data));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
