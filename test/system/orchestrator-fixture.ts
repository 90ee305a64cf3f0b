// A real orchestrator for tests: its own database in the shared embedded PostgreSQL, real HTTP on a free port.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mountOrchestrator, type OrchestratorDeps, orchestratorConfig } from "../../src/orchestrator/main.js";
import { Authenticator } from "../../src/platform/auth.js";
import { createClient, type RouteClient } from "../../src/platform/client.js";
import { systemClock } from "../../src/platform/clock.js";
import { listenConfig, parseConfig } from "../../src/platform/config.js";
import { type Database, openDatabase } from "../../src/platform/database.js";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/platform/embedded-postgres.js";
import { createHttpServer, listen } from "../../src/platform/http.js";
import { createLog } from "../../src/platform/log.js";
import { createRegistry, type Registry } from "../../src/platform/metrics.js";
import { ensureSecrets, type KeyScope, plainKey, type Secrets } from "../../src/platform/secrets.js";

export interface TestDatabase extends AsyncDisposable {
  /** A connection pool to it of the caller's own. */
  open(): Database;
  readonly dir: string;
}

/** An empty database: nothing of one test file is seen by another. */
export async function startDatabase(): Promise<TestDatabase> {
  const dir = await mkdtemp(join(tmpdir(), "hotseat-orchestrator-"));
  const postgres: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir: join(dir, "postgres"), log: silent });
  return {
    dir,
    open: () => openDatabase({ url: postgres.url, applicationName: "test", log: silent }),
    async [Symbol.asyncDispose]() {
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export const silent = createLog({ name: "test", level: "silent" });

export interface TestOrchestrator extends AsyncDisposable {
  readonly url: string;
  readonly secrets: Secrets;
  readonly authenticator: Authenticator;
  readonly database: Database;
  readonly registry: Registry;
  readonly as: (scope: KeyScope) => RouteClient;
  readonly bearer: (token: string) => RouteClient;
}

/** Mounts the role as `hotseat orchestrator` does. Each has a connection pool of its own, as a replica has. */
export async function startOrchestrator(
  db: TestDatabase,
  options: { config?: unknown; name?: string; log?: typeof silent; deps?: Partial<OrchestratorDeps> } = {},
): Promise<TestOrchestrator> {
  const secrets = await ensureSecrets(join(db.dir, "secrets.json"));
  const authenticator = new Authenticator(secrets, systemClock);
  const config = parseConfig(listenConfig, { port: 0 });
  const server = await createHttpServer({ config, authenticator, log: options.log ?? silent });
  const database = db.open();
  const registry = createRegistry();
  let url = "";
  const role = await mountOrchestrator(server, {
    config: parseConfig(orchestratorConfig, options.config ?? {}),
    database,
    registry,
    clock: systemClock,
    random: Math.random,
    dataDir: join(db.dir, options.name ?? "vms"),
    orchestratorUrl: () => url,
    streamingUrl: () => "http://127.0.0.1:9",
    endLocalVms: true,
    ...options.deps,
  });
  server.app.addHook("onListen", async () => undefined);
  url = `http://127.0.0.1:${await listen(server, config)}`;
  const bearer = (token: string) => createClient({ baseUrl: url, bearer: token });
  return {
    url,
    secrets,
    authenticator,
    database,
    registry,
    bearer,
    as: (scope) => bearer(plainKey(secrets, scope)),
    async [Symbol.asyncDispose]() {
      await role[Symbol.asyncDispose]();
      await server.app.close();
      await database[Symbol.asyncDispose]();
    },
  };
}
