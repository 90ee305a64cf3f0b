// The simulation's memory is PostgreSQL's equal: whatever verbs are called, one after the other, both answer the same
// (or refuse in the same words), and both show the same VMs, seats, queue, holds, decisions and events afterwards.
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PresetId } from "../../src/contracts/catalog.js";
import { Problem } from "../../src/contracts/problems.js";
import { poolsOf } from "../../src/orchestrator/placement/capacity.js";
import type { MetEta } from "../../src/orchestrator/placement/eta.js";
import { placeKey } from "../../src/orchestrator/placement/fleet.js";
import type { PoolReading, VmNews } from "../../src/orchestrator/store.js";
import { Quotas } from "../../src/platform/quotas.js";
import {
  byId,
  memorySubject,
  type SqlSubject,
  StoreStage,
  type StoreUnderTest,
  sqlSubject,
} from "../support/store-stage.js";

let memory: StoreUnderTest;
let sql: SqlSubject;
beforeAll(async () => {
  memory = await memorySubject();
  sql = await sqlSubject();
});
afterAll(async () => {
  await memory[Symbol.asyncDispose]();
  await sql[Symbol.asyncDispose]();
});

const quotas = new Quotas({ greedy: { waitingMax: 2, vmsMax: 2 } });
const presets: readonly PresetId[] = ["default-standard", "default-high", "default-competitive"];
const key = { kty: "OKP", crv: "Ed25519", x: "x" } as const;
const policy = { holdMs: 1_000, holdMsMax: 4_000 };
const place = { region: "us-east-1", templateId: "L4-360" } as const;
const elsewhere = { region: "us-west-2", templateId: "A16" } as const;

/** One call; `vm` and `other` count through the VMs there are, the rest is for the verb to make use of. */
interface Step {
  readonly verb: string;
  readonly vm: number;
  readonly other: number;
  readonly session: number;
  readonly n: number;
  readonly afterMs: number;
}

/** On one of the two stages. */
interface Call extends Step {
  readonly stage: StoreStage;
  readonly vmId: string;
  readonly otherVmId: string;
  readonly sessionId: string;
}

const presetOf = (n: number) => presets[n % presets.length]!;
const tenantOf = (session: number) => (session % 3 === 0 ? "small" : "greedy");
/** A quarter of the writes is meant for one version, which may be the VM's. */
const expectedOf = (n: number) => (n % 4 === 3 ? [n % 5] : null);

const wishOf = ({ session, n }: Step) => ({
  presetId: presetOf(n),
  tenant: tenantOf(session),
  waitMs: 1_000 * (1 + (n % 4)),
  ...(n % 2 === 0 && { rttMsMax: 10 }),
});

/** Seats of one batch: the first VM and the other by turns. */
const batchOf = ({ stage, vmId, otherVmId, session, n }: Call) =>
  Array.from({ length: 1 + (n % 4) }, (_, i) =>
    stage.chosen(`s${(session + i) % 9}`, i % 2 === 0 ? vmId : otherVmId, {
      presetId: presetOf(n + i),
      tenant: tenantOf(session + i),
    }),
  );

/** Makes a VM where there are few, drains the empty ones where there are many. */
const planOf = ({ fleet, memory: before }: PoolReading, nowMs: number) => {
  const ready = byId(fleet.vms).filter(({ status, usedUnits }) => status === "READY" && usedUnits === 0);
  const scaledOutAtMs = fleet.vms.length < 2 ? nowMs : null;
  const pool = { scaledOutAtMs, scaledInAtMs: null, surplusSinceMs: ready.length > 1 ? nowMs : null };
  return {
    launches: scaledOutAtMs === null ? [] : [place],
    drains: ready.slice(1).map(({ vmId }) => vmId),
    memory: new Map([...before, [placeKey(place.region, place.templateId), pool]]),
    pools: [],
  };
};

