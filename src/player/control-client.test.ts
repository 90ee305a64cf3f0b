import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { closeCodes, signallingLimits } from "../contracts/signalling.js";
import { ControlClient } from "./control-client.js";
import { retryDelayMs } from "./recovery.js";

let server: WebSocketServer;
let client: ControlClient;
beforeAll(async () => {
  Object.assign(globalThis, { WebSocket });
  server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
});
afterAll(() => server.close());
afterEach(() => {
  client.close();
  vi.restoreAllMocks();
});

it("a socket that is refused comes back later each time, until one has lived", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0);
  const waits = vi.spyOn(globalThis, "setTimeout");
  client = new ControlClient(
    () => `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    () => "secret",
    () => {},
  );
  const hello = async () => {
    const [socket] = (await once(server, "connection")) as [WebSocket];
    await once(socket, "message");
    return socket;
  };
  for (let refusal = 0; refusal < 3; refusal++) (await hello()).close(closeCodes.unavailable);
  const accepted = await hello();
  const nowMs = performance.now() + signallingLimits.helloMsMax;
  vi.spyOn(performance, "now").mockReturnValue(nowMs);
  accepted.close(1001);
  await hello();
  const delays = waits.mock.calls.map(([, delayMs]) => delayMs);
  const retries = delays.filter((delayMs) => delayMs !== undefined && delayMs <= retryDelayMs(10, 0));
  expect(retries).toEqual([0, 1, 2, 0].map((attempt) => retryDelayMs(attempt, 0)));
});
