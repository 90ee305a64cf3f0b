// Seats given per second: group commit against the one-row statement one would write first.
//
// 10,000 VMs, 256 callers in a closed loop: a seat, then its release, then the next; PostgreSQL with fsync and
// synchronous_commit. Measured by turns, so that what else this machine does hits all alike, median of 5: ours (one
// replica), ours (two replicas with 128 callers each), and `FOR UPDATE SKIP LOCKED`: the same decision and the same
// rows, with an index made for it, a connection pool of the width at which it was fastest, and its requests worked out
// beforehand. It tells nobody of what it wrote; ours does, and is fresh in every replica by it. So a second one is
// measured that notifies as ours does, which costs it most of its speed: PostgreSQL lets one notifying transaction
// commit at a time. Afterwards the database is asked for everything that must not be.
// Repeat: npm run bench -- allocate
import { randomUUID } from "node:crypto";
import { loadavg } from "node:os";
import { fallbackChains, regionIds } from "../src/orchestrator/catalog/regions.js";
import { placeRules } from "../src/orchestrator/config.js";
import { FleetMeters } from "../src/orchestrator/metrics.js";
import { Allocator } from "../src/orchestrator/placement/allocate.js";
import { PlacementDecisions } from "../src/orchestrator/placement/decisions-store.js";
import { demandOf, seatSpecOf } from "../src/orchestrator/placement/demand.js";
import { SqlFleetFeed } from "../src/orchestrator/placement/fleet-feed-store.js";
import { LiveFleet } from "../src/orchestrator/placement/live-fleet.js";
import { PlacementStore } from "../src/orchestrator/placement/placement-store.js";
import { unitsFor } from "../src/orchestrator/placement/seats.js";
import { SeatsStore } from "../src/orchestrator/placement/seats-store.js";
import { VmStore } from "../src/orchestrator/vm/vm-store.js";
import { systemClock } from "../src/platform/clock.js";
import type { Database } from "../src/platform/database.js";
import { Registry } from "../src/platform/metrics.js";
import { migrate } from "../src/platform/migrations.js";
import { Quotas } from "../src/platform/quotas.js";
import { treeCpuMs } from "./support/cpu.js";
import { benchLog, brokenRules, fillFleet, skipLocked, startBenchDatabase } from "./support/fleet-store.js";
import { percentile, report, round } from "./support/statistics.js";

const smoke = process.argv.includes("--smoke");
const [vmCount, rounds, roundMs] = smoke ? [1_000, 1, 1_000] : [10_000, 5, 4_000];
const callers = 256;
/** One row at a time, waiting for the disk is done side by side: of 4, 8, 16, 32 and 64 the fastest. Ours has 5. */
const skipLockedConnections = 32;

interface Seats {
  assign(sessionId: string, turn: number): Promise<boolean>;
  release(sessionId: string): Promise<unknown>;
}

const request = (turn: number) => ({
  gameId: "demo",
  region: regionIds[turn % regionIds.length]!,
  presetId: turn % 4 === 0 ? ("default-high" as const) : ("default-standard" as const),
  client: "api" as const,
});

/** One replica of the orchestrator, without its HTTP. */
async function openReplica(db: Database, rank: { index: number; count: number }) {
  const growth = { places: placeRules([]), budget: { vmsMax: null, eurPerHourMax: null }, quotas: new Quotas({}) };
  const fleet = new LiveFleet(new SqlFleetFeed(db), benchLog, Math.random);
  await fleet.open();
  fleet.share(rank);
  const clock = systemClock;
  const allocator = new Allocator({
    vms: new VmStore(db, clock, { waitMsMax: 1 }),
    placements: new PlacementStore(db, clock, { ...growth, waitMsMax: 60_000, newVmId: randomUUID }),
    seats: new SeatsStore(db),
    decisions: new PlacementDecisions(db),
    fleet: fleet.index,
    chains: fallbackChains,
    growth,
    waitMsMax: 60_000,
    idleMs: 600_000,
    meters: new FleetMeters(new Registry()),
    clock,
    defer: setImmediate,
  });
  const seats: Seats = {
    assign: async (sessionId, turn) =>
      (await allocator.assign(sessionId, request(turn), "default")).status === "ASSIGNED",
    release: (sessionId) => allocator.withdraw(sessionId, "withdrawn"),
  };
  return { seats, [Symbol.asyncDispose]: () => fleet[Symbol.asyncDispose]() };
}

/** Its requests are worked out beforehand, and its decision is as long as ours are: what is compared is the database. */
function skipLockedSeats(db: Database, statements: ReturnType<typeof skipLocked>): Seats {
  const why = "x".repeat(400);
  const asked = Array.from({ length: regionIds.length * 4 }, (_, turn) => {
    const demand = demandOf(request(turn), fallbackChains);
    const units = demand.templates.map((templateId) => unitsFor({ templateId, sessionsMax: null }, demand.preset));
    const spec = seatSpecOf("", demand, { cap: undefined, idleMs: 600_000 });
    return { demand: JSON.stringify(demand), places: [demand.regions, demand.templates, units], spec };
  });
  return {
    async assign(sessionId, turn) {
      const { demand, places, spec } = asked[turn % asked.length]!;
      const values = [...places, sessionId, demand, { ...spec, sessionId }, why];
      return (await db.query(statements.assign, values)).length === 1;
    },
    release: (sessionId) => db.query(statements.release, [sessionId]),
  };
}