const verbs: Readonly<Record<string, (call: Call) => Promise<unknown>>> = {
  create: ({ stage, n }: Call) =>
    stage.provision(`vm-${n % 5}`, { ...(n % 4 === 0 ? elsewhere : place), ...(n % 3 === 0 && { tenant: "greedy" }) }),
  ready: async ({ stage, vmId, n }: Call) => {
    const { vms } = stage.store;
    await vms.markLaunched(vmId);
    const sustains = { width: 1920, height: 1080, fps: 60 };
    const capabilities = { encoder: "libx264", pixelsPerSecond: 1e8, sustains, sessionsMax: 1 + (n % 6) };
    return vms.markReady(vmId, n % 3 === 0 ? capabilities : undefined);
  },
  /** Everything the queue has made comes up. */
  readyAll: async ({ stage }: Call) => {
    for (const { vmId, status } of await stage.records()) {
      if (status === "PROVISIONING") await stage.store.vms.markLaunched(vmId);
      if (status === "PROVISIONING" || status === "BOOTING") await stage.store.vms.markReady(vmId);
    }
    return stage.told();
  },
  launched: ({ stage, vmId }: Call) => stage.store.vms.markLaunched(vmId),
  markReady: ({ stage, vmId, n }: Call) => stage.store.vms.markReady(vmId, undefined, expectedOf(n)),
  drain: ({ stage, vmId, n }: Call) =>
    stage.store.vms.drain(vmId, { reason: "old", deadlineAt: stage.at(n), expected: expectedOf(n) }),
  fail: ({ stage, vmId, n }: Call) =>
    stage.store.vms.fail(
      vmId,
      { code: "broken", message: "Broken." },
      {
        expected: expectedOf(n),
        ...(n % 4 === 1 && { noCapacity: { scope: "place" as const, places: [place], policy } }),
        ...(n % 4 === 2 && { noCapacity: { scope: "provider" as const, places: [elsewhere, place], policy } }),
      },
    ),
  terminate: ({ stage, vmId, n }: Call) =>
    stage.store.vms.terminate(vmId, { reason: "over", force: n % 2 === 0, expected: expectedOf(n) }),
  destroyed: ({ stage, vmId }: Call) => stage.store.vms.markDestroyed(vmId),
  unreachable: ({ stage, vmId, n }: Call) => stage.store.vms.markUnreachable(vmId, stage.at(-(n % 3) * 500)),
  claim: ({ stage, vmId, n }: Call) =>
    stage.store.vms.claimLaunch(vmId, {
      bootstrapHash: `hash-${n % 3}`,
      expiresAt: stage.at(6_000),
      claimedBefore: stage.at(-(n % 2) * 800),
    }),
  enrol: ({ stage, vmId, n }: Call) =>
    stage.store.enrolments.enrol(vmId, `hash-${n % 3}`, { ...key, x: `${n % 2}` }, n % 4 === 0 ? undefined : n % 4),
  keyOf: ({ stage, vmId, n }: Call) => stage.store.enrolments.keyOf(vmId, n % 3 === 0 ? undefined : n % 3),
  check: ({ stage, vmId, n }: Call) => stage.store.enrolments.check(vmId, n % 3),
  beat: async ({ stage, vmId, otherVmId, n }: Call) => {
    const beats = [vmId, otherVmId, vmId].map((id, i) => ({ vmId: id, epoch: (n + i) % 2, version: n % 6 }));
    const answers = await stage.store.leases.renew(beats);
    return answers.map((answer) => (answer.status === null ? null : answer));
  },
  give: async (call: Call) => {
    const { outcomes, vms } = await call.stage.store.seats.give(batchOf(call), call.stage.now);
    return { outcomes, vms: byId(vms).map(stateOf) };
  },
  giveBack: async ({ stage, vmId, session, n }: Call) => {
    const leavings = Array.from({ length: 1 + (n % 3) }, (_, i) => ({
      sessionId: `s${(session + i) % 9}`,
      vmId: (n + i) % 3 === 0 ? vmId : null,
      reason: "left",
      expected: n % 5 === 0 ? [n % 9] : null,
    }));
    const { left, vms } = await stage.store.seats.giveBack(leavings, stage.now);
    return { left, vms: byId(vms).map(stateOf) };
  },
  seatOn: async (call: Call) => {
    const { vmId, region, templateId, provider } = await call.stage.store.placements.seatOn(call.vmId, () =>
      call.stage.session(call.sessionId, wishOf(call)),
    );
    return { vmId, region, templateId, provider };
  },
  enqueue: ({ stage, ...call }: Call) =>
    stage.enqueue(
      ...Array.from({ length: 1 + (call.n % 3) }, (_, i) => {
        const session = (call.session + i) % 9;
        return stage.session(`s${session}`, wishOf({ ...call, session, n: call.n + i }));
      }),
    ),
  renew: async ({ stage, session }: Call) =>
    (await stage.store.placements.renew([`s${session}`, `s${(session + 1) % 9}`])).toSorted(),
  renewAll: ({ stage }: Call) => stage.store.placements.renewAll(),
  learn: ({ stage, n }: Call) =>
    stage.store.placements.learnSeatTimes([
      { gameId: "demo", seats: 1 + (n % 3), averageMs: 1_000 * (n + 1) },
      ...(n % 2 === 0 ? [{ gameId: "film", seats: 1, averageMs: 7_000 }] : []),
    ]),
  settle: ({ stage }: Call) => stage.store.placements.settle(),
  leaveQueue: ({ stage, sessionId }: Call) => stage.store.placements.leaveQueue(sessionId),
  leaveAll: async ({ stage }: Call) => {
    for (let i = 0; i < 9; i++) if (!(await stage.leave(`s${i}`))) await stage.store.placements.leaveQueue(`s${i}`);
    return stage.told();
  },
  scale: async ({ stage }: Call) => {
    const { made, drained, fleet } = await stage.store.pools.scale(planOf);
    // Which of VMs that are alike is which, a reading for a plan need not say.
    const kinds = fleet.vms.map(({ region, templateId, provider, status, reachable, usedUnits, sessionsMax }) =>
      [region, templateId, provider, status, reachable, usedUnits, sessionsMax].join(),
    );
    return { made, drained, kinds: kinds.sort() };
  },
  judge: async ({ stage }: Call) => {
    const fleet = await stage.store.placements.readFleet();
    return stage.store.pools.judge(poolsOf({ ...fleet, vms: byId(fleet.vms) }), { share: 0.2, vms: 1 });
  },
  forgetHolds: ({ stage, n }: Call) => stage.store.holds.forget(stage.at(-n * 100)),
  forgetDecisions: ({ stage, n }: Call) => stage.store.decisions.forget(stage.at(-n * 100)),
  prune: ({ stage, n }: Call) => stage.store.vms.prune(stage.at(-n * 50)),
  page: async ({ stage, n }: Call) => {
    const first = await stage.store.vms.list({ limit: 1 + (n % 3) });
    const cursor = first.nextCursor ?? undefined;
    return [first.vms, (await stage.store.vms.list({ limit: 3, cursor, reachable: "true" })).vms];
  },
};

