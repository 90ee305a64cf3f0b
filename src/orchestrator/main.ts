// The orchestrator role: owns VMs, seats and the queue. Any number of replicas may run on one database; VMs of the
// `local` provider belong to the one process on their machine.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { ProviderId } from "../contracts/catalog.js";
import { Problem } from "../contracts/problems.js";
import type { Clock } from "../platform/clock.js";
import type { Database } from "../platform/database.js";
import type { HttpServer } from "../platform/http.js";
import { Answers } from "../platform/idempotency.js";
import type { Log } from "../platform/log.js";
import type { Registry } from "../platform/metrics.js";
import { migrate } from "../platform/migrations.js";
import { migratePlatform } from "../platform/platform-schema.js";
import { deadlinesOf, type OrchestratorConfig } from "./config.js";
import { LogSink } from "./events/log-sink.js";
import type { ChangeSignal } from "./events/outbox-store.js";
import { backlogGauges } from "./events/relay-meters.js";
import type { EventSink } from "./events/sink.js";
import type { EventsConfig } from "./events/sink-config.js";
import { fleetGauges } from "./fleet-gauges.js";
import { serveOrchestrator } from "./http/routes.js";
import { Bell, keepDoing } from "./loop.js";
import type { FleetMeters } from "./metrics.js";
import { LocalProvider } from "./providers/local.js";
import { ProviderMeters } from "./providers/metered.js";
import type { Provider } from "./providers/provider.js";
import { SimulatedProvider } from "./providers/simulated.js";
import { SimulatedInstances } from "./providers/simulated-store.js";
import { Replica } from "./replica.js";
import { sqlStore } from "./sql-store.js";
import type { Vms } from "./store.js";
import { countFleet } from "./vm/fleet-counts-store.js";
import type { ProviderSite } from "./vm/reconciler.js";

export { orchestratorConfig } from "./config.js";

export interface OrchestratorDeps {
  readonly config: OrchestratorConfig;
  readonly database: Database;
  readonly registry: Registry;
  readonly clock: Clock;
  /** In [0, 1): the simulated provider's luck, and which of equally good VMs a session gets. */
  readonly random: () => number;
  /** Where local VMs keep their files. */
  readonly dataDir: string;
  /** As agents reach us; asked for once the server listens, since the port may be known only then. */
  readonly orchestratorUrl: () => string;
  /** One or more streaming nodes, as agents reach them. */
  readonly streamingUrls: () => readonly [string, ...string[]];
  /** Whether local VMs end with this process; else their agents run on and are adopted by the next one. */
  readonly endLocalVms: boolean;
}

/** Migrates, registers the role's routes, and once the server listens reconciles and relays, until disposed. */
export async function mountOrchestrator(server: HttpServer, deps: OrchestratorDeps): Promise<AsyncDisposable> {
  const { config, database, registry, clock, random } = deps;
  const log = server.log.child({ role: "orchestrator" });
  await migratePlatform(database, log);
  await migrate(database, { schema: "orchestrator", directory: join(import.meta.dirname, "migrations"), log });

  const sinks = await openSinks(config.events, log);
  const replica = new Replica({
    config,
    openStore: (settings) => sqlStore(database, settings),
    sinks,
    registry,
    clock,
    random,
    randomBytes,
    defer: setImmediate,
    log,
  });
  const { store, fleet, relays, allocator, heartbeats, meters, tenantMeters, growth, chains, newVmId, drainMsOf } =
    replica;
  await fleet.open();
  fleetGauges({ registry, read: () => countFleet(database), budget: config.budget, clock, log });
  const sinkNames = sinks.map(({ name }) => name);
  backlogGauges({ registry, read: () => store.outbox.backlogs(sinkNames), clock, log });

  const bells: Record<ChangeSignal, Bell> = { events: new Bell(), reconcile: new Bell(), waiting: new Bell() };
  const stop = new AbortController();
  serveOrchestrator(
    { ...server, answers: new Answers(database, clock, log) },
    {
      ...store,
      allocator,
      heartbeats,
      meters,
      tenantMeters,
      growth,
      chains,
      newVmId,
      drainMsOf,
      leaseSeconds: config.deadlines.local.silentSecondsMax ?? config.deadlines.local.lostSecondsMax,
      database,
      eventsBell: bells.events,
      clock,
      stopping: stop.signal,
    },
  );

  const running: Promise<void>[] = [];
  let opened: OpenProviders | null = null;
  const open = async () => {
    opened = await openProviders(deps, replica, log);
    const { sites } = opened;
    for (const { provider } of sites.values()) provider.onChange(bells.reconcile.ring);
    for (const { what, everyMs, on, round } of replica.work(sites)) {
      const bell = on === undefined ? new Bell() : bells[on];
      meters.workGoesWell(what, clock.now());
      const metered = async () => {
        await round();
        meters.workGoesWell(what, clock.now());
      };
      running.push(keepDoing(what, metered, { bell, everyMs, signal: stop.signal, log }));
    }
    for (const relay of relays) running.push(relay.run(bells.events, stop.signal));
  };
  const listening = store.signals.listen((notice) => {
    if (notice.kind === "signalled") bells[notice.signal].ring();
    else for (const bell of Object.values(bells)) bell.ring();
  });
  server.onceListening.push(open);

  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all(running);
      await listening[Symbol.asyncDispose]();
      await fleet[Symbol.asyncDispose]();
      if (opened === null) return;
      await store.replicas.sayGone();
      if (deps.endLocalVms) await endLocalVms(opened, store.vms, log);
      await Promise.all([...opened.sites.values()].map(({ provider }) => provider[Symbol.asyncDispose]()));
      await Promise.all(relays.map((relay) => relay.lastWords()));
      await Promise.all(sinks.map((sink) => sink[Symbol.asyncDispose]()));
    },
  };
}

