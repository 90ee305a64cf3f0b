// `hotseat up` as an operator meets it: it says what is wrong, stops without a trace, and survives kill -9.
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import type { Vm } from "../../src/contracts/orchestrator.js";
import type { CreatedSession, Session } from "../../src/contracts/session.js";
import { type RunningHotseat, startUp, until } from "../support/hotseat.js";

const dataDir = mkdtempSync(join(tmpdir(), "hotseat-up-"));
const started: RunningHotseat[] = [];
const start = async (args: string[] = []) => {
  const hotseat = await startUp({ dataDir, args });
  started.push(hotseat);
  return hotseat;
};
afterAll(async () => {
  for (const hotseat of started) await hotseat[Symbol.asyncDispose]();
  rmSync(dataDir, { recursive: true, force: true });
});

const call = async <T>(hotseat: RunningHotseat, path: string, init: RequestInit = {}): Promise<T> => {
  const response = await fetch(hotseat.url + path, {
    ...init,
    headers: {
      authorization: `Bearer ${hotseat.key("operate")}`,
      ...(init.body ? { "content-type": "application/json" } : {}),
    },
  });
  return (await response.json()) as T;
};
const vms = async (hotseat: RunningHotseat) => (await call<{ vms: Vm[] }>(hotseat, "/api/orchestrator/v1/vm")).vms;
const readyVm = (hotseat: RunningHotseat) =>
  until("a VM is ready", async () => (await vms(hotseat)).find(({ status }) => status === "READY"));

describe("a start", () => {
  it("of a first time ends in a link, with a machine ready", async () => {
    const hotseat = await start();
    expect(hotseat.link).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#key=hs_session_/);
    await readyVm(hotseat);
  });

  it("on the same data folder twice says that it runs already", async () => {
    await expect(startUp({ dataDir })).rejects.toThrow(/runs here already \(process \d+\)/);
  });

  it("on a port in use says so, and leaves nothing behind", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    const { port } = holder.address() as { port: number };
    const other = mkdtempSync(join(tmpdir(), "hotseat-port-"));
    try {
      await expect(startUp({ dataDir: other, args: ["--port", String(port)] })).rejects.toThrow(
        new RegExp(`Port ${port} is in use`),
      );
    } finally {
      holder.close();
      rmSync(other, { recursive: true, force: true });
    }
  });

  it("with a wrong setting names every one", async () => {
    await expect(startUp({ args: ["--port", "70000", "--public-url", "nowhere"] })).rejects.toThrow(
      /port:[\s\S]*publicUrl:/,
    );
  });
});

describe("after kill -9 of everything", () => {
  it("the next start has every acknowledged session and VM, and ends what is no longer there", async () => {
    const hotseat = started[0]!;
    const session = await call<CreatedSession>(hotseat, "/api/session/v1", {
      method: "POST",
      body: JSON.stringify({ gameId: "demo", client: "api" }),
    });
    expect(session.status).toBe("READY");
    for (const { pid } of hotseat.processes()) process.kill(pid, "SIGKILL");
    await until("everything is dead", () => hotseat.processes().length === 0 || undefined);

    const again = await start(["--warm", "0"]);
    const kept = await call<Session>(again, `/api/session/v1/${session.sessionId}`);
    expect(kept).toMatchObject({ sessionId: session.sessionId, gameId: "demo" });
    const lost = await until("the dead VM is ended", async () =>
      (await vms(again)).find(({ vmId, status }) => vmId === session.vmId && status === "TERMINATED"),
    );
    expect(lost.sessions).toStrictEqual([]);
    // Placed once more: it gets a seat on a VM made for it.
    await until("the session has a seat again", async () => {
      const { status, vmId } = await call<Session>(again, `/api/session/v1/${session.sessionId}`);
      return (status === "READY" && vmId !== session.vmId) || undefined;
    });
  });

  it("of hotseat alone, the machine it had started is adopted", async () => {
    const hotseat = started.at(-1)!;
    const before = (await vms(hotseat)).find(({ status }) => status === "READY" || status === "IN_USE")!;
    await hotseat.kill();
    expect(
      hotseat.processes().some(({ command }) => command.includes(" agent ")),
      "the agent lives on",
    ).toBe(true);
    const again = await start();
    const after = await until("the VM is reachable", async () =>
      (await vms(again)).find(
        ({ vmId, reachable, status }) => vmId === before.vmId && reachable && status !== "TERMINATED",
      ),
    );
    expect(after.createdAt).toBe(before.createdAt);
    expect((await vms(again)).filter(({ status }) => status !== "TERMINATED" && status !== "TEMPLATE")).toHaveLength(1);
  });
});

describe("Ctrl-C", () => {
  it("is not held up by sockets that were never to be", async () => {
    const hotseat = started.at(-1)!;
    for (const path of ["session/%ff/signalling", "session/x/nothing", "agent/vm"]) {
      const socket = new WebSocket(`${hotseat.url.replace("http", "ws")}/api/streaming/v1/${path}`);
      socket.on("error", () => {});
      const [, response] = await once(socket, "unexpected-response");
      expect([401, 404]).toContain(response.statusCode);
    }
    const askedAt = performance.now();
    expect(await hotseat.interrupt()).toBe(0);
    expect(performance.now() - askedAt).toBeLessThan(5_000);
    expect(hotseat.processes()).toStrictEqual([]);
    await start(["--warm", "0"]);
  });

  it("leaves no process, and the next start picks the state up", async () => {
    const hotseat = started.at(-1)!;
    const sessions = await call<{ sessions: Session[] }>(hotseat, "/api/session/v1");
    expect(await hotseat.interrupt()).toBe(0);
    for (const earlier of started) expect(earlier.processes()).toStrictEqual([]);

    const again = await start(["--warm", "0"]);
    const after = await call<{ sessions: Session[] }>(again, "/api/session/v1");
    expect(after.sessions.map(({ sessionId }) => sessionId)).toStrictEqual(
      sessions.sessions.map(({ sessionId }) => sessionId),
    );
    expect(await again.interrupt()).toBe(0);
  });
});
