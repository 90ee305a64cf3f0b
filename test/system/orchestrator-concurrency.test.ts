// Isolation on the real PostgreSQL: two replicas, each with its own connections, act on one fleet at the same time.
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { PresetId } from "../../src/contracts/catalog.js";
import { orchestratorRoutes as routes } from "../../src/contracts/orchestrator.js";
import { Problem } from "../../src/contracts/problems.js";
import { advance, type Cursor, cursorAfter } from "../../src/orchestrator/events/cursor.js";
import { readOutbox } from "../../src/orchestrator/events/outbox-store.js";
import {
  emptyFleet,
  startDatabase,
  startOrchestrator,
  type TestDatabase,
  type TestOrchestrator,
  vmIn,
} from "./orchestrator-fixture.js";

let db: TestDatabase;
let replicas: [TestOrchestrator, TestOrchestrator];

beforeAll(async () => {
  db = await startDatabase();
  const start = () => startOrchestrator(db, { idle: true, config: { places: [{ vmsMax: 4 }] } });
  replicas = [await start(), await start()];
});
afterAll(async () => {
  for (const replica of replicas) await replica[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});
beforeEach(() => emptyFleet(replicas[0].database));

const presets: readonly PresetId[] = ["default-standard", "default-high", "default-competitive"];
const operator = (i: number) => replicas[i % 2]!.as("operate");
const assign = (i: number, sessionId: string, presetId?: PresetId) =>
  operator(i).call(routes.assign, { body: { sessionId, request: { gameId: "demo", client: "api", presetId } } });

/** Expected refusals of a busy fleet count as done; anything else fails the test. */
const tolerate = (call: Promise<unknown>) =>
  call.catch((error: unknown) => {
    const expected = [
      "illegal-transition",
      "no-free-seat",
      "not-found",
      "session-elsewhere",
      "vm-has-sessions",
      "capacity-exhausted",
    ];
    if (!(error instanceof Problem && expected.includes(error.type))) throw error;
  });

/** What a broken connection may cost: an answer, never a wrong one. */
const tolerateLoss = <T>(call: Promise<T>): Promise<T | null> =>
  call.catch((error: unknown) => {
    if (!(error instanceof Problem && error.type === "unavailable")) throw error;
    return null;
  });

/** What must hold whatever happened. */
async function expectSound(): Promise<void> {
  const { database } = replicas[0];
  const broken = await database.query(`
    select v.vm_id, v.status, v.used_units, coalesce(sum(p.units), 0) as units, count(p.*) as seats
      from orchestrator.vms v left join orchestrator.placements p on p.vm_id = v.vm_id
     group by v.vm_id
    having v.used_units <> coalesce(sum(p.units), 0) or v.used_units > 60
        or (v.status = 'IN_USE') <> (count(p.*) > 0 and v.status <> 'DRAINING')
        or (v.status in ('PROVISIONING', 'BOOTING', 'READY', 'ERROR', 'TERMINATED') and count(p.*) > 0)`);
  expect(broken).toEqual([]);
  const strays = await database.query(`
    select from orchestrator.placements p left join orchestrator.vms v on v.vm_id = p.vm_id
     where p.vm_id is not null and v.vm_id is null`);
  expect(strays).toEqual([]);
  const { over } = await database.one<{ over: number }>(`
    select count(*) as over from (
      select 1 from orchestrator.vms where status not in ('TEMPLATE', 'TERMINATED')
       group by region, template_id having count(*) > 4) places`);
  expect(over).toBe(0);
}

/** Every seat taken was told of, and every one given back, in turn. */
async function expectEventsInTurn(): Promise<void> {
  const seats = new Map<string, string>();
  for (const event of await replicas[0].events()) {
    if (event.type === "SessionAssigned") {
      expect(seats.has(event.data.sessionId)).toBe(false);
      seats.set(event.data.sessionId, event.data.vmId);
    } else if (event.type === "SessionReleased") {
      expect(seats.get(event.data.sessionId)).toBe(event.data.vmId);
      seats.delete(event.data.sessionId);
    }
  }
  const rows = await replicas[0].database.query<{ id: string; vm: string }>(
    "select session_id as id, vm_id as vm from orchestrator.placements where vm_id is not null",
  );
  expect(new Map(rows.map(({ id, vm }) => [id, vm]))).toEqual(seats);
}

describe("two replicas", () => {
  test("never give a VM more than it has, whatever mix of presets asks at once", async () => {
    for (let i = 0; i < 3; i++) await vmIn(replicas[0], "READY");
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => assign(i, `s${i}`, presets[i % 3])));
    await expectSound();
    await expectEventsInTurn();
    const seated = answers.filter(({ body }) => body.status === "ASSIGNED");
    expect(seated.length).toBeGreaterThanOrEqual(3);
    const { body } = await operator(0).call(routes.metrics);
    expect(body.waiting).toBe(40 - seated.length);
  });

  test("answer one session the same, however often and wherever it is asked for", async () => {
    for (let i = 0; i < 2; i++) await vmIn(replicas[0], "READY");
    const seated = await Promise.all(Array.from({ length: 20 }, (_, i) => assign(i, "same")));
    expect(new Set(seated.map(({ body }) => JSON.stringify(body))).size).toBe(1);
    await emptyFleet(replicas[0].database);
    await Promise.all(Array.from({ length: 20 }, (_, i) => assign(i, "same")));
    const { body: metrics } = await operator(0).call(routes.metrics);
    expect([metrics.waiting, metrics.vms]).toEqual([1, 1]);
    await expectSound();
  });

  test("make no more VMs than those who wait need", async () => {
    await Promise.all(Array.from({ length: 16 }, (_, i) => assign(i, `s${i}`)));
    const { body } = await operator(0).call(routes.metrics);
    expect([body.waiting, body.vms]).toEqual([16, 4]);
  });

  test("stay sound through any history of assigning, releasing, breaking, draining and ending", async () => {
    type Step = { kind: string; session: number; vm: number; preset: PresetId };
    const step = fc.record<Step>({
      kind: fc.constantFrom(
        "assign",
        "assign",
        "assign",
        "take",
        "withdraw",
        "withdraw",
        "error",
        "drain",
        "end",
        "more",
      ),
      session: fc.nat(7),
      vm: fc.nat(2),
      preset: fc.constantFrom(...presets),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { minLength: 2, maxLength: 8 }), { maxLength: 5 }), async (rounds) => {
        await emptyFleet(replicas[0].database);
        const vmIds = await Promise.all([0, 1, 2].map(async () => (await vmIn(replicas[0], "READY")).vmId));
        const act = async ({ kind, session, vm, preset }: Step, i: number): Promise<unknown> => {
          const sessionId = `s${session}`;
          const params = { vmId: vmIds[vm]! };
          const call = operator(i);
          switch (kind) {
            case "assign":
              return assign(i, sessionId, preset);
            case "take":
              return call.call(routes.assign, { body: { sessionId, ...params } });
            case "withdraw":
              return call.call(routes.withdraw, { params: { sessionId } });
            case "error":
              return call.call(routes.reportError, { params, body: { errorCode: "broken", errorMessage: "Broken." } });
            case "drain":
              return call.call(routes.drain, { params, body: {} });
            case "end":
              return call.call(routes.terminate, { params, body: { force: session % 2 === 0 } });
            default:
              vmIds[vm] = (await vmIn(replicas[i % 2]!, "READY", { region: "us-west-2" })).vmId;
          }
        };
        for (const round of rounds) {
          const calls = await Promise.allSettled(round.map((step, i) => tolerate(act(step, i))));
          expect(calls.flatMap((call) => (call.status === "rejected" ? [String(call.reason)] : []))).toEqual([]);
        }
        await expectSound();
        await expectEventsInTurn();
      }),
      { numRuns: 12 },
    );
  });
});

