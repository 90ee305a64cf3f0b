// Seats given per second through the API: HTTP, authorisation, parsing, placement, commit, answer.
//
// One orchestrator process over its own PostgreSQL (fsync, synchronous_commit), 10,000 VMs; a second process with 256
// connections in a closed loop asks for seats, and gives each back (DELETE, the other half of the requests) before it
// asks for the next. Database and load generator share the machine's cores with it. The database is asked afterwards
// for everything that must not be. Repeat: npm run bench -- allocate-http
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { loadavg } from "node:os";
import { text } from "node:stream/consumers";
import { orchestratorRoutes as routes } from "../src/contracts/orchestrator.js";
import { regionIds } from "../src/orchestrator/catalog/regions.js";
import { startDatabase, startOrchestrator } from "../test/system/orchestrator-fixture.js";
import { brokenRules, fillFleet } from "./support/fleet-store.js";
import { percentile, report, round } from "./support/statistics.js";

const smoke = process.argv.includes("--smoke");
const [vmCount, rounds, roundMs] = smoke ? [1_000, 1, 1_500] : [10_000, 3, 5_000];
const connections = 256;

interface Load {
  readonly perSecond: number;
  readonly p99Ms: number;
  readonly unseated: number;
}

/** The second process: prints what it measured. */
async function load(url: string, key: string, lastsMs: number): Promise<Load> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const call = async (method: string, path: string, body?: unknown) => {
    const json = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      authorization: `Bearer ${key}`,
      ...(json && { "content-type": "application/json", "content-length": Buffer.byteLength(json) }),
    };
    const sent = request(url + path, { method, agent, headers });
    sent.end(json);
    const [response] = await once(sent, "response");
    const answer = await text(response);
    if (response.statusCode >= 400) throw new Error(`${method} ${path} → ${response.statusCode} ${answer}`);
    return response.statusCode as number;
  };
  const times: number[] = [];
  let unseated = 0;
  const start = performance.now();
  const caller = async (_: unknown, from: number) => {
    for (let turn = from; performance.now() - start < lastsMs; turn++) {
      const sessionId = randomUUID();
      const wish = { gameId: "demo", region: regionIds[turn % regionIds.length], client: "api" };
      const asked = performance.now();
      const status = await call("POST", routes.assign.path, { sessionId, request: wish });
      times.push(performance.now() - asked);
      if (status !== 200) unseated += 1;
      await call("DELETE", routes.withdraw.path.replace(":sessionId", sessionId));
    }
  };
  await Promise.all(Array.from({ length: connections }, caller));
  agent.destroy();
  const seconds = (performance.now() - start) / 1000;
  return { perSecond: (times.length - unseated) / seconds, p99Ms: percentile(times, 99), unseated };
}

if (process.argv[2] === "--load") {
  const [url = "", key = "", lastsMs = ""] = process.argv.slice(3);
  console.log(JSON.stringify(await load(url, key, Number(lastsMs))));
} else {
  await using database = await startDatabase();
  await using orchestrator = await startOrchestrator(database, { idle: true });
  await fillFleet(orchestrator.database, vmCount);
  const results: Load[] = [];
  for (let turn = 0; turn < rounds; turn++) {
    const loader = spawn(
      process.execPath,
      [import.meta.filename, "--load", orchestrator.url, orchestrator.key("service"), String(roundMs)],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const [printed] = await Promise.all([text(loader.stdout), once(loader, "exit")]);
    const result = JSON.parse(printed) as Load;
    if (result.unseated > 0) throw new Error(`${result.unseated} requests got no seat of a fleet that has many`);
    results.push(result);
    console.log(`${Math.round(result.perSecond)}/s, p99 ${result.p99Ms.toFixed(1)} ms`);
  }
  const broken = await brokenRules(orchestrator.database);
  const violations = Object.values(broken).reduce((sum, count) => sum + Math.abs(count), 0);
  if (violations > 0) console.log("broken rules", broken);
  report({
    bench: "allocate-http",
    allocations_per_s: Math.round(
      percentile(
        results.map(({ perSecond }) => perSecond),
        50,
      ),
    ),
    p99_ms: round(
      percentile(
        results.map(({ p99Ms }) => p99Ms),
        50,
      ),
    ),
    broken_rules: violations,
    vms: vmCount,
    load_1min: round(loadavg()[0]!),
  });
  if (violations > 0) process.exitCode = 1;
}
