// Isolation, which the simulation cannot show: its store does one verb after the other. Here many clients call verbs at
// the same time, over several connection pools, on the real PostgreSQL, and the recorded history is checked:
//
// 1. Of one VM and its sessions: that the calls can be put in one order which real time allows, and in which the store in
//    memory answers each as it was answered (linearizability; Wing & Gong, 1993). `lost` may be said without need, since
//    it changes nothing and the allocator chooses again; of `known` and `lost` the VM's state beside them is not compared.
//    Nor is what a heartbeat heard, which is of the instant it began (ADR 18), but what it did is.
// 2. Of a whole fleet with its queue and pools, undisturbed and with connections breaking: what must hold in every
//    interleaving. Units are the seats' sum, states fit the seats, every version of every VM is told exactly once,
//    events of a VM come in the order of its versions, and seats are taken and given back in turn; what was acknowledged
//    is in the outbox, and no place ever has more VMs than it may.
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { PresetId } from "../../src/contracts/catalog.js";
import { Problem } from "../../src/contracts/problems.js";
import { sqlStore } from "../../src/orchestrator/sql-store.js";
import type { OrchestratorStore } from "../../src/orchestrator/store.js";
import { type Database, openDatabase } from "../../src/platform/database.js";
import { silentLog } from "../../src/platform/test-postgres.js";
import {
  memorySubject,
  type SqlSubject,
  StoreStage,
  type StoreUnderTest,
  sqlSubject,
  vmsMax,
} from "../support/store-stage.js";

const poolCount = 3;
let sql: SqlSubject;
let pools: Database[];
beforeAll(async () => {
  sql = await sqlSubject();
  pools = Array.from({ length: poolCount }, () =>
    openDatabase({ url: sql.url, applicationName: "client", log: silentLog }),
  );
});
afterAll(async () => {
  for (const pool of pools) await pool[Symbol.asyncDispose]();
  await sql[Symbol.asyncDispose]();
});
beforeEach(() => sql.empty());

/** A stage of its own connection pool; the tables are everybody's. */
const stageOn = (pool: Database, nowMs = Date.now()): StoreStage => {
  const subject: StoreUnderTest = { ...sql, open: (settings) => sqlStore(pool, settings) };
  const stage = new StoreStage(subject);
  stage.nowMs = nowMs;
  return stage;
};

const presets: readonly PresetId[] = ["default-standard", "default-high", "default-competitive"];
const end = { reason: "over", force: true };

