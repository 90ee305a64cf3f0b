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
import { EnrolmentStore } from "./agents/enrolment-store.js";
import { LeaseStore } from "./agents/lease-store.js";
import { Autoscaler } from "./autoscaling/autoscaler.js";
import { PoolStore } from "./autoscaling/pool-store.js";
import { chainsOf, deadlinesOf, everyPlace, type OrchestratorConfig, placeRules, poolRules } from "./config.js";
import { LogSink } from "./events/log-sink.js";
import { type ChangeSignal, changesChannel, pruneEvents } from "./events/outbox-store.js";
import { Relay } from "./events/relay.js";
import { relayMeters } from "./events/relay-meters.js";
import { readBacklogs, SqlRelayStore } from "./events/relay-store.js";
import type { EventSink } from "./events/sink.js";
import type { EventsConfig } from "./events/sink-config.js";
import { serveOrchestrator } from "./http/routes.js";
import { Bell, keepDoing } from "./loop.js";
import { FleetMeters } from "./metrics.js";
import { Allocator } from "./placement/allocate.js";
import { fleetMetrics } from "./placement/capacity.js";
import { readHolds } from "./placement/capacity-holds-store.js";
import { PlacementDecisions } from "./placement/decisions-store.js";
import { LiveFleet } from "./placement/live-fleet-store.js";
import { PlacementStore } from "./placement/placement-store.js";
import { sayGone, sayHere } from "./placement/replicas-store.js";
import { SeatsStore } from "./placement/seats-store.js";
import { LocalProvider } from "./providers/local.js";
import { SimulatedProvider } from "./providers/simulated.js";
import { SimulatedInstances } from "./providers/simulated-store.js";
import { type ProviderSite, Reconciler } from "./vm/reconciler.js";
import { VmStore } from "./vm/vm-store.js";

export { orchestratorConfig } from "./config.js";

const queueMs = 1_000;
const presenceMs = 5_000;
const pruneMs = 3_600_000;
const dayMs = 24 * 3_600_000;

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
  readonly streamingUrl: () => string;
  /** Whether local VMs end with this process; else their agents run on and are adopted by the next one. */
  readonly endLocalVms: boolean;
}

