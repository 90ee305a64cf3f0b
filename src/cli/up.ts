// `hotseat up`: every role in this process, on one port, with a database of its own. The roles still meet on the wire.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { mountOrchestrator, orchestratorConfig } from "../orchestrator/main.js";
import { Authenticator } from "../platform/auth.js";
import { systemClock } from "../platform/clock.js";
import { listenConfig, parseConfig } from "../platform/config.js";
import { openDatabase } from "../platform/database.js";
import { databaseMeters } from "../platform/database-meters.js";
import { startEmbeddedPostgres } from "../platform/embedded-postgres.js";
import { createHttpServer, listen, ownUrl } from "../platform/http.js";
import { createLog } from "../platform/log.js";
import { createRegistry, mountHealth } from "../platform/metrics.js";
import { ensureSecrets, followKeys, plainKey } from "../platform/secrets.js";
import { mountSession, sessionConfig } from "../session/main.js";
import { mountStreaming, streamingConfig } from "../streaming/main.js";
import { mountWeb } from "../web/http.js";
import { lockDataFolder } from "./data-lock.js";
import { aborted } from "./run.js";
import { type ListenOptions, listenSettings, readSettings } from "./settings.js";

export interface UpOptions extends ListenOptions {
  readonly data: string;
  readonly warm: number;
  readonly databaseUrl?: string;
  readonly version: string;
}

export async function up(options: UpOptions, signal: AbortSignal): Promise<void> {
  const say = (step: string, text: string) => console.log(`  ${step.padEnd(10)}${text}`);
  console.log(`Hotseat ${options.version}`);
  signal.addEventListener("abort", () => console.log("Stopping…"));
  await mkdir(options.data, { recursive: true, mode: 0o700 });
  await using _lock = await lockDataFolder(options.data);
  const log = createLog({ name: "hotseat", level: options.logLevel, file: join(options.data, "hotseat.log") });
  // Everything a person can have got wrong, before anything is started.
  const config = parseConfig(listenConfig, listenSettings(options));
  const settings = await readSettings(options.config);
  const fleet = parseConfig(orchestratorConfig, settings.orchestrator);
  const roles = {
    orchestrator: parseConfig(orchestratorConfig, { ...fleet, warm: { ...fleet.warm, vms: options.warm } }),
    session: parseConfig(sessionConfig, settings.session),
    streaming: parseConfig(streamingConfig, settings.streaming),
  };
  const secretsPath = join(options.data, "secrets.json");
  const secrets = await ensureSecrets(secretsPath);

  const started = performance.now();
  await using postgres =
    options.databaseUrl === undefined
      ? await startEmbeddedPostgres({ dataDir: join(options.data, "postgres"), log })
      : { url: options.databaseUrl, async [Symbol.asyncDispose]() {} };
  await using database = openDatabase({ url: postgres.url, applicationName: "hotseat", log });
  say("database", `runs (${Math.round(performance.now() - started)} ms)`);
  signal.throwIfAborted();

  const authenticator = new Authenticator(secrets, systemClock);
  using _keys = followKeys(secretsPath, (keys) => authenticator.useKeys(keys), { log });
  await using server = disposable(await createHttpServer({ config, authenticator, log }));
  const registry = createRegistry();
  databaseMeters(registry, database);
  const url = () => ownUrl(server, config);
  const shared = {
    database,
    registry,
    clock: systemClock,
    random: Math.random,
    serviceKey: plainKey(secrets, "service"),
  };
  mountHealth(server, registry);
  await mountWeb(server, { version: options.version });
  await using _streaming = await mountStreaming(server, {
    ...shared,
    config: roles.streaming,
    publicUrl: () => config.publicUrl ?? url(),
    sessionUrl: url,
  });
  await using _session = await mountSession(server, {
    ...shared,
    config: roles.session,
    orchestratorUrl: url,
    streamingUrls: () => [url()],
  });
  await using _orchestrator = await mountOrchestrator(server, {
    ...shared,
    config: roles.orchestrator,
    dataDir: join(options.data, "vms"),
    orchestratorUrl: url,
    streamingUrls: () => [url()],
    endLocalVms: true,
  });
  await listen(server, config);
  say("services", `listen on ${url()}`);

  const publicUrl = config.publicUrl ?? url();
  say("play", `${publicUrl}/#key=${plainKey(secrets, "session")}`);
  say("API", `${publicUrl}/docs   keys: ${secretsPath}   log: ${join(options.data, "hotseat.log")}`);
  if (options.warm > 0) say("machines", `${options.warm} kept warm, so that Play is instant`);
  say("", "Ctrl-C stops everything.");
  await aborted(signal);
}

/** A server that closes when it goes out of scope. */
const disposable = <S extends { app: { close(): Promise<unknown> } }>(server: S): S & AsyncDisposable =>
  Object.assign(server, {
    async [Symbol.asyncDispose]() {
      await server.app.close();
    },
  });