interface Measured {
  readonly perSecond: number;
  readonly times: readonly number[];
  readonly unseated: number;
  /** For a seat and its release; the callers' is in Node's. */
  readonly cpuUs: { readonly node: number; readonly database: number };
}

/** Callers share the replicas; each takes a seat and gives it back, again and again. */
async function measure(replicas: readonly Seats[]): Promise<Measured> {
  const before = { node: process.cpuUsage(), databaseMs: treeCpuMs(database.pid) };
  const times: number[] = [];
  let unseated = 0;
  const start = performance.now();
  const call = async (caller: number) => {
    const { assign, release } = replicas[caller % replicas.length]!;
    for (let turn = caller; performance.now() - start < roundMs; turn++) {
      const sessionId = randomUUID();
      const asked = performance.now();
      if (await assign(sessionId, turn)) times.push(performance.now() - asked);
      else unseated += 1;
      await release(sessionId);
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)));
  const perSecond = times.length / ((performance.now() - start) / 1000);
  const { user, system } = process.cpuUsage(before.node);
  const databaseUs = (treeCpuMs(database.pid) - before.databaseMs) * 1000;
  return {
    perSecond,
    times,
    unseated,
    cpuUs: { node: (user + system) / times.length, database: databaseUs / times.length },
  };
}

await using database = await startBenchDatabase();
await using one = database.open();
await using other = database.open();
await using wide = database.open(skipLockedConnections);
await migrate(one, {
  schema: "orchestrator",
  directory: new URL("../orchestrator/migrations", import.meta.url).pathname,
  log: benchLog,
});
for (const setting of ["fsync", "synchronous_commit"]) {
  const { value } = await one.one<{ value: string }>("select current_setting($1) as value", [setting]);
  if (value !== "on") throw new Error(`${setting} is ${value}: what is measured would not be durable`);
}
await fillFleet(one, vmCount);

const results = { ours: [] as Measured[], two: [] as Measured[], silent: [] as Measured[], telling: [] as Measured[] };
for (let turn = 0; turn < rounds; turn++) {
  for (const [kind, tells] of [
    ["silent", false],
    ["telling", true],
  ] as const) {
    const statements = skipLocked(tells);
    await one.query(statements.before);
    results[kind].push(await measure([skipLockedSeats(wide, statements)]));
    await one.query(statements.after);
  }
  {
    await using replica = await openReplica(one, { index: 0, count: 1 });
    results.ours.push(await measure([replica.seats]));
  }
  {
    await using first = await openReplica(one, { index: 0, count: 2 });
    await using second = await openReplica(other, { index: 1, count: 2 });
    results.two.push(await measure([first.seats, second.seats]));
  }
  const unseated = Object.values(results).reduce((sum, all) => sum + all.at(-1)!.unseated, 0);
  if (unseated > 0) throw new Error(`${unseated} requests got no seat of a fleet that has many`);
  for (const [what, all] of Object.entries(results)) {
    const { perSecond, times, cpuUs } = all.at(-1)!;
    const cpu = `${Math.round(cpuUs.node)} + ${Math.round(cpuUs.database)} µs of CPU each`;
    console.log(`${what}: ${Math.round(perSecond)}/s, p99 ${percentile(times, 99).toFixed(1)} ms, ${cpu}`);
  }
  await one.query("vacuum analyze");
}

const broken = await brokenRules(one);
const violations = Object.values(broken).reduce((sum, count) => sum + Math.abs(count), 0);
if (violations > 0) console.log("broken rules", broken);
const median = (values: readonly number[]) => percentile(values, 50);
const ratio = (some: readonly Measured[], others: readonly Measured[]) =>
  round(median(some.map(({ perSecond }, i) => perSecond / others[i]!.perSecond)), 2);
const rate = (some: readonly Measured[]) => Math.round(median(some.map(({ perSecond }) => perSecond)));
report({
  bench: "allocate",
  assigns_per_s: rate(results.ours),
  p99_ms: round(median(results.ours.map(({ times }) => percentile(times, 99)))),
  ratio_vs_skip_locked: ratio(results.ours, results.silent),
  two_replicas_ratio: ratio(results.two, results.ours),
  double_bookings: violations,
  skip_locked_per_s: rate(results.silent),
  ratio_vs_skip_locked_notifying: ratio(results.ours, results.telling),
  cpu_us: round(median(results.ours.map(({ cpuUs }) => cpuUs.node + cpuUs.database))),
  skip_locked_cpu_us: round(median(results.silent.map(({ cpuUs }) => cpuUs.node + cpuUs.database))),
  vms: vmCount,
  load_1min: round(loadavg()[0]!),
});
if (violations > 0) process.exitCode = 1;
