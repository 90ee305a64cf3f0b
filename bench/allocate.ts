// Seats given per second: group commit against the one-row statement one would write first.
//
// 10,000 VMs, 256 callers in a closed loop: a seat, then its release, then the next; PostgreSQL with fsync and
// synchronous_commit. Measured by turns, so that what else this machine does hits all alike, median of 5: ours (one
// replica), ours (two replicas with 128 callers each), and `FOR UPDATE SKIP LOCKED` with an index made for it, writing
// the same rows. Afterwards the database is asked for everything that must not be. Repeat: npm run bench -- allocate
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
import { benchLog, brokenRules, fillFleet, skipLocked, startBenchDatabase } from "./support/fleet-store.js";
import { percentile, report, round } from "./support/statistics.js";

const smoke = process.argv.includes("--smoke");
const [vmCount, rounds, roundMs] = smoke ? [1_000, 1, 1_000] : [10_000, 5, 4_000];
const callers = 256;
/** More than ours has (3): one row at a time, waiting for the disk is done side by side. */
const skipLockedConnections = 16;

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

function naiveSeats(db: Database): Seats {
  const why = "x".repeat(300);
  return {
    async assign(sessionId, turn) {
      const demand = demandOf(request(turn), fallbackChains);
      const units = demand.templates.map((templateId) => unitsFor({ templateId, sessionsMax: null }, demand.preset));
      const spec = seatSpecOf(sessionId, demand, { cap: undefined, idleMs: 600_000 });
      const values = [demand.regions, demand.templates, units, sessionId, demand, spec, why];
      return (await db.query(skipLocked.assign, values)).length === 1;
    },
    release: (sessionId) => db.query(skipLocked.release, [sessionId]),
  };
}

/** Callers share the replicas; each takes a seat and gives it back, again and again. */
async function measure(replicas: readonly Seats[]): Promise<{ perSecond: number; times: number[]; unseated: number }> {
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
  return { perSecond: times.length / ((performance.now() - start) / 1000), times, unseated };
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

const results = { ours: [] as number[], two: [] as number[], naive: [] as number[] };
const p99s: number[] = [];
for (let turn = 0; turn < rounds; turn++) {
  {
    await one.query(skipLocked.before);
    const { perSecond } = await measure([naiveSeats(wide)]);
    await one.query(skipLocked.after);
    results.naive.push(perSecond);
  }
  {
    await using replica = await openReplica(one, { index: 0, count: 1 });
    const { perSecond, times, unseated } = await measure([replica.seats]);
    if (unseated > 0) throw new Error(`${unseated} requests got no seat of a fleet that has many`);
    results.ours.push(perSecond);
    p99s.push(percentile(times, 99));
  }
  {
    await using first = await openReplica(one, { index: 0, count: 2 });
    await using second = await openReplica(other, { index: 1, count: 2 });
    results.two.push((await measure([first.seats, second.seats])).perSecond);
  }
  const last = (values: number[]) => Math.round(values.at(-1)!);
  console.log(
    `${last(results.ours)}/s, two replicas ${last(results.two)}/s, skip locked ${last(results.naive)}/s, p99 ${p99s.at(-1)!.toFixed(1)} ms`,
  );
  await one.query("vacuum analyze");
}

const broken = await brokenRules(one);
const violations = Object.values(broken).reduce((sum, count) => sum + Math.abs(count), 0);
if (violations > 0) console.log("broken rules", broken);
const median = (values: readonly number[]) => percentile(values, 50);
report({
  bench: "allocate",
  assigns_per_s: Math.round(median(results.ours)),
  p99_ms: round(median(p99s)),
  ratio_vs_skip_locked: round(median(results.ours.map((rate, i) => rate / results.naive[i]!)), 2),
  two_replicas_ratio: round(median(results.two.map((rate, i) => rate / results.ours[i]!)), 2),
  double_bookings: violations,
  skip_locked_per_s: Math.round(median(results.naive)),
  vms: vmCount,
  load_1min: round(loadavg()[0]!),
});
if (violations > 0) process.exitCode = 1;
