// One replica's core, put together over the store's and the providers' ports: the product's main.ts gives it PostgreSQL,
// real time and real chance, the simulation (sim/) virtual ones, so that what is simulated is this very wiring.
//
// It keeps no time of its own: `work` says what is to be done again and again, and whoever runs the replica does it,
// never two rounds of one at once.
import type { ProviderId } from "../contracts/catalog.js";
import type { Clock } from "../platform/clock.js";
import type { Log } from "../platform/log.js";
import type { Registry } from "../platform/metrics.js";
import { Quotas } from "../platform/quotas.js";
import { type TenantMeters, tenantMeters } from "../platform/tenant-meters.js";
import { Heartbeats } from "./agents/heartbeats.js";
import { Autoscaler } from "./autoscaling/autoscaler.js";
import { chainsOf, deadlinesOf, everyPlace, type OrchestratorConfig, placeRules, poolRules } from "./config.js";
import type { ChangeSignal } from "./events/outbox-store.js";
import { Relay } from "./events/relay.js";
import { relayMeters } from "./events/relay-meters.js";
import type { EventSink } from "./events/sink.js";
import { inBrief } from "./fleet-brief.js";
import { FleetMeters } from "./metrics.js";
import { Allocator } from "./placement/allocate.js";
import { fleetMetrics } from "./placement/capacity.js";
import type { FallbackChains } from "./placement/demand.js";
import type { Defer } from "./placement/group-commit.js";
import type { GrowthRules } from "./placement/growth.js";
import { LiveFleet } from "./placement/live-fleet.js";
import type { OrchestratorStore, StoreSettings } from "./store.js";
import { type ProviderSite, Reconciler } from "./vm/reconciler.js";

const queueMs = 1_000;
/** Of the work of placing: renewals come every 20 s, and only to a replica that is well. */
const renewalGapMsMax = 15_000;
const learnMs = 5_000;
const presenceMs = 5_000;
const pruneMs = 3_600_000;
const dayMs = 24 * 3_600_000;

export interface ReplicaDeps {
  readonly config: OrchestratorConfig;
  readonly openStore: (settings: StoreSettings) => OrchestratorStore;
  readonly sinks: readonly EventSink[];
  readonly registry: Registry;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  /** So many random bytes. */
  readonly randomBytes: (count: number) => Buffer;
  readonly defer: Defer;
  readonly log: Log;
}

/** What is to be done every so often, and whenever it is signalled. */
export interface RepeatedWork {
  readonly what: string;
  readonly everyMs: number;
  readonly on?: ChangeSignal;
  round(): Promise<void>;
}