describe("calls about one VM", () => {
  interface Op {
    readonly kind: "give" | "leave" | "get" | "find" | "take" | "beat" | "silent" | "drain" | "end" | "force";
    readonly session: number;
    readonly preset: number;
  }

  interface Call {
    readonly op: Op;
    readonly invokedAt: number;
    readonly answeredAt: number;
    readonly answer: string;
  }

  /** The answer as it is compared, and nothing that may be of another instant. */
  async function perform(stage: StoreStage, vmId: string, { kind, session, preset }: Op): Promise<string> {
    const { vms, seats, placements } = stage.store;
    const sessionId = `${vmId}-s${session}`;
    const stateOf = ({ version, usedUnits, status }: { version: number; usedUnits: number; status: string }) =>
      `${status} ${version} ${usedUnits}`;
    try {
      switch (kind) {
        case "give": {
          const given = await seats.give([stage.chosen(sessionId, vmId, { presetId: presets[preset] })], stage.now);
          const [outcome] = given.outcomes;
          return outcome === "seated" ? `seated ${stateOf(given.vms[0]!)}` : outcome!;
        }
        case "leave": {
          const leaving = { sessionId, vmId: null, reason: "left", expected: null };
          const { left, vms: after } = await seats.giveBack([leaving], stage.now);
          return left[0] ? `left ${stateOf(after[0]!)}` : "had none";
        }
        case "get": {
          const { status, version, units, sessions, reachable } = await vms.get(vmId);
          return `${stateOf({ status, version, usedUnits: units.used })} ${reachable} ${sessions.toSorted().join()}`;
        }
        case "find":
          return (await placements.find(sessionId))?.kind ?? "nowhere";
        case "take":
          await placements.seatOn(vmId, () => stage.session(sessionId, { presetId: presets[preset] }));
          return "taken";
        case "beat":
          await stage.beat([vmId, 0]);
          return "beaten";
        case "silent":
          await vms.markUnreachable(vmId, stage.at(1));
          return "marked";
        case "drain":
          await vms.drain(vmId, { reason: "old", deadlineAt: stage.now });
          return "drained";
        default:
          await vms.terminate(vmId, { reason: "over", force: kind === "force" });
          return "ended";
      }
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return error.type;
    }
  }

  /** All clients at once, each one call after the other. */
  async function record(clients: readonly (readonly Op[])[], vmId: string): Promise<Call[]> {
    let moment = 0;
    // Of one clock, as in the model: by another's, a millisecond behind, who is silent had been heard since.
    const nowMs = Date.now();
    const calls: Call[] = [];
    const run = async (ops: readonly Op[], i: number) => {
      const stage = stageOn(pools[i % poolCount]!, nowMs);
      for (const op of ops) {
        const invokedAt = moment++;
        const answer = await perform(stage, vmId, op);
        calls.push({ op, invokedAt, answeredAt: moment++, answer });
      }
    };
    await Promise.all(clients.map(run));
    return calls;
  }

  async function modelAfter(calls: readonly Call[]): Promise<StoreStage> {
    const stage = new StoreStage(await memorySubject());
    await stage.ready("vm");
    for (const { op, answer } of calls) if (answer !== "lost") await perform(stage, "vm", op);
    return stage;
  }

  /** An order that explains every answer, or null. */
  async function explain(calls: readonly Call[], vmId: string): Promise<readonly Call[] | null> {
    const seen = new Set<string>();
    const search = async (done: readonly Call[]): Promise<readonly Call[] | null> => {
      const rest = calls.filter((call) => !done.includes(call));
      if (rest.length === 0) return done;
      const state = await perform(await modelAfter(done), "vm", { kind: "get", session: 0, preset: 0 });
      const place = `${rest.map(({ invokedAt }) => invokedAt).join()} ${state}`;
      if (seen.has(place)) return null;
      seen.add(place);
      const firstAnswer = Math.min(...rest.map(({ answeredAt }) => answeredAt));
      for (const call of rest.filter(({ invokedAt }) => invokedAt < firstAnswer)) {
        const expected = call.answer === "lost" ? "lost" : await perform(await modelAfter(done), "vm", call.op);
        if (expected !== call.answer.replaceAll(vmId, "vm")) continue;
        const found = await search([...done, call]);
        if (found !== null) return found;
      }
      return null;
    };
    return search([]);
  }

  const op = fc.record<Op>({
    kind: fc.constantFrom(
      ...([
        "give",
        "give",
        "give",
        "give",
        "leave",
        "leave",
        "leave",
        "get",
        "find",
        "take",
        "beat",
        "silent",
      ] as const),
      ...(["drain", "end", "force"] as const),
    ),
    session: fc.nat(4),
    preset: fc.nat(2),
  });

  test("are answered as if they had come one after the other", async () => {
    const clients = fc.array(fc.array(op, { minLength: 3, maxLength: 5 }), { minLength: 3, maxLength: 4 });
    const histories = fc.sample(clients, 60);
    const stage = stageOn(pools[0]!);
    // Eight VMs' histories at a time: they meet in the same tables, and must not feel each other.
    for (let from = 0; from < histories.length; from += 8)
      await Promise.all(
        histories.slice(from, from + 8).map(async (history, i) => {
          const vmId = `vm-${from + i}`;
          await stage.store.vms.create(
            { vmId, region: "us-east-1", templateId: "L4-360", provider: "simulated", tenant: null },
            { ...stage.settings, places: () => ({ provider: "simulated", vmsMax: 1_000 }) },
          );
          await stage.store.vms.markLaunched(vmId);
          await stage.store.vms.markReady(vmId);
          const calls = await record(history, vmId);
          const order = await explain(calls, vmId);
          expect(order, JSON.stringify(calls, null, 1)).not.toBeNull();
        }),
      );
  }, 60_000);

  test("are told apart from answers that no order explains", async () => {
    const call = (kind: Op["kind"], times: readonly [number, number], answer: string): Call => ({
      op: { kind, session: 0, preset: 2 },
      invokedAt: times[0],
      answeredAt: times[1],
      answer,
    });
    const seated = call("give", [0, 3], "seated IN_USE 4 60");
    expect(await explain([seated, call("find", [1, 2], "nowhere")], "vm")).not.toBeNull();
    expect(await explain([seated, call("find", [4, 5], "nowhere")], "vm")).toBeNull();
    const other = {
      ...call("give", [1, 2], "seated IN_USE 4 60"),
      op: { kind: "give", session: 1, preset: 2 },
    } as const;
    expect(await explain([seated, other], "vm")).toBeNull();
  });
});