const stateOf = ({ vmId, status, version, reachable, usedUnits }: VmNews) => ({
  vmId,
  status,
  version,
  reachable,
  usedUnits,
});

const often = [
  "create",
  "ready",
  "readyAll",
  "give",
  "give",
  "give",
  "giveBack",
  "enqueue",
  "settle",
  "leaveAll",
  "seatOn",
];
const step = fc.record<Step>({
  verb: fc.constantFrom(...often, ...Object.keys(verbs)),
  vm: fc.nat(12),
  other: fc.nat(12),
  session: fc.nat(8),
  n: fc.nat(30),
  afterMs: fc.constantFrom(0, 1, 400, 1_500),
});

const strangers = ["template-A10", "vm-none"];

/** What the call answered, or in which words it was refused. */
const outcomeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    (answer) => ({ answer }),
    (error: unknown) => {
      if (!(error instanceof Problem)) throw error;
      return { refused: error.type, detail: error.detail };
    },
  );

async function rowsOf(stage: StoreStage): Promise<unknown> {
  const { placements, decisions, enrolments, vms } = stage.store;
  const sessions = Array.from({ length: 9 }, (_, i) => `s${i}`);
  const ofSessions = await Promise.all(
    sessions.map(async (sessionId) => {
      const decision = await decisions.find(sessionId);
      return {
        placement: await placements.find(sessionId),
        position: await placements.position(sessionId),
        demand: await placements.waitingDemand(sessionId),
        // Runners-up among equals come in any order.
        decision: decision && { ...decision, why: { ...decision.why, next: decision.why.next.toSorted() } },
      };
    }),
  );
  const ids = (await stage.records()).map(({ vmId }) => vmId);
  return {
    everything: await stage.everything(),
    told: (await stage.events()).map(({ id: _, ...event }) => event),
    ofSessions,
    keys: await Promise.all(ids.map((vmId) => outcomeOf(enrolments.keyOf(vmId, undefined)))),
    learnt: await vms.learntSessionsMax("simulated"),
    queue: await placements.readQueue(),
    waiting: [...(await placements.waitingByRegion())].sort(),
    uses: [...(await placements.useByTenant())].sort(),
    pools: await new Promise((resolve) => {
      void stage.store.pools.scale((reading) => {
        resolve([...reading.memory].sort());
        return { launches: [], drains: [], memory: reading.memory, pools: [] };
      });
    }),
  };
}

describe("the store in memory and the one in PostgreSQL", () => {
  test("answer any sequence of verbs alike, and keep the same rows and events", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 12, maxLength: 40, size: "max" }), async (steps) => {
        await Promise.all([memory.empty(), sql.empty()]);
        const met: [MetEta[], MetEta[]] = [[], []];
        const open = (subject: StoreUnderTest, etas: MetEta[]) =>
          new StoreStage(subject, { waitMsMax: 2_000, quotas, etaMet: (eta) => etas.push(eta) });
        const stages = [open(memory, met[0]), open(sql, met[1])] as const;
        for (const stage of stages) {
          await stage.readies("vm-0", "vm-1");
          await stage.provision("vm-2");
          const claim = { bootstrapHash: "hash-1", expiresAt: stage.at(6_000), claimedBefore: stage.now };
          await stage.store.vms.claimLaunch("vm-2", claim);
        }
        for (const move of steps) {
          for (const stage of stages) stage.nowMs += move.afterMs;
          const ids = (await stages[0].records()).map(({ vmId }) => vmId);
          const idOf = (n: number) => (n === 0 || ids.length === 0 ? strangers[n % 2]! : ids[n % ids.length]!);
          const [vmId, otherVmId] = [idOf(move.vm), idOf(move.other)];
          const [inMemory, inSql] = await Promise.all(
            stages.map((stage) =>
              outcomeOf(verbs[move.verb]!({ ...move, stage, vmId, otherVmId, sessionId: `s${move.session}` })),
            ),
          );
          expect(inMemory, move.verb).toEqual(inSql);
        }
        const [inMemory, inSql] = await Promise.all(stages.map(rowsOf));
        expect(inMemory).toEqual(inSql);
        expect(met[0]).toEqual(met[1]);
      }),
      { numRuns: 60, interruptAfterTimeLimit: 20_000 },
    );
  });
});
