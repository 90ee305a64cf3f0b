// What a fleet costs the orchestrator: 100,000 VMs whose agents beat every 5 s, and nothing else happens.
//
// One orchestrator process with everything it runs (lease port, live fleet, reconciler, pools, queue, outbox relay,
// metrics, scraped every 15 s) over its own PostgreSQL (fsync, synchronous_commit). A second process stands for the
// gateway of the agents: 20,000 heartbeats a second, evenly spread, in batches of 200 over a Unix socket, each answered;
// as an agent does, a heartbeat names the version of the desired state it knows. The orchestrator process hands each of
// them to the lease port, which renews them by group commit. Measured after the warm-up: CPU of the orchestrator's
// process and, beside it, of PostgreSQL with all its backends; the largest RSS; the longest reconciler pass; the delay
// of the event loop; and how long a batch waits for its answers. At the end every lease must be fresh and every VM
// reachable. Repeat: npm run bench -- fleet
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, connect as dial, type Socket } from "node:net";
import { loadavg } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { type DesiredState, Heartbeats } from "../src/orchestrator/agents/heartbeats.js";
import { LeaseStore } from "../src/orchestrator/agents/lease-store.js";
import { systemClock } from "../src/platform/clock.js";
import { createRegistry, type Registry } from "../src/platform/metrics.js";
import { migrate } from "../src/platform/migrations.js";
import { startOrchestrator } from "../test/system/orchestrator-fixture.js";
import { treeCpuMs } from "./support/cpu.js";
import { benchLog, fillFleet, openBenchDatabase, startBenchDatabase } from "./support/fleet-store.js";
import { messageOf } from "./support/message-of.js";
import { percentile, report, round } from "./support/statistics.js";

const smoke = process.argv.includes("--smoke");
const [vmCount, warmUpMs, measureMs] = smoke ? [5_000, 6_000, 5_000] : [100_000, 20_000, 40_000];
const beatEveryMs = 5_000;
const batchesPerSecond = 100;
const scrapeMs = 15_000;

interface Load {
  readonly beats: number;
  /** Milliseconds from a batch's sending to its last answer. */
  readonly answerMs: readonly number[];
  readonly refused: number;
}

interface OrchestratorCost {
  readonly cores: number;
  readonly rssMb: number;
  readonly reconcileMs: readonly number[];
  readonly delayP99Ms: number;
}

const vmIdOf = (i: number) => `vm-${String(i).padStart(16, "0")}`;
const mode = process.argv[2];
if (mode === "--orchestrator") await orchestrate(process.argv[3]!, process.argv[4]!, process.argv[5]!);
else if (mode === "--load") await beat(process.argv[3]!);
else await compare();

async function compare(): Promise<void> {
  await using database = await startBenchDatabase();
  await using db = database.open();
  await migrate(db, {
    schema: "orchestrator",
    directory: new URL("../orchestrator/migrations", import.meta.url).pathname,
    log: benchLog,
  });
  await fillFleet(db, vmCount);
  await db.query(
    `insert into orchestrator.simulated_instances (vm_id, running_at, ready_at, announced)
     select vm_id, now(), now(), true from orchestrator.vms where status <> 'TEMPLATE'`,
  );
  const socketPath = join(database.dir, "leases.sock");
  const orchestrator = start("--orchestrator", database.dir, database.url, socketPath);
  await messageOf(orchestrator);
  const load = start("--load", socketPath);
  await sleep(warmUpMs);
  load.send("measure");
  orchestrator.send("measure");
  const from = { atMs: performance.now(), cpuMs: treeCpuMs(database.pid) };
  await sleep(measureMs);
  const databaseCores = (treeCpuMs(database.pid) - from.cpuMs) / (performance.now() - from.atMs);
  const cost = await ask<OrchestratorCost>(orchestrator, "report");
  const { beats, answerMs, refused } = await ask<Load>(load, "report");
  const { stale } = await db.one<{ stale: number }>(
    `select count(*) as stale from orchestrator.vms v left join orchestrator.leases l using (vm_id)
      where v.status <> 'TEMPLATE' and (v.status in ('READY', 'IN_USE') and v.reachable
            and l.heard_at > now() - make_interval(secs => $1)) is not true`,
    [(2 * beatEveryMs) / 1000],
  );
  if (cost.reconcileMs.length === 0) throw new Error("no pass of the reconciler ended: the machine is too busy");
  for (const child of [load, orchestrator]) {
    child.disconnect();
    await once(child, "exit");
  }
  report({
    bench: "fleet",
    vms: vmCount,
    cores: round(cost.cores, 2),
    rss_mb: Math.round(cost.rssMb),
    reconcile_ms: Math.round(Math.max(...cost.reconcileMs)),
    database_cores: round(databaseCores, 2),
    beats_per_s: Math.round(beats / (measureMs / 1000)),
    answer_p99_ms: round(percentile(answerMs, 99)),
    loop_delay_p99_ms: round(cost.delayP99Ms),
    reconcile_passes: cost.reconcileMs.length,
    refused,
    stale,
    load_1min: round(loadavg()[0]!),
  });
  if (stale > 0 || refused > 0) process.exitCode = 1;
}

