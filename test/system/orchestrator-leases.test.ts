// Deadlines, leases and fencing: what happens to VMs and agents that are late, silent, lost, or come back.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { orchestratorRoutes as routes } from "../../src/contracts/orchestrator.js";
import { bootstrapPrefix } from "../../src/platform/auth.js";
import { systemClock } from "../../src/platform/clock.js";
import { hashKey } from "../../src/platform/secrets.js";
import { cli } from "../support/hotseat.js";
import {
  emptyFleet,
  startDatabase,
  startOrchestrator,
  type TestDatabase,
  type TestOrchestrator,
  vmIn,
} from "./orchestrator-fixture.js";

let db: TestDatabase;
/** Serves and stores, but does nothing by itself. */
let idle: TestOrchestrator;

beforeAll(async () => {
  db = await startDatabase();
  idle = await startOrchestrator(db, { idle: true, config: { places: [{ provider: "simulated" }] } });
  writeFileSync(join(db.dir, "agent.mjs"), "setInterval(() => {}, 1000)");
});
afterAll(async () => {
  await idle[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});
beforeEach(() => emptyFleet(idle.database));

type ProviderId = "local" | "simulated";
/** The agents of its local VMs start and never say a word. */
const start = (provider: ProviderId, config: object = {}, deps: object = {}) =>
  startOrchestrator(db, {
    config: {
      places: [{ provider }],
      reconcileSeconds: 0.05,
      localSeats: 8,
      agentCommand: [process.execPath, join(db.dir, "agent.mjs")],
      simulated: { provisioningMs: 50, bootMs: 20 },
      ...config,
    },
    deps,
  });
const eventually = <T>(check: () => T | Promise<T>) => vi.waitFor(check, { timeout: 15_000, interval: 20 });
const createVm = async (on: TestOrchestrator) =>
  (await on.as("operate").call(routes.createVm, { body: { templateId: "L4-360", region: "us-east-1" } })).body.vmId;
const becomes = (vmId: string, status: string) =>
  eventually(async () => expect((await idle.vms.get(vmId)).status).toBe(status));
const markReady = (vmId: string) => idle.as("operate").call(routes.markReady, { params: { vmId }, body: {} });
const sit = (sessionId: string, vmId: string) => idle.as("operate").call(routes.assign, { body: { sessionId, vmId } });
const placement = async (sessionId: string) =>
  (await idle.as("operate").call(routes.getPlacement, { params: { sessionId } })).body;
const orphans = async ({ registry }: TestOrchestrator, provider: ProviderId, kind: "machine" | "row") => {
  const text = await registry.getSingleMetricAsString("hotseat_orphans_total");
  return Number(new RegExp(`\\{provider="${provider}",kind="${kind}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
};

describe.each(["local", "simulated"] as const)("of the %s provider, a VM", (provider) => {
  const isReady = (vmId: string) =>
    provider === "local" ? becomes(vmId, "BOOTING").then(() => markReady(vmId)) : becomes(vmId, "READY");

  test("that is not up by the launch deadline is given up", async () => {
    // No provider is that fast.
    const deadlines = { [provider]: { launchSecondsMax: 0.000_001 } };
    await using orchestrator = await start(provider, { deadlines, simulated: { provisioningMs: 60_000 } });
    const vmId = await createVm(orchestrator);
    await becomes(vmId, "TERMINATED");
    expect((await idle.vms.get(vmId)).error?.code).toBe("launch-timeout");
  });

  test("that is not ready by the boot deadline is given up", async () => {
    const deadlines = { [provider]: { bootSecondsMax: 0.3 } };
    await using orchestrator = await start(provider, { deadlines, simulated: { provisioningMs: 0, bootMs: 60_000 } });
    const vmId = await createVm(orchestrator);
    await becomes(vmId, "TERMINATED");
    expect((await idle.vms.get(vmId)).error?.code).toBe("boot-timeout");
  });

  test("whose agent is to be heard takes nobody once it is silent, and is given up after the grace", async () => {
    const deadlines = { [provider]: { silentSecondsMax: 0.3, lostSecondsMax: 1 } };
    await using orchestrator = await start(provider, { deadlines });
    const vmId = await createVm(orchestrator);
    await isReady(vmId);
    await eventually(async () => expect(await idle.vms.get(vmId)).toMatchObject({ status: "READY", reachable: false }));
    await expect(sit("s1", vmId)).rejects.toThrow("no-free-seat");
    await becomes(vmId, "TERMINATED");
    expect((await idle.vms.get(vmId)).error?.code).toBe("agent-lost");
  });

  test("that drains is ended at the provider's drain deadline, sessions or not", async () => {
    const deadlines = { [provider]: { drainSecondsMax: 0.5 } };
    await using orchestrator = await start(provider, { deadlines });
    const vmId = await createVm(orchestrator);
    await isReady(vmId);
    await sit("s1", vmId);
    await orchestrator.as("operate").call(routes.drain, { params: { vmId }, body: {} });
    expect(await idle.vms.get(vmId)).toMatchObject({ status: "DRAINING", sessions: ["s1"] });
    await becomes(vmId, "TERMINATED");
    expect((await idle.vms.get(vmId)).reason).toBe("drain-deadline");
  });
});

test("a VM whose machine is gone is counted as an orphan row, a machine nobody knows as an orphan machine", async () => {
  await using orchestrator = await start("simulated");
  const vmId = await createVm(orchestrator);
  await becomes(vmId, "READY");
  await idle.database.query("delete from orchestrator.simulated_instances where vm_id = $1", [vmId]);
  await idle.database.query(
    "insert into orchestrator.simulated_instances (vm_id, running_at, ready_at) values ('vm-nobodys', now(), now())",
  );
  await becomes(vmId, "TERMINATED");
  await eventually(async () =>
    expect(await idle.database.query("select from orchestrator.simulated_instances")).toEqual([]),
  );
  await eventually(async () => expect(await orphans(orchestrator, "simulated", "machine")).toBe(1));
  expect(await orphans(orchestrator, "simulated", "row")).toBe(1);
});

test("silence while we were not there ourselves is not held against an agent", async () => {
  let asleepMs = 0;
  const deadlines = { local: { silentSecondsMax: 1, lostSecondsMax: 2 } };
  const clock = { now: () => systemClock.now() + asleepMs };
  await using orchestrator = await start("local", { deadlines }, { clock });
  const vmId = await createVm(orchestrator);
  await becomes(vmId, "BOOTING");
  await markReady(vmId);
  asleepMs = 3_600_000;
  const wokenAtMs = performance.now();
  await becomes(vmId, "TERMINATED");
  expect(performance.now() - wokenAtMs).toBeGreaterThan(1_900);
  expect((await idle.vms.get(vmId)).error?.code).toBe("agent-lost");
});

describe("an agent", () => {
  interface RealAgent extends AsyncDisposable {
    readonly process: ChildProcess;
    readonly exited: Promise<number | null>;
    readonly log: () => string;
  }
  /** The real one, of the VM's present launch. */
  async function startAgent(vmId: string): Promise<RealAgent> {
    const bootstrapToken = `${bootstrapPrefix}${vmId}`;
    const epoch = await idle.vms.claimLaunch(vmId, {
      bootstrapHash: hashKey(bootstrapToken),
      expiresAt: new Date(Date.now() + 60_000),
      claimedBefore: new Date(0),
    });
    await idle.vms.markLaunched(vmId);
    const path = join(db.dir, `${vmId}.json`);
    const urls = { orchestratorUrl: idle.url, streamingUrl: "http://127.0.0.1:9" };
    writeFileSync(path, JSON.stringify({ vmId, epoch, bootstrapToken, ...urls }));
    const child = spawn(process.execPath, [cli, "agent", "--config", path], { stdio: ["ignore", "pipe", "inherit"] });
    let log = "";
    child.stdout.on("data", (chunk: Buffer) => (log += chunk));
    const exited = once(child, "exit").then(([code]) => code as number | null);
    return {
      process: child,
      exited,
      log: () => log,
      async [Symbol.asyncDispose]() {
        child.kill("SIGKILL");
        await exited;
      },
    };
  }

  test("that was away while its VM was given up ends itself at its first word, and its session has one seat", async () => {
    const { vmId } = await vmIn(idle, "PROVISIONING");
    await using agent = await startAgent(vmId);
    await vi.waitFor(async () => expect((await idle.vms.get(vmId)).status).toBe("READY"), { timeout: 30_000 });
    await sit("s1", vmId);
    await eventually(() => expect(agent.log()).toContain('"ready for sessions"'));
    agent.process.kill("SIGSTOP");
    await idle.vms.fail(vmId, { code: "agent-lost", message: "Silent." });
    await idle.vms.terminate(vmId, { reason: "agent-lost", force: true });
    const next = await vmIn(idle, "READY");
    await sit("s1", next.vmId);
    const backAtMs = performance.now();
    agent.process.kill("SIGCONT");
    expect(await agent.exited).toBe(0);
    expect(performance.now() - backAtMs, "one heartbeat, not three").toBeLessThan(9_000);
    expect(agent.log()).toContain("it is fenced");
    expect(await placement("s1")).toMatchObject({ status: "ASSIGNED", vmId: next.vmId });
    expect((await idle.vms.get(vmId)).sessions).toEqual([]);
  });

  test("of a launch that another one overtook never boots", async () => {
    const { vmId } = await vmIn(idle, "PROVISIONING");
    await using agent = await startAgent(vmId);
    await idle.database.query(
      "update orchestrator.vms set epoch = 2, launches = '[]', agent_key = '{}' where vm_id = $1",
      [vmId],
    );
    expect(await agent.exited).toBe(0);
    expect(agent.log()).toContain("it is fenced");
    expect((await idle.vms.get(vmId)).status).toBe("BOOTING");
  });
});
