// The seed's flow, all nine steps, with each role a process of its own: only the wire is left between them.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CreatedSession, Session } from "../../src/contracts/session.js";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/platform/embedded-postgres.js";
import { createLog } from "../../src/platform/log.js";
import { ensureSecrets, plainKey, type Secrets } from "../../src/platform/secrets.js";
import { openBrowser } from "../support/browser.js";
import { freePort } from "../support/free-port.js";
import { cli, ProcessCensus, until, withMark } from "../support/hotseat.js";
import { shipMovesWith } from "../support/picture.js";
import { play } from "../support/play.js";
import { promtool } from "../support/prometheus.js";

const folder = mkdtempSync(join(tmpdir(), "hotseat-roles-"));
const mark = randomUUID();
const secretsPath = join(folder, "secrets.json");
const settings = join(folder, "settings.json");
let postgres: EmbeddedPostgres;
let secrets: Secrets;
const roles: Record<string, ChildProcess> = {};
const urls = { orchestrator: "", session: "", streaming: "" };

beforeAll(async () => {
  postgres = await startEmbeddedPostgres({
    dataDir: join(folder, "postgres"),
    log: createLog({ name: "t", level: "silent" }),
  });
  secrets = await ensureSecrets(secretsPath);
  for (const role of ["orchestrator", "session", "streaming"] as const)
    urls[role] = `http://127.0.0.1:${await freePort()}`;
  writeFileSync(settings, JSON.stringify(withMark({}, mark)));
  await Promise.all([
    startOrchestrator(),
    start("streaming", ["--session-url", urls.session, "--allow-origin", urls.session]),
    start("session", ["--orchestrator-url", urls.orchestrator, "--streaming-url", urls.streaming]),
  ]);
});
afterAll(async () => {
  for (const child of Object.values(roles)) child.kill("SIGTERM");
  await Promise.all(Object.values(roles).map((child) => child.exitCode ?? once(child, "exit")));
  for (const { pid } of new ProcessCensus(mark, folder).count()) process.kill(pid, "SIGKILL");
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const startOrchestrator = () =>
  start("orchestrator", ["--streaming-url", urls.streaming, "--data", folder, "--config", settings]);

async function start(role: keyof typeof urls, args: string[]): Promise<void> {
  const child = spawn(
    process.execPath,
    [cli, role, "--port", new URL(urls[role]).port, "--secrets", secretsPath, ...args],
    {
      env: { ...process.env, DATABASE_URL: postgres.url, HOTSEAT_TEST_MARK: mark },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  roles[role] = child;
  const lines = createInterface({ input: child.stdout! });
  await new Promise<void>((resolve, reject) => {
    lines.on("line", (line) => line.includes(`${role} listens`) && resolve());
    child.once("exit", (code) => reject(new Error(`hotseat ${role} exited with ${code}`)));
  });
}

const call = async (url: string, scope: "session" | "operate", init: RequestInit = {}) => {
  const response = await fetch(url, {
    ...init,
    headers: {
      authorization: `Bearer ${plainKey(secrets, scope)}`,
      ...(init.body ? { "content-type": "application/json" } : {}),
    },
  });
  return { status: response.status, body: await response.json() };
};

describe("roles as separate processes", () => {
  it("answer an integrator's first session with 202 and URLs that are already valid, then seat it", async () => {
    const { status, body } = await call(`${urls.session}/api/session/v1`, "session", {
      method: "POST",
      body: JSON.stringify({ gameId: "demo" }),
    });
    const created = body as CreatedSession;
    expect(status).toBe(202);
    expect(created.status).toBe("PROVISIONING");
    expect(created.urls.signalling).toContain(urls.streaming.replace("http", "ws"));
    const of = `${urls.session}/api/session/v1/${created.sessionId}`;
    const ready = await until("the session has its seat", async () => {
      const session = (await call(of, "session")).body as Session;
      return session.status === "READY" ? session : undefined;
    });
    const { body: vm } = await call(`${urls.orchestrator}/api/orchestrator/v1/vm/${ready.vmId}`, "operate");
    expect(vm).toMatchObject({ status: "IN_USE", sessions: [created.sessionId] });
    expect((await call(of, "session", { method: "DELETE" })).body).toMatchObject({ status: "ENDED" });
  });

  it("each have metrics that promtool finds nothing wrong with, and say whether they reach the database", async () => {
    for (const url of Object.values(urls)) {
      const headers = { authorization: `Bearer ${plainKey(secrets, "read")}` };
      const text = await (await fetch(`${url}/metrics`, { headers })).text();
      expect(await promtool(["check", "metrics"], text)).toStrictEqual({ code: 0, output: "" });
      expect(text.includes("hotseat_database_up 1")).toBe(url !== urls.streaming);
    }
  });

  it("carry a person from Play to playing", async () => {
    await using browser = await openBrowser();
    const { page } = browser;
    await play(page, `${urls.session}/#key=${plainKey(secrets, "session")}`);
    await page.keyboard.press("ArrowUp");
    expect(await shipMovesWith(page, "ArrowLeft")).toBeLessThan(-0.1);
    expect(await shipMovesWith(page, "ArrowRight")).toBeGreaterThan(0.1);
  });

  it("let a session play on while the orchestrator is killed and started again, on the same VM", async () => {
    const sessions = async () => {
      const { body } = await call(`${urls.session}/api/session/v1`, "operate");
      return (body as { sessions: Session[] }).sessions;
    };
    const newest = async () => (await sessions())[0]!;
    // The machine may carry one session only.
    for (const { sessionId } of await sessions())
      await call(`${urls.session}/api/session/v1/${sessionId}`, "operate", { method: "DELETE" });
    await using browser = await openBrowser();
    const { page } = browser;
    await play(page, `${urls.session}/#key=${plainKey(secrets, "session")}`);
    const before = await newest();
    expect(before.status).toBe("ACTIVE");

    roles.orchestrator!.kill("SIGKILL");
    await once(roles.orchestrator!, "exit");
    await page.keyboard.press("ArrowUp");
    expect(await shipMovesWith(page, "ArrowLeft"), "nobody is there, and the game goes on").toBeLessThan(-0.1);

    await startOrchestrator();
    await until("its agent is heard again", async () => {
      const response = await fetch(`${urls.orchestrator}/metrics`, {
        headers: { authorization: `Bearer ${plainKey(secrets, "operate")}` },
      });
      return Number(/hotseat_heartbeats_total (\d+)/.exec(await response.text())?.[1]) > 0 || undefined;
    });
    expect(await shipMovesWith(page, "ArrowRight")).toBeGreaterThan(0.1);
    expect(await newest()).toMatchObject({ sessionId: before.sessionId, status: "ACTIVE", vmId: before.vmId });
    const { body: vm } = await call(`${urls.orchestrator}/api/orchestrator/v1/vm/${before.vmId}`, "operate");
    expect(vm).toMatchObject({
      status: "IN_USE",
      reachable: true,
      sessions: expect.arrayContaining([before.sessionId]),
    });
  });
});
