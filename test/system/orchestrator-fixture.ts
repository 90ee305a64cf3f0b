// A real orchestrator for tests: real PostgreSQL, real HTTP on a free port.
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VmEvent } from "../../src/contracts/events.js";
import { orchestratorRoutes, type Vm, type VmStatus } from "../../src/contracts/orchestrator.js";
import { mountOrchestrator, type OrchestratorDeps, orchestratorConfig } from "../../src/orchestrator/main.js";
import { VmStore } from "../../src/orchestrator/vm/vm-store.js";
import { Authenticator } from "../../src/platform/auth.js";
import { createClient, type RouteClient } from "../../src/platform/client.js";
import { systemClock } from "../../src/platform/clock.js";
import { listenConfig, parseConfig } from "../../src/platform/config.js";
import { type Database, openDatabase } from "../../src/platform/database.js";
import { startEmbeddedPostgres } from "../../src/platform/embedded-postgres.js";
import { createHttpServer, listen, ownUrl } from "../../src/platform/http.js";
import { createLog } from "../../src/platform/log.js";
import { createRegistry, type Registry } from "../../src/platform/metrics.js";
import { ensureSecrets, type KeyScope, plainKey } from "../../src/platform/secrets.js";

export interface TestDatabase extends AsyncDisposable {
  readonly dir: string;
  readonly url: string;
  /** A connection pool of the caller's own, as each replica has one. */
  open(): Database;
  /** `start` brings the server back in the same place. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export const silent = createLog({ name: "test", level: "silent" });

export async function startDatabase(): Promise<TestDatabase> {
  const dir = await mkdtemp(join(tmpdir(), "hotseat-orchestrator-"));
  const startServer = () => startEmbeddedPostgres({ dataDir: join(dir, "postgres"), log: silent });
  let postgres = await startServer();
  return {
    dir,
    url: postgres.url,
    open: () => openDatabase({ url: postgres.url, applicationName: "test", log: silent }),
    stop: () => postgres.stop(),
    async start() {
      postgres = await startServer();
    },
    async [Symbol.asyncDispose]() {
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Forgets everything but the templates, so that the next test starts with an empty fleet. */
export async function emptyFleet(db: Database): Promise<void> {
  await db.query(`
    delete from orchestrator.vms where status <> 'TEMPLATE';
    truncate orchestrator.placements, orchestrator.leases, orchestrator.outbox, orchestrator.capacity_holds,
      orchestrator.launch_times, orchestrator.low_pools, orchestrator.pools, orchestrator.queue_round,
      orchestrator.seat_times, orchestrator.simulated_instances`);
}

export interface TestOrchestrator extends AsyncDisposable {
  readonly url: string;
  readonly authenticator: Authenticator;
  readonly database: Database;
  readonly registry: Registry;
  /** The store of this replica, to bring VMs where HTTP alone cannot. */
  readonly vms: VmStore;
  readonly as: (scope: KeyScope) => RouteClient;
  readonly bearer: (token: string) => RouteClient;
  readonly key: (scope: KeyScope) => string;
  readonly events: () => Promise<VmEvent[]>;
}

/** `idle`: it serves but neither reconciles nor relays, so that every state holds still. */
export async function startOrchestrator(
  db: Pick<TestDatabase, "dir" | "open">,
  options: { config?: unknown; idle?: boolean; name?: string; deps?: Partial<OrchestratorDeps> } = {},
): Promise<TestOrchestrator> {
  const secrets = await ensureSecrets(join(db.dir, "secrets.json"));
  const authenticator = new Authenticator(secrets, systemClock);
  const config = parseConfig(listenConfig, { port: 0 });
  const server = await createHttpServer({ config, authenticator, log: silent });
  const database = db.open();
  const registry = createRegistry();
  const url = () => ownUrl(server, config);
  const role = await mountOrchestrator(server, {
    config: parseConfig(orchestratorConfig, options.config ?? {}),
    database,
    registry,
    clock: systemClock,
    random: Math.random,
    dataDir: join(db.dir, options.name ?? "vms"),
    orchestratorUrl: url,
    streamingUrls: () => ["http://127.0.0.1:9"],
    endLocalVms: true,
    ...options.deps,
  });
  if (options.idle) {
    await server.app.ready();
    await once(server.app.server.listen(0, "127.0.0.1"), "listening");
  } else await listen(server, config);
  const bearer = (token: string) => createClient({ baseUrl: url(), bearer: token });
  const key = (scope: KeyScope) => plainKey(secrets, scope);
  return {
    url: url(),
    authenticator,
    database,
    registry,
    vms: new VmStore(database, systemClock, { waitMsMax: 60_000 }),
    bearer,
    key,
    as: (scope) => bearer(key(scope)),
    events: async () =>
      (
        await database.query<{ type: string; data: unknown }>("select type, data from orchestrator.outbox order by seq")
      ).map((row) => row as VmEvent),
    async [Symbol.asyncDispose]() {
      await role[Symbol.asyncDispose]();
      await server.app.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

const steps: Readonly<Record<Exclude<VmStatus, "TEMPLATE">, readonly VmStatus[]>> = {
  PROVISIONING: [],
  BOOTING: ["BOOTING"],
  READY: ["BOOTING", "READY"],
  IN_USE: ["BOOTING", "READY", "IN_USE"],
  DRAINING: ["BOOTING", "READY", "IN_USE", "DRAINING"],
  ERROR: ["ERROR"],
  TERMINATED: ["TERMINATED"],
};

/** A VM in that state; IN_USE and DRAINING ones carry the session `on-<vmId>`. */
export async function vmIn(
  { as, vms }: TestOrchestrator,
  status: VmStatus,
  where: Partial<Pick<Vm, "region" | "templateId">> = {},
): Promise<Vm> {
  const operator = as("operate");
  const { region = "us-east-1", templateId = "L4-360" } = where;
  if (status === "TEMPLATE") return vms.get("template-L4-360");
  const { body: made } = await operator.call(orchestratorRoutes.createVm, { body: { region, templateId } });
  const params = { vmId: made.vmId };
  for (const step of steps[status]) {
    if (step === "BOOTING") await vms.markLaunched(made.vmId);
    if (step === "READY") await operator.call(orchestratorRoutes.markReady, { params, body: {} });
    if (step === "IN_USE")
      await operator.call(orchestratorRoutes.assign, { body: { sessionId: `on-${made.vmId}`, ...params } });
    if (step === "DRAINING") await operator.call(orchestratorRoutes.drain, { params, body: {} });
    if (step === "ERROR")
      await operator.call(orchestratorRoutes.reportError, {
        params,
        body: { errorCode: "broken", errorMessage: "Broken." },
      });
    if (step === "TERMINATED") await operator.call(orchestratorRoutes.terminate, { params, body: {} });
  }
  return vms.get(made.vmId);
}