describe("seats given in batches", () => {
  /** How many statements gave seats or took them back. */
  const batches = async () => {
    const rows = await replicas[0].database.query<{ at: Date }>(
      "select distinct xmin::text as at from orchestrator.outbox where type = 'SessionAssigned'",
    );
    return rows.length;
  };

  test("each goes to one session only, though every session asks twice, at both replicas, and others leave", async () => {
    for (let i = 0; i < 4; i++) await vmIn(replicas[0], "READY");
    for (let i = 0; i < 4; i++) await vmIn(replicas[1], "READY", { region: "us-west-2", templateId: "A16" });
    const leaving = Array.from({ length: 6 }, (_, i) => `early-${i}`);
    await Promise.all(leaving.map((sessionId, i) => assign(i, sessionId)));
    const asked = Array.from({ length: 60 }, (_, i) => i % 30);
    const [answers] = await Promise.all([
      Promise.all(asked.map((session, i) => assign(Math.floor(i / 30), `s${session}`, presets[session % 2]))),
      Promise.all(leaving.map((sessionId, i) => operator(i + 1).call(routes.withdraw, { params: { sessionId } }))),
    ]);
    await expectSound();
    await expectEventsInTurn();
    for (let session = 0; session < 30; session++) {
      const { body } = await operator(0).call(routes.getPlacement, { params: { sessionId: `s${session}` } });
      for (const answer of [answers[session]!.body, answers[session + 30]!.body])
        if (answer.status === "ASSIGNED") expect(answer).toEqual(body);
    }
    expect(await batches()).toBeLessThan(30);
  });

  test("a burst takes every seat there is before anybody waits", async () => {
    for (let i = 0; i < 4; i++) await vmIn(replicas[0], "READY");
    const answers = await Promise.all(Array.from({ length: 16 }, (_, i) => assign(i, `s${i}`)));
    expect(answers.map(({ body }) => body.status)).toEqual(Array(16).fill("ASSIGNED"));
    expect((await assign(0, "one-more")).body.status).not.toBe("ASSIGNED");
  });

  test("a replica that knows nothing of a VM yet, or something old, still gives its seats", async () => {
    await vmIn(replicas[0], "READY");
    const { database } = replicas[1];
    // Behind the replicas' backs, as if the notification were late.
    await database.query("alter table orchestrator.vms disable trigger user");
    const { vmId } = await vmIn(replicas[0], "READY", { templateId: "L4-90" });
    await database.query("update orchestrator.vms set used_units = 60, version = version + 1 where vm_id <> $1", [
      vmId,
    ]);
    await database.query("alter table orchestrator.vms enable trigger user");
    const { body } = await assign(1, "s");
    expect(body).toMatchObject({ status: "ASSIGNED", vmId });
    await database.query("update orchestrator.vms set used_units = 0 where vm_id <> $1", [vmId]);
  });

  test("what was answered is there, though connections break in the middle", async () => {
    for (let i = 0; i < 4; i++) await vmIn(replicas[0], "READY");
    const { database } = replicas[0];
    let over = false;
    const breaking = (async () => {
      while (!over) {
        await tolerateLoss(
          database.query(
            `select pg_terminate_backend(pid) from pg_stat_activity
              where application_name = 'test' and state = 'active' and pid <> pg_backend_pid() limit 1`,
          ),
        );
        await new Promise(setImmediate);
      }
    })();
    const answered = new Map<string, string>();
    await Promise.all(
      Array.from({ length: 14 }, async (_, i) => {
        const answer = await tolerateLoss(assign(i, `s${i}`));
        if (answer?.body.status === "ASSIGNED") answered.set(`s${i}`, answer.body.vmId);
      }),
    );
    over = true;
    await breaking;
    await expectSound();
    await expectEventsInTurn();
    const rows = await database.query<{ id: string; vm: string }>(
      "select session_id as id, vm_id as vm from orchestrator.placements where vm_id is not null",
    );
    const seats = new Map(rows.map(({ id, vm }) => [id, vm]));
    for (const [sessionId, vmId] of answered) expect(seats.get(sessionId)).toBe(vmId);
    for (let i = 0; i < 14; i++) expect((await assign(i, `s${i}`)).body.status).toBe("ASSIGNED");
    await expectEventsInTurn();
  });
});

test("the outbox is read without a gap and in each VM's order while transactions overlap", async () => {
  const [writer, reader] = [replicas[0], replicas[1].database];
  for (let i = 0; i < 4; i++) await vmIn(writer, "READY");
  let cursor: Cursor = cursorAfter(0);
  const seen: number[] = [];
  let over = false;
  const reading = (async () => {
    for (let quiet = 0; quiet < 3; ) {
      const step = advance(cursor, await readOutbox(reader, cursor, 5));
      seen.push(...step.publish.map(({ seq }) => seq));
      cursor = step.cursor;
      quiet = over && step.publish.length === 0 && cursor.gap === null ? quiet + 1 : 0;
    }
  })();
  await Promise.all(
    Array.from({ length: 60 }, async (_, i) => {
      await tolerate(assign(i, `s${i}`, i % 2 === 0 ? "default-standard" : "default-high"));
      if (i % 2 === 0) await operator(i + 1).call(routes.withdraw, { params: { sessionId: `s${i}` } });
    }),
  );
  over = true;
  await reading;
  const rows = await reader.query<{ seq: number }>("select seq from orchestrator.outbox order by seq");
  expect(seen).toEqual(rows.map(({ seq }) => seq));
});
