// The signalling socket: typed messages in both directions, kept open for as long as the player lives.
//
// Guarantees: every socket starts with a hello; a socket that is silent for `silenceMsMax` is replaced; a lost one is
// opened again with back-off. It does not decide what a message means, nor when to give up: its owner does.
import {
  closeCodes,
  type FromPlayer,
  type Hello,
  signallingLimits,
  type ToPlayer,
  toPlayer,
} from "../contracts/signalling.js";
import { retryDelayMs } from "./recovery.js";

/** No close frame was received (RFC 6455 §7.1.5). */
const closedAbnormally = 1006;

export interface SignallingHandlers {
  /** The credential to open with, asked anew for each socket. */
  hello(): Hello;
  message(message: ToPlayer): void;
  /** The socket is gone, for `downMs` now. True: try again. */
  closed(code: number, downMs: number): boolean;
}

export class SignallingClient {
  #socket: WebSocket | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #heardAt = 0;
  #attempt = 0;
  #downSince: number;

  constructor(
    private readonly url: string,
    private readonly handlers: SignallingHandlers,
  ) {
    this.#downSince = performance.now();
  }

  /** Opens a socket now, instead of the one there may be. */
  open(): void {
    this.#drop();
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.onopen = () => this.#write(this.handlers.hello());
    socket.onmessage = ({ data }: MessageEvent) => this.#receive(data);
    socket.onclose = ({ code }) => this.#lost(code);
    this.#heartbeat = setInterval(() => this.#beat(), signallingLimits.pingMs);
  }

  /** Gives the socket up, and opens another after a pause. */
  openAfter(delayMs: number): void {
    this.#drop();
    this.#retry = setTimeout(() => this.open(), delayMs);
  }

  /** Opens a socket now if there is none: the network came back. */
  wake(): void {
    if (this.#retry !== undefined) this.open();
  }

  /** False when the socket is not open: the message is not sent, nor kept. */
  send(message: FromPlayer): boolean {
    return this.#write(message);
  }

  close(): void {
    this.#drop();
  }

  #write(message: FromPlayer | Hello): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
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
    this.handlers.message(message);
  }

  #beat(): void {
    if (performance.now() - this.#heardAt > signallingLimits.silenceMsMax) this.#lost(closedAbnormally);
    else this.#write({ type: "ping" });
  }

  #lost(code: number): void {
    this.#drop();
    if (!this.handlers.closed(code, performance.now() - this.#downSince)) return;
    this.openAfter(retryDelayMs(this.#attempt++, Math.random()));
  }

  #drop(): void {
    clearInterval(this.#heartbeat);
    clearTimeout(this.#retry);
    this.#retry = undefined;
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
    const parsed = toPlayer.safeParse(JSON.parse(data));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}