/** One of this file's other modes, in a process of its own. */
function start(...args: string[]): ChildProcess {
  const all = [...process.execArgv, import.meta.filename, ...args, ...(smoke ? ["--smoke"] : [])];
  return spawn(process.execPath, all, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
}

async function ask<T>(child: ChildProcess, what: "report"): Promise<T> {
  child.send(what);
  return (await messageOf(child)) as T;
}

/** The orchestrator's process, until its parent lets go of it. */
async function orchestrate(dir: string, url: string, socketPath: string): Promise<void> {
  await using orchestrator = await startOrchestrator(
    { dir, open: () => openBenchDatabase(url) },
    {
      config: {
        places: [{ provider: "simulated", vmsMax: vmCount }],
        pools: [{ bufferPercent: 20, scaleInSeconds: 3_600 }],
        deadlines: { simulated: { silentSecondsMax: 15 } },
      },
    },
  );
  const { database, registry } = orchestrator;
  const leases = new LeaseStore(database, systemClock);
  const heartbeats = new Heartbeats({ leases, registry: createRegistry(), defer: setImmediate });
  const gateway = createServer((socket) => void serveGateway(socket, heartbeats));
  gateway.listen(socketPath);
  await once(gateway, "listening");
  const passes = watchPasses(registry);
  const delay = monitorEventLoopDelay({ resolution: 5 });
  let rssMb = 0;
  const timers = [
    setInterval(() => void registry.metrics(), scrapeMs),
    setInterval(() => (rssMb = Math.max(rssMb, process.memoryUsage.rss() / 2 ** 20)), 100),
  ];
  let from = { atMs: 0, cpu: process.cpuUsage() };
  process.on("message", (message) => {
    if (message === "measure") {
      passes.length = 0;
      rssMb = 0;
      delay.enable();
      from = { atMs: performance.now(), cpu: process.cpuUsage() };
    } else {
      const { user, system } = process.cpuUsage(from.cpu);
      const cores = (user + system) / 1000 / (performance.now() - from.atMs);
      const cost: OrchestratorCost = { cores, rssMb, reconcileMs: passes, delayP99Ms: delay.percentile(99) / 1e6 };
      process.send!(cost);
    }
  });
  process.send!("listening");
  await once(process, "disconnect");
  for (const timer of timers) clearInterval(timer);
  gateway.close();
}

/** How long each pass of the reconciler took from now on, read off its own histogram. */
function watchPasses(registry: Registry): number[] {
  const passes: number[] = [];
  let seen = { sum: 0, count: 0 };
  const look = async () => {
    const { values } = await registry.getSingleMetric("hotseat_reconcile_seconds")!.get();
    const of = (suffix: string) =>
      values.find((value) => "metricName" in value && value.metricName === `hotseat_reconcile_seconds_${suffix}`)
        ?.value ?? 0;
    const now = { sum: of("sum"), count: of("count") };
    if (now.count > seen.count) passes.push(((now.sum - seen.sum) / (now.count - seen.count)) * 1000);
    seen = now;
  };
  setInterval(() => void look(), 100).unref();
  return passes;
}

/** A line is a batch of heartbeats, the answer is one of what each is told; null: it was refused. */
async function serveGateway(socket: Socket, heartbeats: Heartbeats): Promise<void> {
  for await (const line of createInterface({ input: socket })) {
    const beats = (JSON.parse(line) as [string, number | null][]).map(([vmId, version]) => ({
      vmId,
      epoch: 0,
      version,
    }));
    void Promise.all(beats.map((beat) => heartbeats.renew(beat).catch(() => null))).then((states) =>
      socket.write(`${JSON.stringify(states)}\n`),
    );
  }
}

/** The gateway's process: every VM's agent beats every 5 s, whether or not the beat before it was answered. */
async function beat(socketPath: string): Promise<void> {
  const socket = dial(socketPath);
  await once(socket, "connect");
  const known = Array.from({ length: vmCount }, () => null as number | null);
  const sent: { atMs: number; first: number }[] = [];
  let [beats, refused, answerMs] = [0, 0, [] as number[]];
  createInterface({ input: socket }).on("line", (line) => {
    const { atMs, first } = sent.shift()!; // batches are answered in their order
    for (const [i, state] of (JSON.parse(line) as (DesiredState | null)[]).entries()) {
      if (state === null) refused += 1;
      else known[(first + i) % vmCount] = state.version;
      beats += 1;
    }
    answerMs.push(performance.now() - atMs);
  });
  process.on("message", (message) => {
    if (message === "measure") [beats, refused, answerMs] = [0, 0, []];
    else process.send!({ beats, refused, answerMs } satisfies Load);
  });
  const start = performance.now();
  let next = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - start) / beatEveryMs) * vmCount);
    for (const size = Math.ceil(vmCount / (beatEveryMs / 1000) / batchesPerSecond); next + size <= due; next += size) {
      const batch = Array.from({ length: size }, (_, i) => (next + i) % vmCount).map((vm) => [vmIdOf(vm), known[vm]]);
      sent.push({ atMs: performance.now(), first: next });
      socket.write(`${JSON.stringify(batch)}\n`);
    }
  }, 1000 / batchesPerSecond);
  await once(process, "disconnect");
  clearInterval(timer);
  socket.destroy();
}
