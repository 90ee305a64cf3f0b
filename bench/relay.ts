// What it costs to relay: 1,000 players and 1,000 agents through one streaming node, at a fixed rate.
//
// One real `hotseat streaming` process; a pair is an agent's link to a VM of its own, and the signalling and the control
// socket of the one player there, joined by the protocol. Sent, open loop: control input from every player (binary,
// 99 %), and offers, each of which the agent answers. A second process holds the other ends of all sockets, so that one
// clock measures: from the moment a message was due (not from when it was sent: no coordinated omission) to its arrival.
// Against: a process that forwards the same messages between the same number of sockets by `ws` alone, and knows
// nothing of what they are; rounds alternate. CPU is the relaying process' own (/proc). In full also: 300 pairs
// at 6,000 messages a second through two nodes and a real NATS server, agents at one and players at the other, CPU of both
// nodes together.
// Target: `ratio_vs_bare_ws`, of messages per CPU-second, 0.6 at least, of the issue.
// Repeat: npm run bench -- relay
import { type ChildProcess, fork } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Session, sessionRoutes } from "../src/contracts/session.js";
import { Authenticator } from "../src/platform/auth.js";
import { systemClock } from "../src/platform/clock.js";
import { createHttpServer, listen, serve } from "../src/platform/http.js";
import { createLog } from "../src/platform/log.js";
import { ensureSecrets, plainKey, type Secrets } from "../src/platform/secrets.js";
import { startNats } from "../test/support/nats.js";
import { metricIs, startStreamingNode } from "../test/support/streaming-node.js";
import { cpuMsOf } from "./support/cpu.js";
import { messageOf } from "./support/message-of.js";
import { forward } from "./support/relay-bare.js";
import { bearLoad, type Measured, type Order, vmIdOf } from "./support/relay-load.js";
import { percentile, report, round } from "./support/statistics.js";

const smoke = process.argv.includes("--smoke");
const [pairs, perSecond, rounds, roundMs] = smoke ? [300, 6_000, 1, 3_000] : [1_000, 20_000, 3, 4_000];
const cross = { pairs: 300, perSecond: 6_000 };
const socketsPerPair = 3;
const log = createLog({ name: "bench", level: "error" });
const median = (values: readonly number[]) => percentile(values, 50);

if (process.argv[2] === "--bare") await forward();
else if (process.argv[2] === "--load") bearLoad();
else await compare();

