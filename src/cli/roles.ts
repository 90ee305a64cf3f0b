// One role alone in this process, for a fleet: the same roles that `hotseat up` runs together.
import { join, resolve } from "node:path";
import { mountOrchestrator, orchestratorConfig } from "../orchestrator/main.js";
import { Authenticator } from "../platform/auth.js";
import { systemClock } from "../platform/clock.js";
import { listenConfig, parseConfig } from "../platform/config.js";
import { type Database, openDatabase } from "../platform/database.js";
import { databaseMeters } from "../platform/database-meters.js";
import { createHttpServer, type HttpServer, listen, ownUrl } from "../platform/http.js";
import { createLog, type Log } from "../platform/log.js";
import { createRegistry, mountHealth, type Registry } from "../platform/metrics.js";
import { followKeys, loadSecrets, plainKey } from "../platform/secrets.js";
import { mountSession, sessionConfig } from "../session/main.js";
import { mountStreaming, streamingConfig } from "../streaming/main.js";
import { mountWeb } from "../web/http.js";
import { aborted, UserError } from "./run.js";
import { type ListenOptions, listenSettings, readSettings } from "./settings.js";

interface RoleOptions extends ListenOptions {
  readonly secrets: string;
}

type StreamingUrls = readonly [string, ...string[]];

interface RoleParts {
  readonly server: HttpServer;
  readonly registry: Registry;
  readonly serviceKey: string;
  readonly log: Log;
  /** How others reach this role. */
  readonly publicUrl: () => string;
}

/** Mounts one role on a server of its own and serves until the signal fires. */
async function runRole(
  name: string,
  options: RoleOptions,
  signal: AbortSignal,
  mount: (parts: RoleParts) => Promise<AsyncDisposable>,
): Promise<void> {
  const log = createLog({ name: `hotseat-${name}`, level: options.logLevel });
  const config = parseConfig(listenConfig, listenSettings(options));
  const secrets = await loadSecrets(options.secrets);
  const authenticator = new Authenticator(secrets, systemClock);
  using _keys = followKeys(options.secrets, (keys) => authenticator.useKeys(keys), { log });
  const server = await createHttpServer({ config, authenticator, log });
  const registry = createRegistry();
  mountHealth(server, registry);
  const publicUrl = () => config.publicUrl ?? ownUrl(server, config);
  try {
    await using _role = await mount({ server, registry, serviceKey: plainKey(secrets, "service"), log, publicUrl });
    await listen(server, config);
    log.info({ url: publicUrl() }, `${name} listens`);
    await aborted(signal);
  } finally {
    await server.app.close();
  }
}

function openRoleDatabase(
  { databaseUrl }: { databaseUrl?: string },
  name: string,
  { registry, log }: Pick<RoleParts, "registry" | "log">,
): Database {
  if (databaseUrl === undefined) throw new UserError("Say where PostgreSQL is: set DATABASE_URL, or --database-url.");
  const database = openDatabase({ url: databaseUrl, applicationName: `hotseat-${name}`, log });
  databaseMeters(registry, database);
  return database;
}

/** Both go when the role goes: the role first, for it still writes. */
const together = (role: AsyncDisposable, database: Database): AsyncDisposable => ({
  async [Symbol.asyncDispose]() {
    await role[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  },
});

const ambient = { clock: systemClock, random: Math.random };

export async function runOrchestratorRole(
  options: RoleOptions & { databaseUrl?: string; streamingUrl: StreamingUrls; data: string },
  signal: AbortSignal,
): Promise<void> {
  const { orchestrator } = await readSettings(options.config);
  await runRole("orchestrator", options, signal, async ({ server, registry, log, publicUrl }) => {
    const database = openRoleDatabase(options, "orchestrator", { registry, log });
    const role = await mountOrchestrator(server, {
      ...ambient,
      config: parseConfig(orchestratorConfig, orchestrator),
      database,
      registry,
      dataDir: join(resolve(options.data), "vms"),
      orchestratorUrl: publicUrl,
      streamingUrls: () => options.streamingUrl,
      endLocalVms: false,
    });
    return together(role, database);
  });
}

export async function runSessionRole(
  options: RoleOptions & {
    databaseUrl?: string;
    orchestratorUrl: string;
    streamingUrl: StreamingUrls;
    version: string;
  },
  signal: AbortSignal,
): Promise<void> {
  const { session } = await readSettings(options.config);
  await runRole("session", options, signal, async ({ server, registry, serviceKey, log }) => {
    const database = openRoleDatabase(options, "session", { registry, log });
    await mountWeb(server, { version: options.version });
    const role = await mountSession(server, {
      ...ambient,
      config: parseConfig(sessionConfig, session),
      database,
      registry,
      serviceKey,
      orchestratorUrl: () => options.orchestratorUrl,
      streamingUrls: () => options.streamingUrl,
    });
    return together(role, database);
  });
}

export async function runStreamingRole(
  options: RoleOptions & { sessionUrl: string },
  signal: AbortSignal,
): Promise<void> {
  const { streaming } = await readSettings(options.config);
  await runRole("streaming", options, signal, ({ server, registry, serviceKey, publicUrl }) =>
    mountStreaming(server, {
      ...ambient,
      config: parseConfig(streamingConfig, streaming),
      registry,
      serviceKey,
      publicUrl,
      sessionUrl: () => options.sessionUrl,
    }),
  );
}
