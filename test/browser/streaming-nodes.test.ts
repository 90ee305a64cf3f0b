// Two streaming nodes, real NATS, a real agent and Chromium: the player at one node, the agent linked to the other, and
// both nodes killed one after the other while the game is played.
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { orchestratorRoutes } from "../../src/contracts/orchestrator.js";
import { sessionRoutes } from "../../src/contracts/session.js";
import { createClient } from "../../src/platform/client.js";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/platform/embedded-postgres.js";
import { createLog } from "../../src/platform/log.js";
import { ensureSecrets, plainKey, type Secrets } from "../../src/platform/secrets.js";
import { openBrowser } from "../support/browser.js";
import { freePort } from "../support/free-port.js";
import { ProcessCensus, until, withMark } from "../support/hotseat.js";
import { startNats, type TestNats } from "../support/nats.js";
import { shipMovesWith } from "../support/picture.js";
import { play } from "../support/play.js";
import { type RoleProcess, startRole } from "../support/role-process.js";
import { metricIs, type StreamingNode, startStreamingNode } from "../support/streaming-node.js";

const folder = mkdtempSync(join(tmpdir(), "hotseat-nodes-"));
const mark = randomUUID();
const secretsPath = join(folder, "secrets.json");
const urlOf = (port: number) => `http://127.0.0.1:${port}`;
let postgres: EmbeddedPostgres;
let nats: TestNats;
let secrets: Secrets;
let [orchestrator, session]: RoleProcess[] = [];
let ports: { orchestrator: number; session: number; a: number; b: number };
let [a, b]: StreamingNode[] = [];

const startNode = (port: number) =>
  startStreamingNode({
    folder,
    secretsPath,
    port,
    sessionUrl: urlOf(ports.session),
    key: plainKey(secrets, "read"),
    settings: { nats: { servers: [nats.server] } },
    args: ["--allow-origin", urlOf(ports.session)],
  });
const operator = (url: string) => createClient({ baseUrl: url, bearer: plainKey(secrets, "operate") });
const linked = 'hotseat_streaming_sockets{kind="agent"}';
const signalling = 'hotseat_streaming_sockets{kind="signalling"}';

// The agent knows both nodes and is linked to A, the only one there is; then B comes, which players are sent to.
beforeAll(async () => {
  const log = createLog({ name: "t", level: "silent" });
  [postgres, nats] = await Promise.all([
    startEmbeddedPostgres({ dataDir: join(folder, "postgres"), log }),
    startNats(),
  ]);
  secrets = await ensureSecrets(secretsPath);
  const [forOrchestrator, forSession, forA, forB] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  ports = { orchestrator: forOrchestrator, session: forSession, a: forA, b: forB };
  const settings = join(folder, "settings.json");
  writeFileSync(settings, JSON.stringify(withMark({}, mark)));
  const env = { DATABASE_URL: postgres.url, HOTSEAT_TEST_MARK: mark };
  const shared = ["--secrets", secretsPath];
  const [nodeA, nodeB] = [urlOf(ports.a), urlOf(ports.b)];
  [orchestrator, session, a] = await Promise.all([
    startRole("orchestrator", {
      port: ports.orchestrator,
      args: [...shared, "--streaming-url", `${nodeA},${nodeB}`, "--data", folder, "--config", settings],
      env,
    }),
    startRole("session", {
      port: ports.session,
      args: [...shared, "--streaming-url", nodeB, "--orchestrator-url", urlOf(ports.orchestrator)],
      env,
    }),
    startNode(ports.a),
  ]);
  await operator(orchestrator.url).call(orchestratorRoutes.createVm, {
    body: { templateId: "L4-360", region: "us-east-1" },
  });
  await metricIs(a, linked, 1);
  b = await startNode(ports.b);
  await metricIs(a, "hotseat_streaming_nodes", 1);
});
afterAll(async () => {
  for (const role of [session, orchestrator, a, b]) await role?.[Symbol.asyncDispose]();
  for (const { pid } of new ProcessCensus(mark, folder).count()) process.kill(pid, "SIGKILL");
  await nats?.[Symbol.asyncDispose]();
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("a player at one node and its machine's agent at another", () => {
  it("play, and go on when the agent's node is killed, and then the player's", async () => {
    await using browser = await openBrowser();
    const { page } = browser;
    await play(page, `${session!.url}/#key=${plainKey(secrets, "session")}`);
    await metricIs(b!, signalling, 1);
    await metricIs(a!, linked, 1);
    await page.keyboard.press("ArrowUp");
    expect(await shipMovesWith(page, "ArrowLeft")).toBeLessThan(-0.1);

    await a!.kill();
    expect(await shipMovesWith(page, "ArrowRight"), "nobody carries signalling, and the game goes on").toBeGreaterThan(
      0.1,
    );
    await metricIs(b!, linked, 1);

    a = await startNode(ports.a);
    await metricIs(b!, "hotseat_streaming_nodes", 1);
    await b!.kill();
    expect(await shipMovesWith(page, "ArrowLeft"), "by no node at all").toBeLessThan(-0.1);
    await metricIs(a, linked, 1);
    await metricIs(a, signalling, 1);
    expect(await shipMovesWith(page, "ArrowRight")).toBeGreaterThan(0.1);
    b = await startNode(ports.b);
    await metricIs(b, "hotseat_streaming_nodes", 1);
  });

  it("play by the control WebSocket, whose input crosses from node to node", async () => {
    // The machine may carry one session only.
    const client = operator(session!.url);
    const { body } = await client.call(sessionRoutes.listSessions);
    for (const { sessionId } of body.sessions) await client.call(sessionRoutes.endSession, { params: { sessionId } });
    await until("its sockets are closed", async () => ((await a!.metric(signalling)) === 0 ? true : undefined));
    await using browser = await openBrowser();
    const { page } = browser;
    await play(page, `${session!.url}/?control=websocket#key=${plainKey(secrets, "session")}`);
    await metricIs(b!, 'hotseat_streaming_sockets{kind="control"}', 1);
    await metricIs(a!, linked, 1);
    await page.keyboard.press("ArrowUp");
    expect(await shipMovesWith(page, "ArrowLeft")).toBeLessThan(-0.1);
    expect(await shipMovesWith(page, "ArrowRight")).toBeGreaterThan(0.1);
    expect(await a!.metric('hotseat_streaming_node_messages_total{direction="in",to="input"}')).toBeGreaterThan(0);
  });
});