describe("a fleet that everybody acts on at once", () => {
  interface Acknowledged {
    readonly seats: string[];
    readonly leaves: string[];
  }

  const kinds = [
    ...(["give", "give", "give", "give", "give", "leave", "leave", "leave", "take", "enqueue", "withdraw"] as const),
    ...(["withdraw", "settle", "create", "boot", "boot", "boot", "beat", "beat", "silent", "claim"] as const),
    ...(["scale", "drain", "fail", "end", "reconcile", "reconcile"] as const),
  ];
  interface Move {
    readonly kind: (typeof kinds)[number];
    readonly n: number;
    readonly session: number;
  }
  const move = fc.record<Move>({ kind: fc.constantFrom(...kinds), n: fc.nat(1_000), session: fc.nat(39) });

  /** What a busy fleet may answer to anyone; `unavailable` only while connections break. */
  const expected = [
    "illegal-transition",
    "no-free-seat",
    "not-found",
    "session-elsewhere",
    "vm-has-sessions",
    "capacity-exhausted",
  ];

  async function act(stage: StoreStage, vmIds: readonly string[], { kind, n, session }: Move, said: Acknowledged) {
    const { vms, seats, placements, pools: warm } = stage.store;
    const vmId = vmIds[n % vmIds.length] ?? "vm-none";
    const idOf = (i: number) => `s${(session + i) % 40}`;
    stage.nowMs = Date.now();
    switch (kind) {
      case "give": {
        const batch = Array.from({ length: 1 + (n % 5) }, (_, i) =>
          stage.chosen(idOf(i), vmIds[(n + i) % vmIds.length] ?? "vm-none", { presetId: presets[(n + i) % 3] }),
        );
        const { outcomes } = await seats.give(batch, stage.now);
        for (const [i, outcome] of outcomes.entries())
          if (outcome === "seated") said.seats.push(`${batch[i]!.placement.sessionId} ${batch[i]!.vmId}`);
        return;
      }
      case "leave": {
        const leavings = Array.from({ length: 1 + (n % 4) }, (_, i) => ({
          sessionId: idOf(i),
          vmId: null,
          reason: "left",
          expected: null,
        }));
        const { left } = await seats.giveBack(leavings, stage.now);
        for (const [i, { sessionId }] of leavings.entries()) if (left[i]) said.leaves.push(sessionId);
        return;
      }
      case "take":
        await placements.seatOn(vmId, () => stage.session(idOf(0), { presetId: presets[n % 3] }));
        return;
      case "enqueue":
        return stage.enqueue(stage.session(idOf(0), { presetId: presets[n % 3], tenant: `t${n % 3}` }));
      case "withdraw":
        for (const sessionId of await stage.queue()) await placements.leaveQueue(sessionId);
        return;
      case "settle":
        return placements.settle();
      case "create":
        await stage.provision(`vm-c${n}`);
        return;
      case "boot":
        for (const { vmId: id, status } of await stage.records()) {
          if (status === "PROVISIONING") await vms.markLaunched(id).catch(ignoreRefusal);
          if (status === "BOOTING") await vms.markReady(id).catch(ignoreRefusal);
        }
        return;
      case "beat":
        await stage.beat(...vmIds.map((id) => [id, 0] as const));
        return;
      case "silent":
        return vms.markUnreachable(vmId, stage.at(1));
      case "claim":
        await vms.claimLaunch(vmId, { bootstrapHash: "hash", expiresAt: stage.at(1_000), claimedBefore: stage.now });
        return;
      case "scale":
        await warm.scale(({ fleet, memory }) => ({
          launches: fleet.vms.length < 3 ? [{ region: "us-east-1", templateId: "L4-360" }] : [],
          drains: fleet.vms.flatMap(({ vmId: id, status }) => (status === "READY" ? [id] : [])).slice(0, 1),
          memory,
          pools: [],
        }));
        return;
      case "drain":
        await vms.drain(vmId, { reason: "old", deadlineAt: stage.now });
        return;
      case "fail":
        await vms.fail(vmId, { code: "broken", message: "Broken." });
        return;
      case "end":
        await vms.terminate(vmId, { reason: "over", force: n % 2 === 0 });
        return;
      case "reconcile":
        for (const { vmId: id, status, sessions } of await stage.records())
          if (status === "ERROR" || (status === "DRAINING" && sessions === 0)) await vms.terminate(id, end);
    }
  }

  const ignoreRefusal = (error: unknown) => {
    if (!(error instanceof Problem && expected.includes(error.type))) throw error;
  };

  /** Clients act until all moves are made; answers what they were told. */
  async function actTogether(options: { moves: number; clients: number; breaking: boolean }): Promise<Acknowledged> {
    const { moves, clients, breaking } = options;
    const said: Acknowledged = { seats: [], leaves: [] };
    const left = fc.sample(move, moves).values();
    const client = async (_: unknown, i: number) => {
      const stage = new StoreStage(
        { ...sql, open: (settings) => sqlStore(pools[i % poolCount]!, settings) },
        { newVmId: () => `vm-${i}-${made++}` },
      );
      for (const next of left) {
        try {
          const vmIds = (await stage.store.fleetFeed.read()).map(({ vmId }) => vmId).sort();
          await act(stage, vmIds, next, said);
        } catch (error) {
          if (breaking && error instanceof Problem && error.type === "unavailable") continue;
          ignoreRefusal(error);
        }
      }
    };
    let made = 0;
    const all = Promise.all(Array.from({ length: clients }, client));
    let over = false;
    const breaker = async () => {
      while (!over) {
        await sql.database.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
            where application_name = 'client' and state = 'active' limit 1`,
        );
        await new Promise((resolve) => setTimeout(resolve, 15));
      }
    };
    const broken = breaking ? breaker() : null;
    await all.finally(() => {
      over = true;
    });
    await broken;
    return said;
  }

  async function expectSound(): Promise<void> {
    const { database } = sql;
    const unsound = await database.query(`
      select v.vm_id, v.status, v.used_units, coalesce(sum(p.units), 0) as units, count(p.*) as seats
        from orchestrator.vms v left join orchestrator.placements p on p.vm_id = v.vm_id
       group by v.vm_id
      having v.used_units <> coalesce(sum(p.units), 0) or v.used_units > 60
          or (v.status = 'IN_USE') <> (count(p.*) > 0 and v.status <> 'DRAINING')
          or (v.status in ('PROVISIONING', 'BOOTING', 'READY', 'ERROR', 'TERMINATED') and count(p.*) > 0)`);
    expect(unsound).toEqual([]);
    const strays = await database.query(`
      select p.session_id from orchestrator.placements p
        left join orchestrator.vms v on v.vm_id = p.vm_id
        left join orchestrator.decisions d on d.session_id = p.session_id
       where p.vm_id is not null and (v.vm_id is null or d.vm_id <> p.vm_id or d.vm_id is null)`);
    expect(strays).toEqual([]);
  }

  /** The outbox alone tells who sits where, and never of more VMs than a place may have. */
  async function expectEventsInTurn(): Promise<{ assigned: string[]; released: string[] }> {
    const seats = new Map<string, string>();
    const live = new Map<string, Set<string>>();
    const assigned: string[] = [];
    const released: string[] = [];
    for (const event of await new StoreStage(sql).events()) {
      if (event.type === "VMProvisioned" || event.type === "VMTerminated") {
        const place = `${event.data.region}/${event.data.templateId}`;
        const vms = live.get(place) ?? new Set();
        live.set(place, vms);
        if (event.type === "VMProvisioned") vms.add(event.subject);
        else vms.delete(event.subject);
        expect(vms.size).toBeLessThanOrEqual(vmsMax);
      }
      if (event.type === "SessionAssigned") {
        expect(seats.has(event.data.sessionId)).toBe(false);
        seats.set(event.data.sessionId, event.data.vmId);
        assigned.push(`${event.data.sessionId} ${event.data.vmId}`);
      }
      if (event.type === "SessionReleased" && event.data.vmId !== "") {
        expect(seats.get(event.data.sessionId)).toBe(event.data.vmId);
        seats.delete(event.data.sessionId);
        released.push(event.data.sessionId);
      }
    }
    const rows = await sql.database.query<{ id: string; vm: string }>(
      "select session_id as id, vm_id as vm from orchestrator.placements where vm_id is not null",
    );
    expect(new Map(rows.map(({ id, vm }) => [id, vm]))).toEqual(seats);
    return { assigned, released };
  }

  async function expectVersionsInOrder(): Promise<void> {
    const backwards = await sql.database.query(`
      select * from (select subject, seq, vm_version, lag(vm_version) over (partition by subject order by seq) as before
                       from orchestrator.outbox where vm_version is not null) versions
       where before > vm_version`);
    expect(backwards).toEqual([]);
  }

  /** Every version that was heard, by VM, from the first commit on. */
  async function hearVersions(store: OrchestratorStore) {
    const heard = new Map<string, number[]>();
    let listens = () => {};
    const listening = new Promise<void>((resolve) => {
      listens = resolve;
    });
    const feed = store.fleetFeed.listen((notice) => {
      if (notice.kind === "listening") return listens();
      for (const { vmId, version } of notice.vms) heard.set(vmId, [...(heard.get(vmId) ?? []), version]);
    });
    await listening;
    return { heard, feed };
  }

  const uses = (items: readonly string[]) => {
    const counts = new Map<string, number>();
    for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
    return counts;
  };

  /** Whatever a client was told happened is in the outbox, as often as it was told. */
  function expectAcknowledged(said: readonly string[], happened: readonly string[]): void {
    const [told, there] = [uses(said), uses(happened)];
    expect([...told].filter(([item, count]) => (there.get(item) ?? 0) < count)).toEqual([]);
  }

  test("stays sound, and tells every version of every VM once and in order", async () => {
    const { heard, feed } = await hearVersions(new StoreStage(sql).store);
    const said = await actTogether({ moves: 2_000, clients: 12, breaking: false });
    await expectSound();
    await expectVersionsInOrder();
    const { assigned, released } = await expectEventsInTurn();
    expectAcknowledged(said.seats, assigned);
    expectAcknowledged(said.leaves, released);
    expect(said.seats.length).toBeGreaterThan(10);
    const rows = await sql.database.query<{ vmId: string; version: number }>(
      `select vm_id as "vmId", version from orchestrator.vms where status <> 'TEMPLATE'`,
    );
    const dense = rows.map(({ vmId, version }) => [vmId, Array.from({ length: version }, (_, i) => i + 1)] as const);
    await expect.poll(() => heard, { timeout: 15_000 }).toEqual(new Map(dense));
    await feed[Symbol.asyncDispose]();
  }, 60_000);

  test("stays sound while connections break, and nothing that was acknowledged is lost", async () => {
    const said = await actTogether({ moves: 1_200, clients: 12, breaking: true });
    await expectSound();
    await expectVersionsInOrder();
    const { assigned, released } = await expectEventsInTurn();
    expectAcknowledged(said.seats, assigned);
    expectAcknowledged(said.leaves, released);
  }, 60_000);
});