export class Replica {
  readonly store: OrchestratorStore;
  readonly chains: FallbackChains;
  readonly growth: GrowthRules;
  readonly meters: FleetMeters;
  readonly tenantMeters: TenantMeters<"waiting" | "vms">;
  readonly fleet: LiveFleet;
  readonly allocator: Allocator;
  readonly heartbeats: Heartbeats;
  /** One for each sink. */
  readonly relays: readonly Relay[];
  readonly #autoscaler: Autoscaler;
  #placedAtMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly deps: ReplicaDeps) {
    const { config, openStore, registry, clock, random, randomBytes, defer, log } = deps;
    this.meters = new FleetMeters(registry);
    const places = placeRules(config.places);
    const { budget } = config;
    const quotas = new Quotas(config.tenants);
    const waitMsMax = config.waitSecondsMax * 1000;
    const store = openStore({
      replicaId: randomBytes(8).toString("hex"),
      clock,
      waitMsMax,
      places,
      budget,
      quotas,
      newVmId: () => this.newVmId(null),
      etaMet: (eta) => this.meters.etaMet(eta),
      drainMsOf: this.drainMsOf,
    });
    this.store = store;
    this.chains = chainsOf(config.fallback);
    this.growth = { places, budget, quotas };
    this.tenantMeters = tenantMeters(registry, {
      limits: {
        waiting: { name: "waiting_sessions", help: "Requests in the queue" },
        vms: { name: "vms", help: "VMs" },
      },
      quotas,
      read: () => store.placements.useByTenant(),
      log,
    });
    this.fleet = new LiveFleet(store.fleetFeed, log, random);
    this.heartbeats = new Heartbeats({ leases: store.leases, registry, defer });
    this.allocator = new Allocator({
      ...store,
      fleet: this.fleet.index,
      chains: this.chains,
      growth: this.growth,
      waitMsMax,
      idleMs: config.idleSecondsMax * 1000,
      meters: this.meters,
      clock,
      defer,
    });
    this.#autoscaler = new Autoscaler({
      ...store,
      places: everyPlace,
      settingsOf: poolRules(config.pools, places),
      warm: config.warm,
      growth: this.growth,
      chains: this.chains,
      lowCapacity: config.lowCapacity,
      holdMsMax: config.capacityHoldSecondsMax * 1000,
      registry,
      clock,
      log,
    });
    const meters = relayMeters(registry);
    this.relays = deps.sinks.map(
      (sink) => new Relay({ store: store.outbox.forSink(sink.name), sink, meters, clock, random, log }),
    );
  }

  /** `from`: the same id from the same text. */
  readonly newVmId = (from: string | null): string =>
    `vm-${from?.slice(0, 16) ?? this.deps.randomBytes(8).toString("hex")}`;

  /** How long a VM of the provider may drain. */
  readonly drainMsOf = (provider: ProviderId): number => deadlinesOf(this.deps.config.deadlines[provider]).drainMsMax;

  /** Beside running the relays. */
  work(sites: ReadonlyMap<ProviderId, ProviderSite>): RepeatedWork[] {
    const { config } = this.deps;
    const reconciler = this.#reconciler(sites);
    const reconcileMs = config.reconcileSeconds * 1000;
    return [
      { what: "reconciling", everyMs: reconcileMs, on: "reconcile", round: () => reconciler.pass() },
      { what: "placing who waits", everyMs: queueMs, on: "waiting", round: () => this.#placeWhoWaits() },
      { what: "learning seat times", everyMs: learnMs, round: () => this.allocator.learn() },
      { what: "keeping pools", everyMs: reconcileMs, round: () => this.#autoscaler.round() },
      { what: "logging metrics", everyMs: config.metricsLogSeconds * 1000, round: () => this.#logMetrics() },
      { what: "sharing the fleet", everyMs: presenceMs, round: () => this.#sayHere() },
      { what: "pruning", everyMs: pruneMs, round: () => this.#prune() },
    ];
  }

  #reconciler(sites: ReadonlyMap<ProviderId, ProviderSite>): Reconciler {
    const { config, randomBytes, clock, log } = this.deps;
    const { places } = this.growth;
    return new Reconciler({
      vms: this.store.vms,
      sites,
      placesOf: (provider) =>
        everyPlace.filter(({ region, templateId }) => places(region, templateId).provider === provider),
      holdPolicy: { holdMs: config.capacityHoldSeconds * 1000, holdMsMax: config.capacityHoldSecondsMax * 1000 },
      passGapMsMax: 3 * config.reconcileSeconds * 1000 + 5_000,
      newToken: () => randomBytes(32).toString("base64url"),
      meters: this.meters,
      clock,
      log,
    });
  }

  /** While no replica did this, as after a start, those who wait could not be renewed either. */
  async #placeWhoWaits(): Promise<void> {
    const { placements } = this.store;
    const now = this.deps.clock.now();
    if (now - this.#placedAtMs > renewalGapMsMax) await placements.renewAll();
    await placements.settle();
    this.#placedAtMs = now;
  }

  async #logMetrics(): Promise<void> {
    const { placements, holds } = this.store;
    const reading = {
      fleet: await placements.readFleet(),
      holds: await holds.read(),
      waiting: await placements.waitingByRegion(),
      chains: this.chains,
      nowMs: this.deps.clock.now(),
    };
    this.deps.log.info({ metrics: inBrief(fleetMetrics(reading)) }, "fleet metrics");
  }

  async #sayHere(): Promise<void> {
    this.fleet.share(await this.store.replicas.sayHere());
  }

  async #prune(): Promise<void> {
    const { outbox, vms, decisions } = this.store;
    const before = new Date(this.deps.clock.now() - this.deps.config.retentionDays * dayMs);
    await outbox.prune(before);
    await vms.prune(before);
    await decisions.forget(before);
  }
}
