// Heartbeats and leases in PostgreSQL: what renews one, what an agent is told, and what the reconciler reads of it.

import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { agentRoutes } from "../../src/contracts/agents.js";
import { orchestratorRoutes as routes, type VmStatus, vmStatus } from "../../src/contracts/orchestrator.js";
import { LeaseStore } from "../../src/orchestrator/agents/lease-store.js";
import { isSettled } from "../../src/orchestrator/vm/reconcile.js";
import {
  emptyFleet,
  startDatabase,
  startOrchestrator,
  type TestDatabase,
  type TestOrchestrator,
  vmIn,
} from "./orchestrator-fixture.js";

let db: TestDatabase;
let orchestrator: TestOrchestrator;
let nowMs = 1_000_000_000_000;
let leases: LeaseStore;

beforeAll(async () => {
  db = await startDatabase();
  orchestrator = await startOrchestrator(db, { idle: true });
  leases = new LeaseStore(orchestrator.database, { now: () => nowMs });
});
afterAll(async () => {
  await orchestrator[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});
beforeEach(() => emptyFleet(orchestrator.database));

const heardAtMs = async (vmId: string) => (await orchestrator.vms.records([vmId]))[0]!.heardAtMs;
const operator = () => orchestrator.as("operate");
const beatOf = (vmId: string, version: number | null = null) => ({ vmId, epoch: 0, version });

describe("a heartbeat", () => {
  test("tells the seats to an agent that does not know them, and to no other", async () => {
    const { vmId, version } = await vmIn(orchestrator, "IN_USE");
    const agent = orchestrator.bearer(await orchestrator.authenticator.mintAgentToken(vmId, 0));
    const beat = async (known?: number) => {
      const body = { sessions: [], ...(known !== undefined && { version: known }) };
      return (await agent.call(agentRoutes.heartbeat, { params: { vmId }, body })).body;
    };
    expect(await beat()).toMatchObject({ version, seats: [{ sessionId: `on-${vmId}` }] });
    expect(await beat(version)).toEqual({ status: "IN_USE", version, leaseSeconds: 15 });
    await operator().call(routes.assign, { body: { sessionId: "another", vmId } });
    expect((await beat(version)).seats).toHaveLength(2);
    for (const sessionId of [`on-${vmId}`, "another"])
      await operator().call(routes.release, { params: { vmId }, body: { sessionId } });
    expect(await beat(version)).toMatchObject({ status: "READY", version: version + 3, seats: [] });
  });

  test("renews the lease and nothing else of the VM", async () => {
    const before = await vmIn(orchestrator, "READY");
    await leases.renew([beatOf(before.vmId)]);
    expect(await heardAtMs(before.vmId)).toBe(nowMs);
    nowMs += 5_000;
    await leases.renew([beatOf(before.vmId, before.version)]);
    expect(await heardAtMs(before.vmId)).toBe(nowMs);
    expect(await orchestrator.vms.get(before.vmId)).toEqual(before);
  });

  test("of another epoch, or for a VM that was given up, renews nothing and is told no seats", async () => {
    const [inUse, failed] = [await vmIn(orchestrator, "IN_USE"), await vmIn(orchestrator, "ERROR")];
    const beats = [{ ...beatOf(inUse.vmId), epoch: 7 }, beatOf(failed.vmId), beatOf("vm-unknown")];
    const answers = await leases.renew(beats);
    expect(answers).toMatchObject([
      { status: "IN_USE", epoch: 0, seats: null },
      { status: "ERROR", epoch: 0, seats: null },
      { status: null },
    ]);
    expect(await heardAtMs(inUse.vmId)).toBeNull();
    expect(await orchestrator.database.query("select from orchestrator.leases")).toEqual([]);
  });

  test("may come twice in one batch, by two agents even", async () => {
    const { vmId, version } = await vmIn(orchestrator, "READY");
    const answers = await leases.renew([beatOf(vmId), { ...beatOf(vmId), epoch: 7 }, beatOf(vmId, version)]);
    expect(answers.map(({ seats }) => seats)).toEqual([[], null, null]);
    expect(await heardAtMs(vmId)).toBe(nowMs);
  });

  test("makes a VM reachable that was not, and tells those who wait", async () => {
    const { vmId, version } = await vmIn(orchestrator, "READY");
    await leases.renew([beatOf(vmId)]);
    await orchestrator.vms.markUnreachable(vmId, new Date(nowMs));
    expect((await orchestrator.vms.get(vmId)).reachable, "heard just then").toBe(true);
    await orchestrator.vms.markUnreachable(vmId, new Date(nowMs + 1));
    expect(await orchestrator.vms.get(vmId)).toMatchObject({ reachable: false, version: version + 1 });
    const heard: string[] = [];
    await using _news = orchestrator.database.listen("orchestrator", (notice) => {
      heard.push(notice.kind === "listening" ? notice.kind : notice.payload);
    });
    await vi.waitFor(() => expect(heard).toEqual(["listening"]));
    await leases.renew([beatOf(vmId, version)]);
    await vi.waitFor(() => expect(heard).toEqual(["listening", "waiting"]));
    expect(await orchestrator.vms.get(vmId)).toMatchObject({ reachable: true, version: version + 2 });
  });
});

test("the survey knows every VM there is, the settled ones apart", async () => {
  const states = vmStatus.options.filter((status): status is Exclude<VmStatus, "TEMPLATE"> => status !== "TEMPLATE");
  for (const status of [...states, ...states, ...states]) await vmIn(orchestrator, status);
  const vmIds = (await orchestrator.database.query<{ id: string }>("select vm_id as id from orchestrator.vms")).map(
    ({ id }) => id,
  );
  await leases.renew(vmIds.filter((_, i) => i % 2 === 0).map((vmId) => beatOf(vmId)));
  await orchestrator.database.query("update orchestrator.vms set reachable = hashtext(vm_id) % 3 <> 0");
  const records = await orchestrator.vms.records(vmIds);
  expect(records).toHaveLength(states.length * 3);
  for (const heardSinceMs of [null, nowMs, nowMs + 1]) {
    const { settled, unsettled } = await orchestrator.vms.survey(
      new Map(heardSinceMs === null ? [] : [["local", new Date(heardSinceMs)]]),
    );
    const expected = (wanted: boolean) =>
      records
        .filter((vm) => isSettled(vm, heardSinceMs) === wanted)
        .map(({ vmId }) => vmId)
        .sort();
    expect([...(settled.get("local") ?? [])].sort()).toEqual(expected(true));
    expect([...unsettled].sort()).toEqual(expected(false));
  }
});