/** Migrates, registers the role's routes, and once the server listens reconciles and relays, until disposed. */
export async function mountOrchestrator(server: HttpServer, deps: OrchestratorDeps): Promise<AsyncDisposable> {
  const { config, database, registry, clock, random } = deps;
  const log = server.log.child({ role: "orchestrator" });
  await migratePlatform(database, log);
  await migrate(database, { schema: "orchestrator", directory: join(import.meta.dirname, "migrations"), log });

  const places = placeRules(config.places);
  const { budget } = config;
  const growth = { places, budget };
  const drainMsOf = (provider: ProviderId) => deadlinesOf(config.deadlines[provider]).drainMsMax;
  const chains = chainsOf(config.fallback);
  const newVmId = (from: string | null = null) => `vm-${from?.slice(0, 16) ?? randomBytes(8).toString("hex")}`;
  const waitMsMax = config.waitSecondsMax * 1000;
  const idleMs = config.idleSecondsMax * 1000;
  const vms = new VmStore(database, clock, { waitMsMax });
  const placements = new PlacementStore(database, clock, { places, budget, newVmId });
  const fleet = new LiveFleet(database, log, random);
  await fleet.open();
  const seats = new SeatsStore(database);
  const decisions = new PlacementDecisions(database);
  const allocator = new Allocator({
    vms,
    placements,
    seats,
    decisions,
    fleet: fleet.index,
    chains,
    places,
    budget,
    waitMsMax,
    idleMs,
    clock,
  });
  const count = (waiting: ReadonlyMap<unknown, number>) => [...waiting.values()].reduce((sum, n) => sum + n, 0);
  const meters = new FleetMeters(registry, async () => ({
    fleet: await placements.readFleet(),
    waiting: count(await placements.waitingByRegion()),
  }));

  const bells: Record<ChangeSignal, Bell> = { events: new Bell(), reconcile: new Bell(), waiting: new Bell() };
  const stop = new AbortController();
  serveOrchestrator(
    { ...server, answers: new Answers(database, clock, log) },
    {
      vms,
      placements,
      enrolments: new EnrolmentStore(database, clock),
      leases: new LeaseStore(database, clock, registry),
      allocator,
      meters,
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

  const autoscaler = new Autoscaler({
    pools: new PoolStore(database, clock, {
      newVm: (place) => ({ ...place, vmId: newVmId(), provider: places(place.region, place.templateId).provider }),
      drainMsOf,
    }),
    database,
    places: everyPlace,
    settingsOf: poolRules(config.pools, places),
    warm: config.warm,
    growth,
    chains,
    lowCapacity: config.lowCapacity,
    holdMsMax: config.capacityHoldSecondsMax * 1000,
    registry,
    clock,
    log,
  });
  const logMetrics = async () => {
    const reading = {
      fleet: await placements.readFleet(),
      holds: await readHolds(database),
      waiting: await placements.waitingByRegion(),
      chains,
      nowMs: clock.now(),
    };
    log.info({ metrics: fleetMetrics(reading) }, "fleet metrics");
  };
  const prune = async () => {
    const before = new Date(clock.now() - config.retentionDays * dayMs);
    await pruneEvents(database, before);
    await vms.prune(before);
    await decisions.forget(before);
  };

  const replicaId = randomBytes(8).toString("hex");
  const sayPresence = async () => fleet.share(await sayHere(database, replicaId, new Date(clock.now())));

  const sinks = await openSinks(config.events, log);
  const backlogs = () =>
    readBacklogs(
      database,
      sinks.map(({ name }) => name),
    );
  const toSinks = { meters: relayMeters(registry, backlogs, clock.now), clock, random, log };
  const relays = sinks.map(
    (sink) => new Relay({ ...toSinks, sink, store: new SqlRelayStore(database, sink.name, replicaId) }),
  );

  const running: Promise<void>[] = [];
  const keep = (what: string, everyMs: number, round: () => Promise<void>, bell = new Bell()) =>
    running.push(keepDoing(what, round, { bell, everyMs, signal: stop.signal, log }));
  let opened: OpenProviders | null = null;
  const open = async () => {
    opened = await openProviders(deps, vms, log);
    const { sites } = opened;
    const placesOf = (provider: ProviderId) =>
      everyPlace.filter(({ region, templateId }) => places(region, templateId).provider === provider);
    const holdPolicy = { holdMs: config.capacityHoldSeconds * 1000, holdMsMax: config.capacityHoldSecondsMax * 1000 };
    const passGapMsMax = 3 * config.reconcileSeconds * 1000 + 5_000;
    const reconciler = new Reconciler({ vms, sites, placesOf, holdPolicy, passGapMsMax, meters, clock, log });
    for (const { provider } of sites.values()) provider.onChange(bells.reconcile.ring);
    keep("reconciling", config.reconcileSeconds * 1000, () => reconciler.pass(), bells.reconcile);
    keep("placing who waits", queueMs, () => placements.settle(), bells.waiting);
    for (const relay of relays) running.push(relay.run(bells.events, stop.signal));
    keep("keeping pools", config.reconcileSeconds * 1000, () => autoscaler.round());
    keep("logging metrics", config.metricsLogSeconds * 1000, logMetrics);
    keep("sharing the fleet", presenceMs, sayPresence);
    keep("pruning", pruneMs, prune);
  };
  const listening = database.listen(changesChannel, (notice) => {
    if (notice.kind === "listening") for (const bell of Object.values(bells)) bell.ring();
    else if (isSignal(notice.payload)) bells[notice.payload].ring();
  });
  server.onceListening.push(open);

  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all(running);
      await listening[Symbol.asyncDispose]();
      await fleet[Symbol.asyncDispose]();
      if (opened === null) return;
      await sayGone(database, replicaId);
      if (deps.endLocalVms) await endLocalVms(opened, vms, log);
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

async function openProviders(deps: OrchestratorDeps, vms: VmStore, log: Log): Promise<OpenProviders> {
  const { config, database, clock, random } = deps;
  const local = await LocalProvider.open({
    dir: deps.dataDir,
    agentCommand: config.agentCommand ?? ownAgentCommand,
    environment: config.agentEnvironment,
    agentSettings: config.agentSettings,
    urls: { orchestratorUrl: deps.orchestratorUrl(), streamingUrl: deps.streamingUrl() },
    seatsMax: async () => config.localSeats ?? (await vms.learntSessionsMax("local")),
    log,
  });
  const simulated = new SimulatedProvider({
    config: config.simulated,
    instances: new SimulatedInstances(database),
    becomeReady: (vmId) => becomeReady(vms, vmId),
    clock,
    random,
    log,
  });
  const sites = new Map<ProviderId, ProviderSite>([
    ["local", { provider: local, deadlines: deadlinesOf(config.deadlines.local) }],
    ["simulated", { provider: simulated, deadlines: deadlinesOf(config.deadlines.simulated) }],
  ]);
  return { sites, local };
}

const ownAgentCommand = [process.execPath, join(import.meta.dirname, "../cli/main.js"), "agent", "--config"];

/** For a VM without an agent; one that is past BOOTING, or gone, needs no more of it. */
async function becomeReady(vms: VmStore, vmId: string): Promise<"done" | "early"> {
  try {
    await vms.markReady(vmId);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.type === "illegal-transition" && (await vms.get(vmId)).status === "PROVISIONING") return "early";
    if (error.type !== "illegal-transition" && error.type !== "not-found") throw error;
  }
  return "done";
}

/** Every local VM's process is gone afterwards, and its row says so. */
async function endLocalVms({ local }: OpenProviders, vms: VmStore, log: Log): Promise<void> {
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

const isSignal = (payload: string): payload is ChangeSignal =>
  payload === "events" || payload === "reconcile" || payload === "waiting";
