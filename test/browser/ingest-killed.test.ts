// streaming-ingest is killed while somebody plays: the picture never stops, input goes on, and both ends find their way
// to the node that comes after it, whether in its place or elsewhere behind the same address.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Session } from "../../src/contracts/session.js";
import type { StreamStatus } from "../../src/contracts/streaming.js";
import { startEmbeddedPostgres } from "../../src/platform/embedded-postgres.js";
import { createLog } from "../../src/platform/log.js";
import { ensureSecrets, plainKey, type Secrets } from "../../src/platform/secrets.js";
import { type Browser, openBrowser } from "../support/browser.js";
import { watchFrames } from "../support/frames.js";
import { freePort } from "../support/free-port.js";
import { cli, ProcessCensus, until, withMark } from "../support/hotseat.js";
import { shipMovesWith } from "../support/picture.js";
import { play } from "../support/play.js";
import { openTcpDoor, type TcpDoor } from "../support/tcp-door.js";

/** A connection that is lost is noticed after more than a second, and shows longer. */
const stillMsMax = 1_000;

const folder = mkdtempSync(join(tmpdir(), "hotseat-killed-"));
const mark = randomUUID();
const secretsPath = join(folder, "secrets.json");
const children = new Set<ChildProcess>();
let postgres: Awaited<ReturnType<typeof startEmbeddedPostgres>>;
let secrets: Secrets;
let door: TcpDoor;
let ingest: ChildProcess;
let sessionUrl: string;
let browser: Browser;

beforeAll(async () => {
  const log = createLog({ name: "t", level: "silent" });
  postgres = await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), log });
  secrets = await ensureSecrets(secretsPath);
  door = await openTcpDoor();
  const settings = join(folder, "settings.json");
  writeFileSync(settings, JSON.stringify(withMark({}, mark)));
  const [orchestratorPort, sessionPort] = [await freePort(), await freePort()];
  sessionUrl = `http://127.0.0.1:${sessionPort}`;
  await Promise.all([
    start("orchestrator", orchestratorPort, ["--streaming-url", door.url, "--data", folder, "--config", settings]),
    start("session", sessionPort, [
      "--orchestrator-url",
      `http://127.0.0.1:${orchestratorPort}`,
      "--streaming-url",
      door.url,
    ]),
    startIngest(await freePort()),
  ]);
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  for (const child of children) child.kill("SIGTERM");
  await Promise.all([...children].map((child) => child.exitCode ?? child.signalCode ?? once(child, "exit")));
  for (const { pid } of new ProcessCensus(mark, folder).count()) process.kill(pid, "SIGKILL");
  await door?.[Symbol.asyncDispose]();
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function start(role: string, port: number, args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [cli, role, "--port", String(port), "--secrets", secretsPath, ...args], {
    env: { ...process.env, DATABASE_URL: postgres.url, HOTSEAT_TEST_MARK: mark },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.add(child);
  child.once("exit", () => children.delete(child));
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on("line", (line) => line.includes(`${role} listens`) && resolve());
    child.once("exit", (code) => reject(new Error(`hotseat ${role} exited with ${code}`)));
  });
  return child;
}

