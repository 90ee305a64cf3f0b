// Sends bad messages over as many sockets as it takes, each message once the one before has been taken in: what a socket
// is closed for is what it was sent, and every message counted has reached the other side's parser.
import { once } from "node:events";
import { type ClientOptions, WebSocket } from "ws";
import type { Fuzzed } from "../fuzz/messages.js";

/** How one socket ended. */
export interface End {
  readonly code: number;
  readonly reason: string;
  /** What it was told last, as JSON. */
  readonly lastWords: unknown;
  /** What it had said last. */
  readonly said: Fuzzed | undefined;
}

export interface Bombardment {
  readonly message: () => Fuzzed;
  readonly count: number;
  readonly lanes: number;
  readonly perSocket: number;
  /** Where to, and what is said before the messages; asked for each socket. */
  readonly target: (lane: number) => Promise<{ url: string; options?: ClientOptions; first?: string }>;
  readonly ended: (end: End) => void;
}

export async function bombard({ message, count, lanes, perSocket, target, ended }: Bombardment): Promise<void> {
  let next = 0;
  const attack = async (lane: number) => {
    while (next < count) {
      const { url, options, first } = await target(lane);
      // Strangers are counted by address: these are as many as there are lanes, and more.
      const localAddress = `127.0.${1 + (next % 200)}.${2 + lane}`;
      const socket = new WebSocket(url, { perMessageDeflate: false, localAddress, ...options });
      let lastWords: unknown;
      let said: Fuzzed | undefined;
      socket.on("message", (bytes: Buffer, isBinary) => {
        if (!isBinary) lastWords = JSON.parse(bytes.toString());
      });
      socket.on("error", () => {});
      const closed = once(socket, "close");
      await Promise.race([once(socket, "open"), closed]);
      if (first !== undefined) socket.send(first);
      for (let i = 0; i < perSocket && next < count && socket.readyState === WebSocket.OPEN; i++) {
        next++;
        said = message();
        socket.send(said);
        await takenIn(socket);
      }
      socket.close(1000);
      const [code, reason] = await closed;
      ended({ code, reason: reason.toString(), lastWords, said });
    }
  };
  try {
    await Promise.all(Array.from({ length: lanes }, (_, lane) => attack(lane)));
  } finally {
    next = count;
  }
}

/** Messages and pings are read in order: the pong says that what came before was heard. */
function takenIn(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off("pong", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("pong", done);
    socket.on("close", done);
    socket.ping();
  });
}