async function compare(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hotseat-relay-"));
  const secretsPath = join(folder, "secrets.json");
  const secrets = await ensureSecrets(secretsPath);
  await using sessions = await serveSessions(secrets);
  const nodeWith = (settings: object) =>
    startStreamingNode({
      folder,
      secretsPath,
      sessionUrl: sessions.url,
      key: plainKey(secrets, "read"),
      settings,
    });
  using bare = child("--bare");
  const bareUrl = (await messageOf(bare.process)) as string;
  using load = child("--load");
  const measure = async (order: Order): Promise<Measured> => {
    load.process.send(order);
    return (await messageOf(load.process)) as Measured;
  };

  try {
    await using node = await nodeWith({});
    const emptyKb = rssKbOf(node.child.pid!);
    await measure({ do: "open", name: "node", kind: "node", agents: node.url, players: node.url, pairs, secretsPath });
    await measure({ do: "open", name: "bare", kind: "bare", agents: bareUrl, players: bareUrl, pairs, secretsPath });
    const run = async (name: string, pids: readonly number[], rate = perSecond): Promise<Round> => {
      const before = cpuMsOf(pids);
      const measured = await measure({ do: "run", name, perSecond: rate, lastsMs: roundMs });
      const perCpuSecond = (measured.arrived * 1000) / (cpuMsOf(pids) - before);
      console.log(`${name}: ${Math.round(perCpuSecond)} messages a CPU second, p99 ${round(measured.p99Ms)} ms`);
      return { ...measured, perCpuSecond };
    };
    // Compiled and grown to size before anything counts.
    await run("node", [node.child.pid!]);
    await run("bare", [bare.process.pid!]);
    const nodes: Round[] = [];
    const bares: Round[] = [];
    for (let i = 0; i < rounds; i++) {
      nodes.push(await run("node", [node.child.pid!]));
      bares.push(await run("bare", [bare.process.pid!]));
    }
    const fullKb = rssKbOf(node.child.pid!);
    const own = median(nodes.map(({ perCpuSecond }) => perCpuSecond));
    const theirs = median(bares.map(({ perCpuSecond }) => perCpuSecond));
    const result = {
      bench: "relay",
      msgs_per_cpu_s: Math.round(own),
      p99_ms: round(median(nodes.map(({ p99Ms }) => p99Ms))),
      rss_kb_per_connection: round((fullKb - emptyKb) / (pairs * socketsPerPair)),
      ratio_vs_bare_ws: round(own / theirs, 2),
      bare_msgs_per_cpu_s: Math.round(theirs),
      bare_p99_ms: round(median(bares.map(({ p99Ms }) => p99Ms))),
      per_second: Math.round(median(nodes.map(({ arrived }) => (arrived * 1000) / roundMs))),
      lost: [...nodes, ...bares].reduce((sum, { lost }) => sum + lost, 0),
      pairs,
      rounds,
    };
    if (result.lost > 0) throw new Error(`${result.lost} messages never arrived`);
    if (smoke) return report(result);

    await using nats = await startNats();
    const settings = { nats: { servers: [nats.server] } };
    await using near = await nodeWith(settings);
    await using far = await nodeWith(settings);
    await metricIs(near, "hotseat_streaming_nodes", 1);
    await metricIs(far, "hotseat_streaming_nodes", 1);
    await measure({
      do: "open",
      name: "two nodes",
      kind: "node",
      agents: far.url,
      players: near.url,
      pairs: cross.pairs,
      secretsPath,
    });
    const pids = [near.child.pid!, far.child.pid!];
    await run("two nodes", pids, cross.perSecond);
    const crossed = await run("two nodes", pids, cross.perSecond);
    report({
      ...result,
      cross_node_msgs_per_cpu_s: Math.round(crossed.perCpuSecond),
      cross_node_p99_ms: round(crossed.p99Ms),
      cross_node_lost: crossed.lost,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Round extends Measured {
  readonly perCpuSecond: number;
}

/** This file again, in another role. */
function child(mode: string): Disposable & { readonly process: ChildProcess } {
  const started = fork(fileURLToPath(import.meta.url), [mode]);
  started.once("exit", (code) => {
    if (code !== null && code !== 0) throw new Error(`the process ${mode} ended with ${code}`);
  });
  return { process: started, [Symbol.dispose]: () => void started.kill("SIGKILL") };
}

function rssKbOf(pid: number): number {
  if (!existsSync(`/proc/${pid}`)) throw new Error("the node has ended");
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
}

/** A session service in which every session has its seat, and nothing changes. */
async function serveSessions(secrets: Secrets): Promise<AsyncDisposable & { readonly url: string }> {
  const config = { host: "127.0.0.1", port: 0, allowedOrigins: [] };
  const server = await createHttpServer({ config, authenticator: new Authenticator(secrets, systemClock), log });
  const at = new Date().toISOString();
  const seated = (sessionId: string): Session => ({
    sessionId,
    tenant: "default",
    status: "READY",
    gameId: "demo",
    presetId: "default-standard",
    cap: null,
    region: "us-east-1",
    vmId: vmIdOf(sessionId),
    templateId: "L4-360",
    provider: "local",
    queue: null,
    end: null,
    createdAt: at,
    readyAt: at,
    joinedAt: null,
    endedAt: null,
    version: 1,
  });
  serve(server, sessionRoutes.getSession, async ({ params }) => ({ status: 200, body: seated(params.sessionId) }));
  serve(server, sessionRoutes.reportConnection, async ({ params }) => ({
    status: 200,
    body: seated(params.sessionId),
  }));
  serve(server, sessionRoutes.renewSessions, async () => ({ status: 202, body: {} }));
  server.app.get(sessionRoutes.sessionEvents.path, (_request, reply) => {
    reply.hijack();
    reply.raw.writeHead(200, { "content-type": "text/event-stream" }).write(": open\n\n");
  });
  const port = await listen(server, config);
  return { url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server.app.close() };
}