/** The libraries of sinks that are not configured are not loaded. */
async function openSinks({ nats, kafka }: EventsConfig, log: Log): Promise<EventSink[]> {
  const sinks: EventSink[] = [new LogSink(log)];
  if (nats !== undefined) {
    const { NatsSink } = await import("./events/nats-sink.js");
    sinks.push(new NatsSink(nats, log));
  }
  if (kafka !== undefined) {
    const { KafkaSink } = await import("./events/kafka-sink.js");
    sinks.push(new KafkaSink(kafka));
  }
  return sinks;
}

interface OpenProviders {
  readonly sites: ReadonlyMap<ProviderId, ProviderSite>;
  readonly local: LocalProvider;
}

const oneOrSeveral = ([first, ...more]: readonly [string, ...string[]]) =>
  more.length === 0 ? first : [first, ...more];

async function openProviders(
  deps: OrchestratorDeps,
  { store: { vms }, meters }: Replica,
  log: Log,
): Promise<OpenProviders> {
  const { config, database, registry, clock, random } = deps;
  const local = await LocalProvider.open({
    dir: deps.dataDir,
    agentCommand: config.agentCommand ?? ownAgentCommand,
    environment: config.agentEnvironment,
    agentSettings: { ...config.agentSettings, sessionsMax: config.localSeats ?? undefined },
    urls: { orchestratorUrl: deps.orchestratorUrl(), streamingUrl: oneOrSeveral(deps.streamingUrls()) },
    seatsMax: async () => config.localSeats ?? (await vms.learntSessionsMax("local")),
    log,
  });
  const simulated = new SimulatedProvider({
    config: config.simulated,
    instances: new SimulatedInstances(database),
    becomeReady: (vmId) => becomeReady(vms, meters, vmId),
    clock,
    random,
    log,
  });
  const calls = new ProviderMeters(registry);
  const siteOf = (id: ProviderId, provider: Provider): [ProviderId, ProviderSite] => [
    id,
    { provider: calls.meter(id, provider), deadlines: deadlinesOf(config.deadlines[id]) },
  ];
  const sites = new Map([siteOf("local", local), siteOf("simulated", simulated)]);
  return { sites, local };
}

const ownAgentCommand = [process.execPath, join(import.meta.dirname, "../cli/main.js"), "agent", "--config"];

/** For a VM without an agent; one that is past BOOTING, or gone, needs no more of it. */
async function becomeReady(vms: Vms, meters: FleetMeters, vmId: string): Promise<"done" | "early"> {
  try {
    meters.vmReady(await vms.markReady(vmId));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.type === "illegal-transition" && (await vms.get(vmId)).status === "PROVISIONING") return "early";
    if (error.type !== "illegal-transition" && error.type !== "not-found") throw error;
  }
  return "done";
}

/** Every local VM's process is gone afterwards, and its row says so. */
async function endLocalVms({ local }: OpenProviders, vms: Vms, log: Log): Promise<void> {
  const end = async (vmId: string) => {
    await vms.terminate(vmId, { reason: "orchestrator-stopped", force: true });
  };
  await Promise.all(
    (await local.list()).map(async ({ vmId }) => {
      const [row] = await Promise.allSettled([end(vmId), local.terminate(vmId)]);
      if (row.status === "rejected") log.warn({ err: row.reason, vmId }, "a local VM ended, its row did not say so");
    }),
  );
}
