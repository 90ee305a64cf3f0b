// Moves bytes: one WebSocket with its limits kept. Knows nothing of what is said.
//
// A peer that is silent for too long (not even a pong), or does not read what it is sent, is cut off without ceremony:
// nothing sent would reach it. One that sends too fast is reported, once, and not listened to any more.
import type { RawData, WebSocket } from "ws";
import type { Clock } from "../../platform/clock.js";
import { RateLimit } from "./rate-limit.js";

export interface SocketLimits {
  readonly pingMs: number;
  readonly silenceMs: number;
  readonly messagesPerSecond: number;
  readonly bufferedBytesMax: number;
}

export interface SocketEvents {
  text(message: string): void;
  binary(message: Uint8Array): void;
  tooFast(): void;
  /** Once, whoever closed it. */
  closed(): void;
  /** A look at the peer is due: default, a WebSocket ping. */
  ping?(): void;
}

export interface OpenSocket {
  /** False when it was not sent, because the socket is closing or its peer does not read. */
  send(message: object | Uint8Array): boolean;
  close(code: number, reason: string): void;
}

const closeReasonBytesMax = 123;

export function openSocket(socket: WebSocket, limits: SocketLimits, clock: Clock, events: SocketEvents): OpenSocket {
  const rate = new RateLimit(limits.messagesPerSecond, clock.now());
  let heardAt = clock.now();
  let listening = true;
  const heard = () => {
    heardAt = clock.now();
  };
  const pinger = setInterval(() => {
    if (clock.now() - heardAt > limits.silenceMs) socket.terminate();
    else if (events.ping === undefined) socket.ping();
    else events.ping();
  }, limits.pingMs);
  socket.on("pong", heard);
  socket.on("message", (message, isBinary) => {
    heardAt = clock.now();
    if (!listening) return;
    if (!rate.take(heardAt)) {
      listening = false;
      events.tooFast();
    } else if (isBinary) events.binary(bytesOf(message));
    else events.text(bytesOf(message).toString("utf8"));
  });
  // `close` follows every error: a too large message, a broken frame, a lost peer.
  socket.on("error", () => {});
  socket.once("close", () => {
    clearInterval(pinger);
    listening = false;
    events.closed();
  });
  return {
    send(message) {
      if (socket.readyState !== socket.OPEN) return false;
      if (socket.bufferedAmount > limits.bufferedBytesMax) {
        socket.terminate();
        return false;
      }
      socket.send(message instanceof Uint8Array ? message : JSON.stringify(message));
      return true;
    },
    close(code, reason) {
      listening = false;
      socket.close(
        code,
        Buffer.from(reason)
          .subarray(0, closeReasonBytesMax)
          .toString("utf8")
          .replace(/\uFFFD$/, ""),
      );
    },
  };
}

function bytesOf(message: RawData): Buffer {
  if (Array.isArray(message)) return Buffer.concat(message);
  return message instanceof ArrayBuffer ? Buffer.from(message) : message;
}
