// A client of the X server that makes input, and nothing else: it connects, finds the XTEST extension, and sends fake
// key, button and motion events. Three requests of the X11 protocol (X Window System Protocol §8, XTEST Library §4), so
// no library is worth its weight here.
//
// Requests are written as they come; the server acts on them in order, before it draws another frame for the game.
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";

/** What XTEST is told: `code` is an X keycode or button number. */
export type FakeInput =
  | { readonly kind: "key"; readonly code: number; readonly down: boolean }
  | { readonly kind: "button"; readonly code: number; readonly down: boolean }
  | { readonly kind: "move-by"; readonly x: number; readonly y: number }
  | { readonly kind: "move-to"; readonly x: number; readonly y: number };

/** The X server refused the connection, lacks XTEST, or closed it. */
export class XServerError extends Error {
  override name = "XServerError";
}

const littleEndian = 0x6c;
const setupBytes = 8;
const packetBytes = 32;
const queryExtension = 98;
const fakeInputMinor = 2;
const eventTypes = { key: [3, 2], button: [5, 4], motion: 6 } as const;

export class XClient {
  readonly #socket: Socket;
  readonly #xtest: number;

  private constructor(socket: Socket, xtest: number) {
    this.#socket = socket;
    this.#xtest = xtest;
    // Nothing is asked after this; errors about a single event concern nobody, the end of the server its owner notices.
    socket.on("error", () => {});
    socket.resume();
  }

  /** @throws XServerError */
  static async connect(socketPath: string): Promise<XClient> {
    const socket = createConnection(socketPath);
    try {
      await once(socket, "connect");
      const received = reader(socket);
      const setup = Buffer.alloc(12);
      setup.writeUInt8(littleEndian, 0);
      setup.writeUInt16LE(11, 2);
      socket.write(setup);
      const head = await received(setupBytes);
      await received(head.readUInt16LE(6) * 4);
      if (head.readUInt8(0) !== 1) throw new XServerError("the X server refuses the connection");
      const name = "XTEST";
      const query = Buffer.alloc(16);
      query.writeUInt8(queryExtension, 0);
      query.writeUInt16LE(query.length / 4, 2);
      query.writeUInt16LE(name.length, 4);
      query.write(name, 8, "latin1");
      socket.write(query);
      const answer = await received(packetBytes);
      if (answer.readUInt8(0) !== 1 || answer.readUInt8(8) !== 1) throw new XServerError("the X server has no XTEST");
      socket.removeAllListeners("readable");
      return new XClient(socket, answer.readUInt8(9));
    } catch (error) {
      socket.destroy();
      if (error instanceof XServerError) throw error;
      throw new XServerError("the X server does not answer", { cause: error });
    }
  }

  send(input: FakeInput): void {
    const request = Buffer.alloc(36);
    request.writeUInt8(this.#xtest, 0);
    request.writeUInt8(fakeInputMinor, 1);
    request.writeUInt16LE(request.length / 4, 2);
    if (input.kind === "key" || input.kind === "button") {
      request.writeUInt8(eventTypes[input.kind][input.down ? 1 : 0], 4);
      request.writeUInt8(input.code, 5);
    } else {
      request.writeUInt8(eventTypes.motion, 4);
      request.writeUInt8(input.kind === "move-by" ? 1 : 0, 5);
      request.writeInt16LE(input.x, 24);
      request.writeInt16LE(input.y, 26);
    }
    this.#socket.write(request);
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** Reads exactly so many bytes at a time. */
function reader(socket: Socket): (bytes: number) => Promise<Buffer> {
  return async (bytes) => {
    if (bytes === 0) return Buffer.alloc(0);
    for (;;) {
      const chunk: Buffer | null = socket.read(bytes);
      if (chunk !== null && chunk.length === bytes) return chunk;
      if (socket.readableEnded || socket.destroyed) throw new XServerError("the X server closed the connection");
      await once(socket, "readable");
    }
  };
}
