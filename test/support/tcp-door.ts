// One address for whichever process answers behind it: what a load balancer is to a fleet. Points at one port at a time.

import { once } from "node:events";
import { createServer, type Socket, connect as tcpConnect } from "node:net";

export interface TcpDoor extends AsyncDisposable {
  readonly url: string;
  /** Connections that are made from now on go there. */
  to(port: number): void;
}

export async function openTcpDoor(): Promise<TcpDoor> {
  let port = 0;
  const open = new Set<Socket>();
  const server = createServer((outer) => {
    const inner = tcpConnect(port, "127.0.0.1");
    for (const [one, other] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      open.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    to: (next) => {
      port = next;
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
