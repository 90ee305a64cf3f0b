// The least a relay can be: sockets by `ws`, and what one end of a pair says is sent to the other as it is.
import { once } from "node:events";
import { type WebSocket, WebSocketServer } from "ws";

/** A process of its own: says its URL, then forwards until it is killed. */
export async function forward(): Promise<void> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  await once(server, "listening");
  const agents = new Map<string, WebSocket>();
  const players = new Map<string, WebSocket>();
  server.on("connection", (socket, request) => {
    const [, kind = "", pair = ""] = (request.url ?? "").split("/");
    if (kind === "agent") {
      agents.set(pair, socket);
      socket.on("message", (message, binary) => players.get(pair)?.send(message, { binary }));
    } else {
      if (kind === "signalling") players.set(pair, socket);
      socket.on("message", (message, binary) => agents.get(pair)?.send(message, { binary }));
    }
  });
  const { port } = server.address() as { port: number };
  process.send?.(`http://127.0.0.1:${port}`);
}
