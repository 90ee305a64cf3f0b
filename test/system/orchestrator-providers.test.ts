// Both providers against the port's contract, and what is particular to each.
import { existsSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { describeProvider } from "../../src/orchestrator/providers/conformance.js";
import { LocalProvider } from "../../src/orchestrator/providers/local.js";
import { CapacityError, type Provider, ProviderError } from "../../src/orchestrator/providers/provider.js";
import { SimulatedProvider } from "../../src/orchestrator/providers/simulated.js";
import { simulatedConfig } from "../../src/orchestrator/providers/simulated-config.js";
import { SimulatedInstances } from "../../src/orchestrator/providers/simulated-store.js";
import { systemClock } from "../../src/platform/clock.js";
import type { Database } from "../../src/platform/database.js";
import { migrate } from "../../src/platform/migrations.js";
import { commandLine, isAlive, listProcesses, type ProcessIdentity } from "../../src/platform/process-identity.js";
import { silent, startDatabase, type TestDatabase } from "./orchestrator-fixture.js";

let db: TestDatabase;
let database: Database;

beforeAll(async () => {
  db = await startDatabase();
  database = db.open();
  const directory = join(import.meta.dirname, "../../src/orchestrator/migrations");
  await migrate(database, { schema: "orchestrator", directory, log: silent });
  writeFileSync(join(db.dir, "agent.mjs"), standInAgent);
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await db[Symbol.asyncDispose]();
});

// Starts a process in its group, as sessions are; with "stubborn" it does not end when it is asked to.
const standInAgent = `
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
if (process.argv.includes("stubborn")) process.on("SIGTERM", () => {});
writeFileSync(process.argv.at(-1).replace("agent.json", "up"), String(child.pid));
console.log("environment", JSON.stringify(Object.keys(process.env).sort()));
setInterval(() => {}, 1000);
`;

const local = (fields: Partial<Parameters<typeof LocalProvider.open>[0]> = {}) =>
  LocalProvider.open({
    dir: join(db.dir, "vms"),
    agentCommand: [process.execPath, join(db.dir, "agent.mjs")],
    environment: { PATH: "/usr/bin:/bin" },
    agentSettings: { logLevel: "info" },
    urls: { orchestratorUrl: "http://127.0.0.1:1", streamingUrl: "http://127.0.0.1:2" },
    seatsMax: async () => 100,
    log: silent,
    ...fields,
  });
const simulated = async (config: object = {}) =>
  new SimulatedProvider({
    config: simulatedConfig.parse({ provisioningMs: 50, bootMs: 50, ...config }),
    instances: new SimulatedInstances(database),
    becomeReady: async () => "done",
    clock: systemClock,
    random: Math.random,
    log: silent,
  });

const processOf = (vmId: string, dir = "vms") =>
  JSON.parse(readFileSync(join(db.dir, dir, vmId, "process.json"), "utf8")) as ProcessIdentity;
const spec = (vmId: string, templateId: "L4-90" | "L4-360" = "L4-90") =>
  ({ vmId, epoch: 1, region: "us-east-1", templateId, bootstrapToken: "hsb_secret" }) as const;
const isUp = (vmId: string, dir = "vms") =>
  vi.waitFor(() => expect(existsSync(join(db.dir, dir, vmId, "up"))).toBe(true), { timeout: 10_000 });
const groupOf = ({ pid }: ProcessIdentity) => listProcesses().filter(({ group }) => group === pid);

describeProvider("local", {
  open: () => local(),
  lose: async (_provider, vmId) => {
    process.kill(processOf(vmId).pid, "SIGKILL");
  },
});
describeProvider("simulated", {
  open: () => simulated(),
  lose: (provider: Provider, vmId) => (provider as SimulatedProvider).lose(vmId),
});

describe("the local provider", () => {
  test("hands the secret over in a file that is ours alone, never in arguments or environment", async () => {
    await using provider = await local();
    await provider.launch(spec("vm-secret"));
    await isUp("vm-secret");
    const path = join(db.dir, "vms/vm-secret/agent.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(db.dir, "vms/vm-secret")).mode & 0o777).toBe(0o700);
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({
      vmId: "vm-secret",
      epoch: 1,
      orchestratorUrl: "http://127.0.0.1:1",
      bootstrapToken: "hsb_secret",
      logLevel: "info",
    });
    expect(commandLine(processOf("vm-secret").pid)).toMatch(/agent\.json$/);
    expect(commandLine(processOf("vm-secret").pid)).not.toContain("hsb_");
    await vi.waitFor(() =>
      expect(readFileSync(join(db.dir, "vms/vm-secret/agent.log"), "utf8")).toContain('environment ["PATH"]'),
    );
    await provider.terminate("vm-secret");
  });

  test("ends an agent that will not end, with everything in its group, and removes its folder", async () => {
    const agentCommand = [process.execPath, join(db.dir, "agent.mjs"), "stubborn"];
    await using provider = await local({ agentCommand });
    await provider.launch(spec("vm-stubborn"));
    await isUp("vm-stubborn");
    const identity = processOf("vm-stubborn");
    expect(groupOf(identity)).toHaveLength(2);
    await provider.terminate("vm-stubborn");
    expect(isAlive(identity)).toBe(false);
    expect(groupOf(identity)).toEqual([]);
    expect(readdirSync(join(db.dir, "vms"))).not.toContain("vm-stubborn");
  });

  test("ends what a dead agent left running", async () => {
    await using provider = await local();
    await provider.launch(spec("vm-dead"));
    await isUp("vm-dead");
    const identity = processOf("vm-dead");
    process.kill(identity.pid, "SIGKILL");
    await vi.waitFor(() => expect(groupOf(identity)).toEqual([]), { timeout: 10_000 });
    await provider.terminate("vm-dead");
  });

  test("tells adopted agents the present URLs, and finds one whose identity was never written", async () => {
    {
      await using provider = await local();
      await provider.launch(spec("vm-adopted"));
      await isUp("vm-adopted");
    }
    const identity = processOf("vm-adopted");
    unlinkSync(join(db.dir, "vms/vm-adopted/process.json"));
    const urls = { orchestratorUrl: "http://127.0.0.1:3", streamingUrl: "http://127.0.0.1:4" };
    await using successor = await local({ urls });
    expect(await successor.list()).toEqual([{ vmId: "vm-adopted", state: "running" }]);
    expect(processOf("vm-adopted")).toMatchObject({ pid: identity.pid });
    const config = JSON.parse(readFileSync(join(db.dir, "vms/vm-adopted/agent.json"), "utf8"));
    expect(config).toMatchObject({ ...urls, bootstrapToken: "hsb_secret" });
    await successor.terminate("vm-adopted");
  });

  test("has one VM while nobody knows what the machine carries, then as many as it does", async () => {
    let seats: number | null = null;
    await using provider = await local({ dir: join(db.dir, "seats"), seatsMax: async () => seats });
    await provider.launch(spec("vm-1"));
    await expect(provider.launch(spec("vm-2"))).rejects.toThrow(CapacityError);
    seats = 5;
    await provider.launch(spec("vm-2"));
    await expect(provider.launch(spec("vm-3"))).rejects.toThrow("carries 5 sessions");
    await provider.terminate("vm-1");
    await provider.launch(spec("vm-3"));
    await Promise.all(["vm-2", "vm-3"].map((vmId) => provider.terminate(vmId)));
  });

  test("says so when the agent's program is not there", async () => {
    await using provider = await local({ agentCommand: ["/no/such/program"] });
    await expect(provider.launch(spec("vm-none"))).rejects.toThrow(ProviderError);
    expect(await provider.list()).toEqual([]);
    await provider.terminate("vm-none");
  });
});

describe("the simulated provider", () => {
  test("fails as often as it is told to, each time in its own way", async () => {
    await using full = await simulated({ capacityErrorShare: 1 });
    await expect(full.launch(spec("vm-full"))).rejects.toThrow(CapacityError);
    await using broken = await simulated({ launchErrorShare: 1 });
    await expect(broken.launch(spec("vm-broken"))).rejects.toThrow(ProviderError);
    expect(await broken.list()).toEqual([]);
  });

  test("carries thousands of VMs, and says of each once that it is ready", async () => {
    const ready: string[] = [];
    const config = simulatedConfig.parse({ provisioningMs: 0, bootMs: 0 });
    await using provider = new SimulatedProvider({
      config,
      instances: new SimulatedInstances(database),
      becomeReady: async (vmId) => {
        ready.push(vmId);
        return "done";
      },
      clock: systemClock,
      random: Math.random,
      log: silent,
    });
    const vmIds = Array.from({ length: 2_000 }, (_, i) => `vm-many-${i}`);
    await Promise.all(vmIds.map((vmId) => provider.launch(spec(vmId))));
    await vi.waitFor(() => expect(ready.length).toBeGreaterThanOrEqual(2_000), { timeout: 20_000 });
    expect([...ready].sort()).toEqual([...vmIds].sort());
    expect(await provider.list()).toHaveLength(2_000);
    await database.query("truncate orchestrator.simulated_instances");
  });
});
