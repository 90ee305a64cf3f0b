// The store port's contract, as sentences that PostgreSQL and the simulation's memory both keep.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { VmStatus } from "../../src/contracts/orchestrator.js";
import { noMemory } from "../../src/orchestrator/autoscaling/scaling-plan.js";
import { cursorAfter } from "../../src/orchestrator/events/cursor.js";
import { overtakenMsMax } from "../../src/orchestrator/placement/kept-free.js";
import type { FleetNotice, SignalNotice } from "../../src/orchestrator/store.js";
import { nextStatus } from "../../src/orchestrator/vm/lifecycle.js";
import { Quotas } from "../../src/platform/quotas.js";
import { memorySubject, rules, StoreStage, type StoreUnderTest, sqlSubject, startMs } from "../support/store-stage.js";

const key = { kty: "OKP", crv: "Ed25519", x: "x" } as const;
const otherKey = { ...key, x: "y" } as const;
const capabilities = {
  encoder: "libx264",
  pixelsPerSecond: 1e8,
  sustains: { width: 1920, height: 1080, fps: 60 },
  sessionsMax: 2,
};
const broken = { code: "broken", message: "Broken." };
const end = { reason: "over", force: true };

describe.each([
  ["memory", memorySubject],
  ["PostgreSQL", sqlSubject],
] as const)("the store in %s", (_, open) => {
  let subject: StoreUnderTest;
  let stage: StoreStage;
  beforeAll(async () => {
    subject = await open();
  });
  afterAll(() => subject[Symbol.asyncDispose]());
  const empty = async () => {
    await subject.empty();
    stage = new StoreStage(subject);
  };
  beforeEach(empty);

  /** A VM in that state, and another one beside it that nothing happens to. */
  async function vmIn(status: VmStatus): Promise<string> {
    if (status === "TEMPLATE") return "template-L4-360";
    const { vms } = stage.store;
    await stage.provision("vm-1");
    await stage.provision("vm-2");
    if (status === "PROVISIONING") return "vm-1";
    if (status === "ERROR") await vms.fail("vm-1", broken);
    else if (status === "TERMINATED") await vms.terminate("vm-1", end);
    else {
      await vms.markLaunched("vm-1");
      if (status === "BOOTING") return "vm-1";
      await vms.markReady("vm-1");
      if (status === "READY") return "vm-1";
      await stage.give(["s1", "vm-1"]);
      if (status === "DRAINING") await vms.drain("vm-1", { reason: "old", deadlineAt: stage.at(1) });
    }
    return "vm-1";
  }

  describe("VMs", () => {
    test("are intents first, told of once, and made once though asked for twice", async () => {
      const made = await stage.provision("vm-1");
      expect(made).toMatchObject({ vmId: "vm-1", status: "PROVISIONING", version: 1, sessions: [], reachable: true });
      expect(made.createdAt).toBe(stage.now.toISOString());
      expect(await stage.provision("vm-1")).toEqual(made);
      expect(await stage.told()).toEqual(["VMProvisioned vm-1"]);
    });

    test("are made as many as place and budget allow; those that are over do not count", async () => {
      const { vms } = stage.store;
      const create = (vmId: string, budget: Partial<typeof rules.budget>) =>
        vms.create(
          { vmId, region: "us-east-1", templateId: "L4-90", provider: "simulated", tenant: null },
          { ...rules, places: () => ({ provider: "simulated", vmsMax: 2 }), budget: { ...rules.budget, ...budget } },
        );
      await create("vm-1", {});
      await create("vm-2", {});
      await stage.refuses(() => create("vm-3", {}), "capacity-exhausted");
      await vms.terminate("vm-1", end);
      await stage.refuses(() => create("vm-3", { vmsMax: 1 }), "capacity-exhausted");
      await stage.refuses(() => create("vm-3", { eurPerHourMax: 0.4 }), "capacity-exhausted");
      expect((await create("vm-3", {})).status).toBe("PROVISIONING");
    });

    test("are made for a tenant as many as it may have; the house's and those that are over do not count", async () => {
      const { vms, placements } = stage.store;
      const limited = { ...rules, quotas: new Quotas({ acme: { vmsMax: 1 } }) };
      const create = (vmId: string, tenant: string | null) =>
        vms.create({ vmId, region: "us-east-1", templateId: "L4-90", provider: "simulated", tenant }, limited);
      for (const tenant of ["acme", "beta", "beta", null]) await create(`vm-${tenant}-${stage.nowMs++}`, tenant);
      const [theirs] = (await vms.list({ limit: 9, tenant: "acme" })).vms;
      const refused = await stage.refuses(() => create("vm-4", "acme"), "quota-exceeded");
      expect(refused.extra.quota).toEqual({ limit: "vms", max: 1, used: 1 });
      expect(await placements.useByTenant()).toEqual(
        new Map([
          ["acme", { waiting: 0, vms: 1 }],
          ["beta", { waiting: 0, vms: 2 }],
        ]),
      );
      await vms.terminate(theirs!.vmId, end);
      expect((await create("vm-4", "acme")).tenant).toBe("acme");
    });

    test("take their version one further with each change, and are told of in that order", async () => {
      const { vms } = stage.store;
      await vmIn("IN_USE");
      expect(await vms.get("vm-1")).toMatchObject({
        status: "IN_USE",
        version: 4,
        units: { used: 15 },
        sessions: ["s1"],
      });
      expect(await vms.drain("vm-1", { reason: "old", deadlineAt: stage.at(9) })).toMatchObject({
        status: "DRAINING",
        version: 5,
        reason: "old",
      });
      stage.nowMs += 1;
      expect(await vms.terminate("vm-1", end)).toMatchObject({
        status: "TERMINATED",
        version: 6,
        units: { used: 0 },
        sessions: [],
        reason: "over",
        readyAt: new Date(startMs).toISOString(),
        terminatedAt: stage.now.toISOString(),
      });
      expect(await stage.told()).toEqual([
        "VMProvisioned vm-1",
        "VMProvisioned vm-2",
        "VMReady vm-1",
        "SessionAssigned s1 vm-1",
        "SessionReleased s1 vm-terminated none",
        "VMTerminated vm-1",
      ]);
    });

    test.each(["TEMPLATE", "PROVISIONING", "BOOTING", "READY", "IN_USE", "DRAINING", "ERROR", "TERMINATED"] as const)(
      "that are %s do what the table says, and refuse the rest without a trace",
      async (status) => {
        const verbs = {
          launched: (vmId: string) => stage.store.vms.markLaunched(vmId),
          ready: (vmId: string) => stage.store.vms.markReady(vmId),
          drained: (vmId: string) => stage.store.vms.drain(vmId, { reason: "old", deadlineAt: stage.at(1) }),
          failed: (vmId: string) => stage.store.vms.fail(vmId, broken),
          terminated: (vmId: string) => stage.store.vms.terminate(vmId, end),
          assigned: (vmId: string) => stage.store.placements.seatOn(vmId, () => stage.session("s9")),
        } as const;
        for (const [change, verb] of Object.entries(verbs)) {
          await empty();
          const vmId = await vmIn(status);
          const next = nextStatus(status, change as keyof typeof verbs);
          if (next === null) await stage.refuses(() => verb(vmId), "illegal-transition");
          else {
            await verb(vmId);
            expect((await stage.store.vms.get(vmId)).status).toBe(next);
          }
        }
      },
    );

    test("that nobody knows are refused, or left alone where that is as good", async () => {
      const { vms, placements, enrolments } = stage.store;
      for (const call of [
        () => vms.get("vm-0"),
        () => vms.markLaunched("vm-0"),
        () => vms.markReady("vm-0"),
        () => vms.drain("vm-0", { reason: "old", deadlineAt: stage.now }),
        () => vms.fail("vm-0", broken),
        () => vms.terminate("vm-0", end),
        () => placements.seatOn("vm-0", () => stage.session("s1")),
        () => enrolments.enrol("vm-0", "hash", key, 1),
        () => enrolments.keyOf("vm-0", 1),
        () => enrolments.check("vm-0", 1),
      ])
        await stage.refuses(call, "not-found");
      await vms.markDestroyed("vm-0");
      await vms.markUnreachable("vm-0", stage.now);
      const claim = { bootstrapHash: "hash", expiresAt: stage.now, claimedBefore: stage.now };
      expect(await vms.claimLaunch("vm-0", claim)).toBeNull();
    });

    test("are changed only at a version that is expected", async () => {
      const { vms } = stage.store;
      await vmIn("BOOTING");
      await stage.refuses(() => vms.markReady("vm-1", undefined, [1]), "stale-version");
      await stage.refuses(() => vms.fail("vm-1", broken, { expected: [3] }), "stale-version");
      await stage.refuses(() => vms.terminate("vm-1", { ...end, expected: [] }), "stale-version");
      expect((await vms.markReady("vm-1", capabilities, [1, 2])).capabilities).toEqual(capabilities);
      await stage.refuses(
        () => vms.drain("vm-1", { reason: "old", deadlineAt: stage.now, expected: [2] }),
        "stale-version",
      );
    });

    test("that fail send their sessions back to the queue, each once in its life", async () => {
      const { vms, placements } = stage.store;
      await stage.readies("vm-1", "vm-2");
      await stage.give(["s1", "vm-1"], ["s2", "vm-1"]);
      expect(await vms.fail("vm-1", broken)).toMatchObject({
        status: "ERROR",
        error: broken,
        units: { used: 0 },
        sessions: [],
      });
      expect(await stage.queue()).toEqual(["s1", "s2"]);
      await placements.settle();
      expect([await stage.whereIs("s1"), await stage.whereIs("s2")]).toEqual(["vm-2", "vm-2"]);
      await vms.fail("vm-2", broken);
      expect([await stage.whereIs("s1"), await stage.whereIs("s2")]).toEqual([null, null]);
      expect((await stage.told()).slice(-8)).toEqual([
        "VMError vm-1",
        "SessionReleased s1 vm-failed waiting",
        "SessionReleased s2 vm-failed waiting",
        "SessionAssigned s1 vm-2",
        "SessionAssigned s2 vm-2",
        "VMError vm-2",
        "SessionReleased s1 vm-failed none",
        "SessionReleased s2 vm-failed none",
      ]);
    });

    test("with sessions are terminated by force only, and their sessions are told of first", async () => {
      const { vms } = stage.store;
      await stage.ready("vm-1");
      await stage.give(["s2", "vm-1"]);
      stage.nowMs += 1;
      await stage.give(["s1", "vm-1"]);
      await stage.refuses(() => vms.terminate("vm-1", { ...end, force: false }), "vm-has-sessions");
      await vms.terminate("vm-1", end);
      expect((await stage.told()).slice(-3)).toEqual([
        "SessionReleased s2 vm-terminated none",
        "SessionReleased s1 vm-terminated none",
        "VMTerminated vm-1",
      ]);
    });

    test("teach how long their kind takes to start, the latest ones most", async () => {
      for (const [i, tookMs] of [10_000, 20_000].entries()) {
        await stage.provision(`vm-${i}`);
        await stage.store.vms.markLaunched(`vm-${i}`);
        stage.nowMs += tookMs;
        await stage.store.vms.markReady(`vm-${i}`);
      }
      expect((await stage.fleet()).launchMs).toEqual([["simulated/L4-360", 12_000]]);
    });

    test("are listed newest first, page by page, each on one page, by any filter", async () => {
      const { vms } = stage.store;
      for (const vmId of ["vm-1", "vm-3", "vm-2"]) await stage.provision(vmId);
      stage.nowMs += 5;
      await stage.provision("vm-4", { region: "eu-west-1", templateId: "A16", tenant: "acme" });
      await vms.markLaunched("vm-3");
      await vms.markReady("vm-3");
      await stage.give(["s1", "vm-3"]);
      const ids = async (query: object) => (await vms.list({ limit: 9, ...query })).vms.map(({ vmId }) => vmId);
      expect(await ids({ provider: "simulated" })).toEqual(["vm-4", "vm-3", "vm-2", "vm-1"]);
      const first = await vms.list({ limit: 2, provider: "simulated" });
      expect(first.vms.map(({ vmId }) => vmId)).toEqual(["vm-4", "vm-3"]);
      expect(await ids({ provider: "simulated", cursor: first.nextCursor! })).toEqual(["vm-2", "vm-1"]);
      expect((await vms.list({ limit: 4, provider: "simulated" })).nextCursor).toBeNull();
      expect(await ids({ status: ["IN_USE", "READY"] })).toEqual(["vm-3"]);
      expect(await ids({ region: "eu-west-1" })).toEqual(["vm-4"]);
      expect(await ids({ templateId: "A16", status: ["PROVISIONING"] })).toEqual(["vm-4"]);
      expect(await ids({ tenant: "acme" })).toEqual(["vm-4"]);
      expect(await ids({ sessionId: "s1" })).toEqual(["vm-3"]);
      expect(await ids({ reachable: "false" })).toEqual([]);
      await stage.refuses(() => vms.list({ limit: 1, cursor: "nonsense" }), "invalid-request");
    });

    test("are the reconciler's until they are known to be gone, and forgotten long after", async () => {
      const { vms } = stage.store;
      await vmIn("DRAINING");
      const ids = async () => (await stage.records()).map(({ vmId }) => vmId);
      expect((await stage.records()).find(({ vmId }) => vmId === "vm-1")).toEqual({
        vmId: "vm-1",
        provider: "simulated",
        status: "DRAINING",
        version: 5,
        reachable: true,
        errorCode: null,
        sessions: 1,
        createdAtMs: startMs,
        launchClaimedAtMs: null,
        launchedAtMs: startMs,
        readyAtMs: startMs,
        heardAtMs: null,
        drainDeadlineAtMs: startMs + 1,
      });
      await vms.markDestroyed("vm-1");
      await vms.terminate("vm-1", end);
      expect(await ids()).toEqual(["vm-1", "vm-2"]);
      await vms.markDestroyed("vm-1");
      await vms.markDestroyed("vm-1");
      expect(await ids()).toEqual(["vm-2"]);
      await vms.prune(stage.now);
      expect((await vms.get("vm-1")).status).toBe("TERMINATED");
      await vms.prune(stage.at(1));
      await stage.refuses(() => vms.get("vm-1"), "not-found");
    });

    test("are launched by whoever claims it, again only when that gave no answer, and never past an agent", async () => {
      const { vms, enrolments } = stage.store;
      const claim = (bootstrapHash: string, claimedBefore: Date) =>
        vms.claimLaunch("vm-1", { bootstrapHash, expiresAt: stage.at(1_000), claimedBefore });
      await stage.provision("vm-1");
      expect(await claim("one", stage.at(-10))).toBe(1);
      expect(await claim("two", stage.now)).toBeNull();
      stage.nowMs += 20;
      expect(await claim("two", stage.at(-20))).toBeNull();
      expect(await claim("two", stage.at(-19))).toBe(2);
      expect(await enrolments.enrol("vm-1", "one", key, 1)).toBe(1);
      stage.nowMs += 20;
      expect(await claim("three", stage.now)).toBeNull();
      expect((await vms.get("vm-1")).version).toBe(1);
    });

    test("are settled while they serve, are reachable, and were heard of where an agent is to be", async () => {
      const { vms } = stage.store;
      await stage.readies("vm-1", "vm-2", "vm-3", "vm-4");
      await stage.provision("vm-5");
      await stage.beat(["vm-1", 0], ["vm-2", 0]);
      await stage.give(["s1", "vm-1"]);
      await vms.markUnreachable("vm-4", stage.at(1));
      const survey = async (heardSince: ReadonlyMap<"simulated", Date>) => {
        const { settled, unsettled } = await vms.survey(heardSince);
        return [settled.get("simulated")?.toSorted() ?? [], unsettled.toSorted()];
      };
      expect(await survey(new Map())).toEqual([
        ["vm-1", "vm-2", "vm-3"],
        ["vm-4", "vm-5"],
      ]);
      expect(await survey(new Map([["simulated", stage.now]]))).toEqual([
        ["vm-1", "vm-2"],
        ["vm-3", "vm-4", "vm-5"],
      ]);
      expect((await survey(new Map([["simulated", stage.at(1)]])))[0]).toEqual([]);
      expect(await vms.records(["vm-0", "template-L4-360"])).toEqual([]);
    });

    test("whose agent was silent are unreachable until it is heard, each a version further", async () => {
      const { vms } = stage.store;
      await stage.ready("vm-1");
      await stage.beat(["vm-1", 0]);
      await vms.markUnreachable("vm-1", stage.now);
      expect(await vms.get("vm-1")).toMatchObject({ reachable: true, version: 3 });
      await vms.markUnreachable("vm-1", stage.at(1));
      await vms.markUnreachable("vm-1", stage.at(1));
      expect(await vms.get("vm-1")).toMatchObject({ reachable: false, version: 4, status: "READY" });
      expect((await stage.give(["s1", "vm-1"])).outcomes).toEqual(["lost"]);
      await stage.beat(["vm-1", 0]);
      await stage.beat(["vm-1", 0]);
      expect(await vms.get("vm-1")).toMatchObject({ reachable: true, version: 5 });
      await stage.provision("vm-2");
      await vms.markUnreachable("vm-2", stage.at(1));
      expect(await vms.get("vm-2")).toMatchObject({ reachable: true, version: 1 });
    });

    test("say what the provider's last one was found to carry", async () => {
      const { vms } = stage.store;
      expect(await vms.learntSessionsMax("simulated")).toBeNull();
      for (const sessionsMax of [4, 2]) {
        const vmId = `vm-${sessionsMax}`;
        await stage.provision(vmId);
        await vms.markLaunched(vmId);
        stage.nowMs += 1;
        await vms.markReady(vmId, { ...capabilities, sessionsMax });
      }
      expect(await vms.learntSessionsMax("simulated")).toBe(2);
      expect(await vms.learntSessionsMax("local")).toBeNull();
      expect((await stage.fleet()).vms.map(({ sessionsMax }) => sessionsMax)).toEqual([2, 4]);
    });
  });

  describe("agents", () => {
    const launch = (hash: string) =>
      stage.store.vms.claimLaunch("vm-1", {
        bootstrapHash: hash,
        expiresAt: stage.at(1_000),
        claimedBefore: stage.at(1),
      });

    test("enrol once, with a token of their own VM that still holds", async () => {
      const { enrolments } = stage.store;
      await stage.provision("vm-1");
      await stage.provision("vm-2");
      await launch("one");
      await stage.refuses(() => enrolments.enrol("vm-1", "wrong", key, 1), "forbidden");
      await stage.refuses(() => enrolments.enrol("vm-2", "one", key, 1), "forbidden");
      await stage.refuses(() => enrolments.keyOf("vm-1", 1), "forbidden");
      stage.nowMs += 1_000;
      await stage.refuses(() => enrolments.enrol("vm-1", "one", key, 1), "forbidden");
      stage.nowMs -= 1;
      expect(await enrolments.enrol("vm-1", "one", key, 1)).toBe(1);
      await stage.refuses(() => enrolments.enrol("vm-1", "one", otherKey, 1), "forbidden");
      expect(await enrolments.keyOf("vm-1", undefined)).toEqual({ key, epoch: 1 });
      await enrolments.check("vm-1", 1);
    });

    test("of another launch than the first to enrol are fenced, and all are once the VM is over", async () => {
      const { vms, enrolments } = stage.store;
      await stage.provision("vm-1");
      await launch("one");
      await launch("two");
      expect(await enrolments.enrol("vm-1", "one", key, 1)).toBe(1);
      await stage.refuses(() => enrolments.enrol("vm-1", "two", otherKey, 2), "agent-fenced");
      await stage.refuses(() => enrolments.keyOf("vm-1", 2), "agent-fenced");
      await stage.refuses(() => enrolments.check("vm-1", 2), "agent-fenced");
      expect((await stage.beat(["vm-1", 2]))[0]).toMatchObject({ epoch: 1 });
      expect((await stage.records())[0]!.heardAtMs).toBe(startMs);
      await vms.fail("vm-1", broken);
      await stage.refuses(() => enrolments.check("vm-1", 1), "agent-fenced");
      await stage.refuses(() => enrolments.keyOf("vm-1", 1), "agent-fenced");
      await stage.refuses(() => enrolments.enrol("vm-1", "one", key, 1), "agent-fenced");
    });

    test("hear in one batch what must run on each VM; only a lease whose epoch counts is renewed", async () => {
      const { vms, leases } = stage.store;
      await stage.readies("vm-1", "vm-2", "vm-3");
      await stage.give(["s2", "vm-1"], ["s3", "vm-3"]);
      stage.nowMs += 7;
      await stage.give(["s1", "vm-1"]);
      await vms.terminate("vm-3", end);
      const answers = await stage.beat(["vm-2", 1], ["vm-1", 0], ["vm-0", 0], ["vm-3", 0], ["vm-1", 0]);
      expect(answers.map((answer) => answer.status)).toEqual(["READY", "IN_USE", null, "TERMINATED", "IN_USE"]);
      expect(answers.map(({ seats }) => seats?.map(({ sessionId }) => sessionId) ?? null)).toEqual([
        null,
        ["s2", "s1"],
        null,
        null,
        ["s2", "s1"],
      ]);
      expect(answers[1]!.seats![0]).toEqual(stage.session("s2").spec);
      const [known] = await leases.renew([{ vmId: "vm-1", epoch: 0, version: answers[1]!.version }]);
      expect(known).toEqual({ status: "IN_USE", epoch: 0, version: 5, seats: null });
      const heard = new Map((await stage.records()).map(({ vmId, heardAtMs }) => [vmId, heardAtMs]));
      expect([heard.get("vm-1"), heard.get("vm-2"), heard.get("vm-3")]).toEqual([startMs + 7, null, null]);
    });
  });

  describe("holds", () => {
    const policy = { holdMs: 1_000, holdMsMax: 3_000 };
    const here = { region: "us-east-1", templateId: "L4-360" } as const;
    const there = { region: "eu-west-1", templateId: "A16" } as const;
    const refuse = async (vmId: string, scope: "place" | "provider" = "place") => {
      await stage.provision(vmId);
      const noCapacity = { scope, places: scope === "place" ? [here] : [there, here], policy };
      await stage.store.vms.fail(vmId, broken, { noCapacity });
    };

    test("are longer after each failure in a row; failures under way together count once", async () => {
      await refuse("vm-1");
      await refuse("vm-2");
      const hold = { ...here, provider: "simulated", scope: "place" };
      expect(await stage.store.holds.read()).toEqual([{ ...hold, failures: 1, until: stage.at(1_000) }]);
      expect(await stage.fleet()).toMatchObject({ held: ["us-east-1/L4-360"], halfOpen: [] });
      stage.nowMs += 1_000;
      expect(await stage.fleet()).toMatchObject({ held: [], halfOpen: ["us-east-1/L4-360"] });
      await refuse("vm-3");
      expect(await stage.store.holds.read()).toEqual([{ ...hold, failures: 2, until: stage.at(2_000) }]);
    });

    test("close when a VM comes up there, or one that was up is gone", async () => {
      const { vms, holds } = stage.store;
      await stage.provision("vm-9");
      await refuse("vm-1", "provider");
      expect((await holds.read()).map(({ region }) => region)).toEqual(["eu-west-1", "us-east-1"]);
      await vms.markLaunched("vm-9");
      expect(await holds.read()).toEqual([]);
      await refuse("vm-2");
      await vms.terminate("vm-2", end);
      await vms.markDestroyed("vm-2");
      expect(await holds.read()).toHaveLength(1);
      await vms.terminate("vm-9", end);
      await vms.markDestroyed("vm-9");
      expect(await holds.read()).toEqual([]);
    });

    test("that nobody tried for long are forgotten", async () => {
      await refuse("vm-1");
      await stage.store.holds.forget(stage.at(1_000));
      expect(await stage.store.holds.read()).toHaveLength(1);
      await stage.store.holds.forget(stage.at(1_001));
      expect(await stage.store.holds.read()).toEqual([]);
    });
  });

  describe("seats", () => {
    test("are given as long as their units fit, to the first of a batch, and the rest hears the VM's true state", async () => {
      await stage.ready("vm-1");
      const given = await stage.give(
        ["s1", "vm-1", "default-high"],
        ["s2", "vm-1"],
        ["s3", "vm-1", "default-high"],
        ["s4", "vm-1"],
        ["s5", "vm-0"],
      );
      expect(given.outcomes).toEqual(["seated", "seated", "lost", "lost", "lost"]);
      expect(given.vms).toMatchObject([{ vmId: "vm-1", status: "IN_USE", version: 4, reachable: true, usedUnits: 45 }]);
      expect((await stage.give(["s4", "vm-1"], ["s6", "vm-1"])).outcomes).toEqual(["seated", "lost"]);
      expect((await stage.events()).slice(-3)).toMatchObject(
        ["s1", "s2", "s4"].map((sessionId) => ({ subject: "vm-1", data: { sessionId, templateId: "L4-360" } })),
      );
    });

    test("are one a session, however often it asks", async () => {
      await stage.readies("vm-1", "vm-2");
      expect((await stage.give(["s1", "vm-1"], ["s1", "vm-2"], ["s2", "vm-2"])).outcomes).toEqual([
        "seated",
        "known",
        "seated",
      ]);
      const again = await stage.give(["s1", "vm-2"]);
      expect(again).toMatchObject({
        outcomes: ["known"],
        vms: [{ vmId: "vm-2", status: "IN_USE", version: 4, reachable: true, usedUnits: 15 }],
      });
      expect(await stage.whereIs("s1")).toBe("vm-1");
    });

    test("are not given past those who wait", async () => {
      await stage.ready("vm-1", { region: "eu-west-1" });
      await stage.enqueue(stage.session("s1", { rttMsMax: 10 }));
      expect((await stage.give(["s1", "vm-1"], ["s2", "vm-1"])).outcomes).toEqual(["known", "queue"]);
    });

    test("are given by VMs that take sessions only", async () => {
      const { vms } = stage.store;
      await stage.readies("vm-1", "vm-2");
      await stage.provision("vm-3");
      await vms.drain("vm-1", { reason: "old", deadlineAt: stage.now });
      await vms.fail("vm-2", broken);
      const given = await stage.give(["s1", "vm-1"], ["s2", "vm-2"], ["s3", "vm-3"], ["s4", "template-L4-360"]);
      expect(given.outcomes).toEqual(["lost", "lost", "lost", "lost"]);
      expect(given.vms.map(({ status }) => status).sort()).toEqual(["DRAINING", "ERROR", "PROVISIONING", "TEMPLATE"]);
    });

    test("are given back from wherever they are, or only from where and when it was meant", async () => {
      const { seats } = stage.store;
      await stage.readies("vm-1", "vm-2");
      await stage.give(["s1", "vm-1"], ["s2", "vm-1"], ["s3", "vm-2"]);
      expect(await stage.leave("s1", { vmId: "vm-2" })).toBe(false);
      expect(await stage.leave("s1", { expected: [3] })).toBe(false);
      const leavings = ["s1", "s0", "s3"].map((sessionId) => ({
        sessionId,
        vmId: null,
        reason: "left",
        expected: null,
      }));
      const { left, vms } = await seats.giveBack(leavings, stage.now);
      expect(left).toEqual([true, false, true]);
      expect(vms.map(({ vmId, status, version, usedUnits }) => [vmId, status, version, usedUnits]).sort()).toEqual([
        ["vm-1", "IN_USE", 5, 15],
        ["vm-2", "READY", 5, 0],
      ]);
      expect(await stage.leave("s1")).toBe(false);
      expect(await stage.leave("s2", { vmId: "vm-1", expected: [4, 5] })).toBe(true);
      expect((await stage.told()).slice(-3)).toEqual(["s1", "s3", "s2"].map((id) => `SessionReleased ${id} left none`));
    });

    test("teach how long sessions of their game last, unless nobody played on them", async () => {
      const { seats, placements } = stage.store;
      await stage.ready("vm-1");
      const endsPerHour = async () => (await stage.fleet()).vms[0]!.endsPerHour;
      await stage.give(["s1", "vm-1"], ["s2", "vm-1"], ["s3", "vm-1"], ["s4", "vm-1"]);
      expect(await endsPerHour()).toBeNull();
      const giveBack = (...sessionIds: readonly string[]) =>
        seats.giveBack(
          sessionIds.map((sessionId) => ({ sessionId, vmId: null, reason: "left", expected: null })),
          stage.now,
        );
      stage.nowMs += 9_999;
      expect((await giveBack("s1")).times).toEqual([]);
      stage.nowMs += 90_001;
      const { times } = await giveBack("s2", "s3");
      expect(times).toEqual([{ gameId: "demo", seats: 2, averageMs: 100_000 }]);
      await placements.learnSeatTimes(times);
      expect(await endsPerHour()).toBeCloseTo(36);
      await placements.learnSeatTimes([{ gameId: "demo", seats: 1, averageMs: 200_000 }]);
      expect(await endsPerHour()).toBeCloseTo(3_600_000 / 110_000);
      await stage.give(["s5", "vm-1"]);
      expect(await endsPerHour()).toBeCloseTo(2 * (3_600_000 / 110_000));
    });

    test("of a draining VM are given back, and it stays draining", async () => {
      await vmIn("DRAINING");
      expect(await stage.leave("s1")).toBe(true);
      expect(await stage.store.vms.get("vm-1")).toMatchObject({ status: "DRAINING", units: { used: 0 }, version: 6 });
    });

    test("leave a decision, the latest one, for as long as it is kept", async () => {
      const { decisions } = stage.store;
      await stage.readies("vm-1", "vm-2");
      expect(await decisions.find("s1")).toBeNull();
      await stage.give(["s1", "vm-1"]);
      await stage.leave("s1");
      stage.nowMs += 10;
      await stage.give(["s1", "vm-2"]);
      expect(await decisions.find("s1")).toMatchObject({ vmId: "vm-2", decidedAt: stage.now, why: { by: "named" } });
      await decisions.forget(stage.now);
      expect(await decisions.find("s1")).not.toBeNull();
      await decisions.forget(stage.at(1));
      expect(await decisions.find("s1")).toBeNull();
    });
  });

  describe("the queue", () => {
    const near = { rttMsMax: 10 };

    test("places whoever can be placed, in turn, and makes the VMs the others need, no more", async () => {
      const { placements } = stage.store;
      await stage.ready("vm-1");
      const sessions = Array.from({ length: 6 }, (_, i) => stage.session(`s${i}`, near));
      await stage.enqueue(...sessions);
      expect(await stage.queue()).toEqual(["s4", "s5"]);
      expect([await placements.position("s4"), await placements.position("s5")]).toEqual([1, 2]);
      expect([await placements.position("s0"), await placements.position("s9")]).toEqual([null, null]);
      expect(await placements.waitingByRegion()).toEqual(new Map([["us-east-1", 2]]));
      await stage.enqueue(...sessions);
      await placements.settle();
      const made = (await stage.fleet()).vms.filter(({ status }) => status === "PROVISIONING");
      expect(made).toHaveLength(1);
      expect(await stage.queue()).toEqual(["s4", "s5"]);
      expect(await placements.waitingDemand("s4")).toEqual(sessions[4]!.demand);
      expect(await placements.waitingDemand("s0")).toBeNull();
      expect((await stage.told()).slice(-5)).toEqual([
        ...["s0", "s1", "s2", "s3"].map((id) => `SessionAssigned ${id} vm-1`),
        `VMProvisioned ${made[0]!.vmId}`,
      ]);
    });

    test("makes VMs in the name of who waits, none past what its tenant may have", async () => {
      const limited = new StoreStage(subject, { quotas: new Quotas({ acme: { vmsMax: 1 } }) });
      const wish = { presetId: "default-competitive" } as const;
      const of = (tenant: string, ...ids: string[]) => ids.map((id) => stage.session(id, { ...wish, tenant }));
      await limited.enqueue(...of("acme", "a1", "a2", "a3"), ...of("beta", "b1", "b2"));
      expect(await limited.store.placements.useByTenant()).toEqual(
        new Map([
          ["acme", { waiting: 3, vms: 1 }],
          ["beta", { waiting: 2, vms: 2 }],
        ]),
      );
    });

    test("turns away who has no seat at once while its tenant has as many waiting as it may: nothing is left of it", async () => {
      const limited = new StoreStage(subject, {
        quotas: new Quotas({ acme: { waitingMax: 2 }, none: { waitingMax: 0 } }),
        places: () => ({ provider: "simulated", vmsMax: 1 }),
      });
      const of = (tenant: string, ...ids: string[]) => ids.map((id) => stage.session(id, { ...near, tenant }));
      await stage.ready("vm-1");
      await stage.give(["s1", "vm-1"], ["s2", "vm-1"]);
      const batch = [...of("acme", "a1", "a2", "a3"), ...of("beta", "b1"), ...of("acme", "a4", "a5")];
      const full = { used: 2, max: 2 };
      expect(await limited.enqueue(...batch)).toEqual(
        new Map([
          ["a4", full],
          ["a5", full],
        ]),
      );
      expect([await stage.whereIs("a1"), await stage.whereIs("b1"), await stage.whereIs("a4")]).toEqual([
        "vm-1",
        "vm-1",
        null,
      ]);
      expect(await stage.queue()).toEqual(["a2", "a3"]);
      expect(await limited.enqueue(...of("acme", "a3", "a1"))).toEqual(new Map());
      expect(await stage.enqueue(...of("none", "n1"))).toEqual(new Map());
      expect(await limited.enqueue(...of("none", "n1", "n2"))).toEqual(new Map([["n2", { used: 1, max: 0 }]]));

      await stage.store.vms.fail("vm-1", broken);
      expect((await stage.queue()).toSorted()).toEqual(["a1", "a2", "a3", "b1", "n1", "s1", "s2"]);
      expect(await limited.enqueue(...of("acme", "a6"))).toEqual(new Map([["a6", { used: 3, max: 2 }]]));
    });

    test("makes nothing for who is turned away", async () => {
      const limited = new StoreStage(subject, { quotas: new Quotas({ acme: { waitingMax: 0 } }) });
      expect(await limited.enqueue(stage.session("a1", { tenant: "acme" }))).toEqual(
        new Map([["a1", { used: 0, max: 0 }]]),
      );
      expect((await stage.fleet()).vms).toEqual([]);
      expect(await stage.told()).toEqual([]);
    });

    test("gives a seat that frees to the first who can use it, and says so in the decision", async () => {
      const { placements, decisions } = stage.store;
      const full = new StoreStage(subject, { places: () => ({ provider: "simulated", vmsMax: 0 }) });
      await stage.ready("vm-1");
      await stage.give(["s1", "vm-1", "default-high"], ["s2", "vm-1"], ["s3", "vm-1"]);
      await full.enqueue(stage.session("s4", { ...near, presetId: "default-high" }), stage.session("s5", near));
      expect(await full.store.placements.someoneWaits()).toBe(true);
      await stage.leave("s2");
      await full.store.placements.settle();
      expect([await stage.whereIs("s4"), await stage.whereIs("s5")]).toEqual(["waiting", "vm-1"]);
      expect(await decisions.find("s5")).toMatchObject({ vmId: "vm-1", why: { by: "queue", used: 45, took: 15 } });
      await stage.leave("s1");
      await full.store.placements.settle();
      expect(await stage.whereIs("s4")).toBe("vm-1");
      expect(await placements.someoneWaits()).toBe(false);
    });

    test("serves tenants by turns, round after round", async () => {
      const full = new StoreStage(subject, { places: () => ({ provider: "simulated", vmsMax: 0 }) });
      await stage.ready("vm-1");
      await stage.give(["s1", "vm-1"], ["s2", "vm-1"], ["s3", "vm-1"], ["s4", "vm-1"]);
      await full.enqueue(...["a1", "a2", "a3", "a4"].map((id) => full.session(id, { ...near, tenant: "a" })));
      await full.enqueue(...["b1", "b2"].map((id) => full.session(id, { ...near, tenant: "b" })));
      for (const leaving of ["s1", "s2", "s3", "s4"]) {
        await full.leave(leaving);
        await full.store.placements.settle();
      }
      expect((await full.told()).filter((event) => event.startsWith("SessionAssigned")).slice(4)).toEqual(
        ["a1", "b1", "a2", "b2"].map((id) => `SessionAssigned ${id} vm-1`),
      );
    });

    test("keeps a VM free for one who was overtaken for long, until it has room", async () => {
      const full = new StoreStage(subject, { places: () => ({ provider: "simulated", vmsMax: 0 }) });
      const { placements } = full.store;
      await stage.ready("vm-1");
      await stage.give(["s1", "vm-1"], ["s2", "vm-1"], ["s3", "vm-1"], ["s4", "vm-1"]);
      await full.enqueue(
        full.session("whole", { ...near, presetId: "default-competitive" }),
        ...["t1", "t2", "t3"].map((id) => full.session(id, near)),
      );
      const seatsAfter = async (...leaving: readonly string[]) => {
        for (const sessionId of leaving) await full.leave(sessionId);
        await placements.settle();
        return Promise.all(["whole", "t1", "t2", "t3"].map((id) => full.whereIs(id)));
      };
      expect(await seatsAfter("s1")).toEqual(["waiting", "vm-1", "waiting", "waiting"]);
      full.nowMs += overtakenMsMax - 1;
      expect(await seatsAfter("s2")).toEqual(["waiting", "vm-1", "vm-1", "waiting"]);
      full.nowMs += 1;
      expect(await seatsAfter("s3")).toEqual(["waiting", "vm-1", "vm-1", "waiting"]);
      expect(await seatsAfter("s4", "t1", "t2")).toEqual(["vm-1", null, null, "waiting"]);
    });

    test("lets go of those who waited too long, and tells them", async () => {
      const full = new StoreStage(subject, { places: () => ({ provider: "simulated", vmsMax: 0 }) });
      await full.enqueue(full.session("s1", { waitMs: 1_000 }), full.session("s2", { waitMs: 2_000 }));
      full.nowMs += 1_000;
      await full.store.placements.settle();
      expect(await full.queue()).toEqual(["s2"]);
      expect(await full.events()).toMatchObject([
        {
          type: "SessionReleased",
          subject: "s1",
          data: { sessionId: "s1", vmId: "", region: "us-east-1", reason: "not-renewed", next: "none" },
        },
      ]);
    });

    test("keeps those who are renewed, and after a gap everybody", async () => {
      const full = new StoreStage(subject, { places: () => ({ provider: "simulated", vmsMax: 0 }) });
      const { placements } = full.store;
      await stage.ready("vm-1");
      await stage.give(["s0", "vm-1"]);
      const whole = { presetId: "default-competitive", waitMs: 60_000 } as const;
      await full.enqueue(...["s1", "s2", "s3"].map((id) => full.session(id, whole)));
      full.nowMs += 40_000;
      expect(await placements.renew(["s0", "s2", "s9"])).toEqual(["s2"]);
      full.nowMs += 20_000;
      await placements.settle();
      expect(await full.queue()).toEqual(["s2"]);
      full.nowMs += 60_000;
      await placements.renewAll();
      await placements.settle();
      expect(await full.queue()).toEqual(["s2"]);
      full.nowMs += 60_000;
      await placements.settle();
      expect([await full.queue(), await full.whereIs("s0")]).toEqual([[], "vm-1"]);
    });

    test("is left by those who want to, seats are not", async () => {
      const { placements } = stage.store;
      await stage.enqueue(stage.session("s1"));
      await stage.ready("vm-1");
      await stage.store.seats.give([stage.chosen("s2", "vm-1")], stage.now);
      expect([await placements.leaveQueue("s1"), await placements.leaveQueue("s1")]).toEqual([true, false]);
      await stage.give(["s2", "vm-1"]);
      expect([await placements.leaveQueue("s2"), await stage.whereIs("s2")]).toEqual([false, "vm-1"]);
    });

    test("is left for a VM that the caller names, once", async () => {
      const { placements, decisions } = stage.store;
      await stage.readies("vm-1", "vm-2");
      const seatOn = (vmId: string, sessionId: string) =>
        placements.seatOn(vmId, (vm) => {
          expect(vm.region).toBe("us-east-1");
          return stage.session(sessionId, { presetId: "default-high" });
        });
      expect(await seatOn("vm-1", "s1")).toMatchObject({ vmId: "vm-1", templateId: "L4-360", provider: "simulated" });
      expect(await seatOn("vm-1", "s1")).toMatchObject({ vmId: "vm-1" });
      await stage.refuses(() => seatOn("vm-2", "s1"), "session-elsewhere");
      expect(await decisions.find("s1")).toMatchObject({ vmId: "vm-1", why: { by: "named", took: 30 } });
      await seatOn("vm-1", "s2");
      await stage.refuses(() => seatOn("vm-1", "s3"), "no-free-seat");
      await stage.store.vms.fail("vm-1", broken);
      await stage.store.vms.drain("vm-2", { reason: "old", deadlineAt: stage.now });
      await stage.ready("vm-3");
      await seatOn("vm-3", "s2");
      expect([await stage.whereIs("s1"), await stage.whereIs("s2")]).toEqual(["waiting", "vm-3"]);
    });
  });

  describe("pools", () => {
    const place = { region: "us-east-1", templateId: "L4-360" } as const;

    test("become what the plan says: VMs made, empty ones drained, memory kept", async () => {
      const { pools, vms } = stage.store;
      await stage.readies("vm-1", "vm-2");
      await stage.give(["s1", "vm-2"]);
      const memory = new Map([["us-east-1/L4-360", { ...noMemory, scaledOutAtMs: startMs }]]);
      const scaled = await pools.scale(({ fleet, queue, memory: before }, nowMs) => {
        expect([fleet.vms.length, queue.waiting.length, before.size, nowMs]).toEqual([2, 0, 0, startMs]);
        return { launches: [place], drains: ["vm-2", "vm-1"], memory, pools: [] };
      });
      expect(scaled.drained).toEqual(["vm-1"]);
      expect(scaled.made).toEqual([{ ...place, vmId: expect.any(String), provider: "simulated", tenant: null }]);
      expect((await vms.get(scaled.made[0]!.vmId)).status).toBe("PROVISIONING");
      expect(await vms.get("vm-1")).toMatchObject({ status: "DRAINING", version: 4 });
      expect(await vms.get("vm-2")).toMatchObject({ status: "IN_USE", version: 4 });
      await pools.scale((reading) => {
        expect(reading.memory).toEqual(memory);
        return { launches: [], drains: [], memory: new Map(), pools: [] };
      });
      await pools.scale((reading) => {
        expect(reading.memory).toEqual(new Map());
        return { launches: [], drains: [], memory: reading.memory, pools: [] };
      });
    });

    test("that run low are told of once, and again after they had plenty", async () => {
      const { pools } = stage.store;
      const policy = { share: 0.2, vms: 1 };
      const judge = (free: number) => pools.judge([{ ...place, free, total: 40, vms: 10 }], policy);
      const warnings = async () => (await stage.told()).filter((text) => text.startsWith("VMPool")).length;
      for (const free of [9, 7, 3, 16]) await judge(free);
      expect(await warnings()).toBe(1);
      for (const free of [17, 7]) await judge(free);
      expect(await warnings()).toBe(2);
      await pools.judge([], policy);
      await judge(7);
      expect(await warnings()).toBe(3);
      expect((await stage.events()).at(-1)).toMatchObject({
        subject: "us-east-1",
        data: { ...place, freeSessions: 7, threshold: 8 },
      });
    });
  });

  describe("the outbox", () => {
    test("is published by one relay a sink; its successor goes on where it was", async () => {
      const [a, b] = [stage.store.outbox.forSink("log"), stage.beside("replica-b").outbox.forSink("log")];
      expect(await a.waits()).toBe(false);
      await stage.provision("vm-1");
      await stage.provision("vm-2");
      expect([await a.waits(), await a.lead(), await b.lead()]).toEqual([true, 0, null]);
      const { rows } = await a.read(cursorAfter(0), 1);
      expect(rows.map(({ event }) => event.subject)).toEqual(["vm-1"]);
      expect(rows[0]!.event.id).toBe(String(rows[0]!.seq));
      expect(await b.publishedTo(rows[0]!.seq)).toBe(false);
      expect([await a.publishedTo(rows[0]!.seq), await a.waits()]).toEqual([true, true]);
      await b.stopLeading();
      expect(await b.lead()).toBeNull();
      await a.stopLeading();
      expect(await b.lead()).toBe(rows[0]!.seq);
      expect(await a.publishedTo(rows[0]!.seq + 1)).toBe(false);
    });

    test("says how far each sink is behind, and forgets what is old", async () => {
      const { outbox } = stage.store;
      await stage.provision("vm-1");
      stage.nowMs += 10;
      await stage.provision("vm-2");
      const log = outbox.forSink("log");
      await log.lead();
      await log.publishedTo((await log.read(cursorAfter(0), 1)).rows[0]!.seq);
      const backlogs = async () => new Map((await outbox.backlogs(["log", "nats"])).map((b) => [b.sink, b]));
      expect(await backlogs()).toEqual(
        new Map([
          ["log", { sink: "log", events: 1, oldestAt: stage.now }],
          ["nats", { sink: "nats", events: 2, oldestAt: new Date(startMs) }],
        ]),
      );
      await outbox.prune(stage.now);
      expect(await stage.told()).toEqual(["VMProvisioned vm-2"]);
      await outbox.prune(stage.at(1));
      expect((await backlogs()).get("nats")).toEqual({ sink: "nats", events: 0, oldestAt: null });
      expect(await outbox.forSink("nats").waits()).toBe(false);
    });
  });

  test("replicas have ranks among those that run", async () => {
    const [a, b] = [stage.store.replicas, stage.beside("replica-b").replicas];
    expect(await b.sayHere()).toEqual({ index: 0, count: 1 });
    expect(await a.sayHere()).toEqual({ index: 0, count: 2 });
    expect(await b.sayHere()).toEqual({ index: 1, count: 2 });
    stage.nowMs += 20_001;
    expect(await b.sayHere()).toEqual({ index: 0, count: 1 });
    await a.sayHere();
    await a.sayGone();
    expect(await b.sayHere()).toEqual({ index: 0, count: 1 });
  });

  test("news tell of every version of a VM, signals of what to look at again", async () => {
    const { fleetFeed, signals } = stage.store;
    const news: FleetNotice[] = [];
    const heard: SignalNotice[] = [];
    await using fleet = fleetFeed.listen((notice) => news.push(notice));
    await using signalled = signals.listen((notice) => heard.push(notice));
    await expect.poll(() => [news[0], heard[0]]).toEqual([{ kind: "listening" }, { kind: "listening" }]);
    await stage.ready("vm-1");
    await stage.give(["s1", "vm-1"]);
    await stage.leave("s1");
    const versions = () =>
      news.flatMap((notice) =>
        notice.kind === "changed" ? notice.vms.map(({ status, version }) => `${status} ${version}`) : [],
      );
    await expect.poll(versions).toEqual(["PROVISIONING 1", "BOOTING 2", "READY 3", "IN_USE 4", "READY 5"]);
    expect(await fleetFeed.read()).toEqual([
      expect.objectContaining({ vmId: "vm-1", status: "READY", version: 5, usedUnits: 0, sessionsMax: null }),
    ]);
    await expect
      .poll(() => new Set(heard.map((notice) => (notice.kind === "signalled" ? notice.signal : null))))
      .toEqual(new Set([null, "events", "reconcile", "waiting"]));
    expect([fleet, signalled]).toBeDefined();
  });
});

test("every verb of the port is called here", async () => {
  const texts = [import.meta.filename, join(import.meta.dirname, "../support/store-stage.ts")];
  const text = texts.map((path) => readFileSync(path, "utf8")).join();
  const stage = new StoreStage(await memorySubject());
  const verbs = Object.values(stage.store).flatMap((port: object) =>
    [...Object.keys(port), ...Object.getOwnPropertyNames(Object.getPrototypeOf(port))].filter(
      (name) => !(name in Object.prototype) && typeof port[name as keyof typeof port] === "function",
    ),
  );
  expect(verbs.length).toBeGreaterThan(40);
  expect(verbs.filter((verb) => !text.includes(`.${verb}(`))).toEqual([]);
});