async function startIngest(port: number): Promise<void> {
  const args = ["--public-url", door.url, "--session-url", sessionUrl, "--allow-origin", sessionUrl];
  ingest = await start("streaming", port, args);
  door.to(port);
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

// A connection kept for the next call would lead to the node that was killed.
const ask = (url: string, scope: "operate" | "read") =>
  fetch(url, { headers: { authorization: `Bearer ${plainKey(secrets, scope)}`, connection: "close" } });
const newest = async () => {
  const answer = await ask(`${sessionUrl}/api/session/v1`, "operate");
  return ((await answer.json()) as { sessions: Session[] }).sessions[0]!;
};
const phase = (page: Page) => page.evaluate(() => document.body.dataset.phase);

async function obeys(page: Page): Promise<void> {
  expect(await shipMovesWith(page, "ArrowLeft")).toBeLessThan(-0.1);
  expect(await shipMovesWith(page, "ArrowRight")).toBeGreaterThan(0.1);
}

/** Both ends are with the node that answers now. */
const reattached = (sessionId: string) =>
  until("both ends are back", async () => {
    const status = await ask(`${door.url}/api/streaming/v1/session/${sessionId}/status`, "read");
    const { players, connection } = (await status.json()) as StreamStatus;
    const metrics = await (await ask(`${door.url}/metrics`, "read")).text();
    const linked = metrics.includes('hotseat_streaming_sockets{kind="agent"} 1');
    return (players === 1 && connection === "connected" && linked) || undefined;
  });

it("the picture goes on while it is dead, input too, and both ends are back once it is there again", async () => {
  const { page } = browser;
  await play(page, `${sessionUrl}/#key=${plainKey(secrets, "session")}`);
  await page.keyboard.press("ArrowUp");
  await obeys(page);
  const { sessionId } = await newest();
  const frames = await watchFrames(page);

  const port = await freePort();
  await kill(ingest);
  await frames.restart();
  await obeys(page);
  await until("ten seconds' pictures", async () => (await frames.seen()).count > 300 || undefined, 60_000);
  await page.screenshot({ path: "test-output/ingest-killed.png" });
  expect(await phase(page)).toBe("playing");
  expect((await frames.seen()).longestMs, "no picture stood still while ingest was dead").toBeLessThan(stillMsMax);

  const from = performance.now();
  await startIngest(port);
  const startedMs = performance.now() - from;
  await reattached(sessionId);
  const { longestMs, count } = await frames.seen();
  const backMs = performance.now() - from - startedMs;
  console.log(JSON.stringify({ pictures: count, longestMs, ingestStartedMs: startedMs, backMs }));
  expect(longestMs).toBeLessThan(stillMsMax);
  expect(await phase(page)).toBe("playing");
  expect(await newest()).toMatchObject({ sessionId, status: "ACTIVE" });
});

it("likewise when another node answers, at once, elsewhere behind the same address", async () => {
  const { page } = browser;
  const { sessionId } = await newest();
  const frames = await watchFrames(page);
  const before = ingest;
  await startIngest(await freePort());
  const from = performance.now();
  await kill(before);
  await reattached(sessionId);
  const backMs = performance.now() - from;
  await obeys(page);
  const { longestMs, count } = await frames.seen();
  console.log(JSON.stringify({ pictures: count, longestMs, backMs }));
  expect(longestMs).toBeLessThan(stillMsMax);
  expect(await phase(page)).toBe("playing");
});

it("afterwards a second tab takes over, the first is told, and can take it back", async () => {
  const { page, context } = browser;
  const { sessionId } = await newest();
  // A duplicated tab: it has the page's storage, and with it the resume secret.
  const [second] = await Promise.all([context.waitForEvent("page"), page.evaluate(() => void window.open("/"))]);
  await second.locator('body[data-phase="playing"]').waitFor({ timeout: 30_000 });
  await page.getByRole("heading", { name: "Playing somewhere else" }).waitFor();
  await page.screenshot({ path: "test-output/taken-over.png" });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: "test-output/taken-over-phone.png" });
  await page.setViewportSize({ width: 1280, height: 800 });
  await second.bringToFront();
  await obeys(second);

  await page.bringToFront();
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator('body[data-phase="playing"]').waitFor({ timeout: 30_000 });
  await second.getByRole("heading", { name: "Playing somewhere else" }).waitFor();
  await obeys(page);
  expect(await newest()).toMatchObject({ sessionId, status: "ACTIVE" });
});

it("and End ends it", async () => {
  const { page } = browser;
  const { sessionId } = await newest();
  await page.mouse.move(640, 5);
  await page.locator("#end").click();
  await page.locator('body[data-phase="ended"]').waitFor();
  await until("the session has ended", async () => (await newest()).status === "ENDED" || undefined);
  expect(await newest()).toMatchObject({ sessionId, end: { reason: "ended-by-player" } });
});
