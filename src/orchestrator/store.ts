// The orchestrator's store as its core sees it. Two keep it: PostgreSQL (sql-store.ts) and, for the simulation, memory
// (sim/memory); test/system/store.test.ts holds both to the same sentences.
//
// Every verb is one whole transaction: all of it happened, durably, or nothing. So there is no transaction to pass
// around, and a crash or a lost reply can fall only between verbs. Any verb may throw Problem unavailable, after which
// it is unknown whether it happened: verbs are keyed by ids and safe to repeat. A refusal, a thrown Problem of another
// type, changes nothing. Events are written with the change they tell of.
import type { Capabilities, ProviderId, RegionId, TemplateId } from "../contracts/catalog.js";
import type { SeatSpec, Vm, VmStatus } from "../contracts/orchestrator.js";
import type { Clock } from "../platform/clock.js";
import type { ExpectedVersions } from "../platform/etag.js";
import type { Quotas } from "../platform/quotas.js";
import type { AgentKey } from "./agents/proof.js";
import type { LowCapacityPolicy, PoolSeats } from "./autoscaling/low-capacity.js";
import type { Place, PoolMemory, ScalingPlan } from "./autoscaling/scaling-plan.js";
import type { ChangeSignal } from "./events/outbox-store.js";
import type { RelayStore } from "./events/relay.js";
import type { TurnedAway } from "./placement/admission.js";
import type { CapacityHold, HoldPolicy } from "./placement/capacity-hold.js";
import type { Decision } from "./placement/decision.js";
import type { Demand } from "./placement/demand.js";
import type { MetEta } from "./placement/eta.js";
import type { Fleet, OccupiedVm, PlaceRules } from "./placement/fleet.js";
import type { KnownVm, VmState } from "./placement/fleet-index.js";
import type { Budget, GrowthRules } from "./placement/growth.js";
import type { NewVm, Queue } from "./placement/waiting.js";
import type { CapacityScope } from "./providers/provider.js";
import type { Survey, VmRecord } from "./vm/reconcile.js";

export interface OrchestratorStore {
  readonly vms: Vms;
  readonly placements: Placements;
  readonly seats: Seats;
  readonly decisions: Decisions;
  readonly pools: Pools;
  readonly holds: Holds;
  readonly leases: Leases;
  readonly enrolments: Enrolments;
  readonly replicas: Replicas;
  readonly fleetFeed: FleetFeed;
  readonly outbox: Outbox;
  readonly signals: Signals;
}

/** What a replica brings to its store. */
export interface StoreSettings {
  /** Another one for each replica and each of its lives. */
  readonly replicaId: string;
  readonly clock: Clock;
  /** A session that waits is let go so long after it was renewed last, or its VM broke. */
  readonly waitMsMax: number;
  readonly places: PlaceRules;
  readonly budget: Budget;
  readonly quotas: Quotas;
  readonly newVmId: () => string;
  /** Of each session that got its seat from the queue and was told when. */
  readonly etaMet?: (eta: MetEta) => void;
  /** How long a VM of the provider may drain. */
  readonly drainMsOf: (provider: ProviderId) => number;
}

/** VMs, and their changes by the lifecycle's table. Each change takes the VM's version one further. */
export interface Vms {
  /**
   * An intent: the reconciler launches it. Somebody wants it there, so the provider is asked even if it had no room
   * lately. One that exists is left as it is: an earlier try of the same call made it.
   * @throws Problem quota-exceeded when its tenant has all it may have; capacity-exhausted when its place is full, or the
   *   budget is used up
   */
  create(vm: NewVm, rules: GrowthRules): Promise<Vm>;
  /** @throws Problem not-found */
  get(vmId: string): Promise<Vm>;
  /** Newest first. @throws Problem invalid-request for a cursor that is not ours */
  list(page: VmPageQuery): Promise<VmPage>;
  /** The provider has room, so its holds there close. @throws Problem not-found, illegal-transition */
  markLaunched(vmId: string): Promise<void>;
  /** @throws Problem not-found, stale-version, illegal-transition */
  markReady(vmId: string, capabilities?: Capabilities, expected?: ExpectedVersions): Promise<Vm>;
  /** @throws Problem not-found, stale-version, illegal-transition */
  drain(vmId: string, options: { reason: string; deadlineAt: Date; expected?: ExpectedVersions }): Promise<Vm>;
  /**
   * Its sessions go back to the queue, to its front, each once in its life; a second time they hold nothing.
   * `noCapacity` opens holds. @throws Problem not-found, stale-version, illegal-transition
   */
  fail(
    vmId: string,
    error: { code: string; message: string },
    options?: { noCapacity?: NoCapacity; expected?: ExpectedVersions },
  ): Promise<Vm>;
  /** Its sessions hold nothing. @throws Problem not-found, stale-version, illegal-transition, vm-has-sessions without `force` */
  terminate(vmId: string, options: { reason: string; force: boolean; expected?: ExpectedVersions }): Promise<Vm>;
  /** The provider has no machine for it any more: the row is closed, and its provider may have room again. */
  markDestroyed(vmId: string): Promise<void>;
  /** Its lease has run out; a heartbeat makes it reachable again. */
  markUnreachable(vmId: string, heardBefore: Date): Promise<void>;
  /**
   * The right to call the provider's launch now, with this bootstrap token: one replica gets it, and the epoch of this
   * launch. Null: not now, or an agent has enrolled, so there is a machine already.
   */
  claimLaunch(vmId: string, claim: LaunchClaim): Promise<number | null>;
  /** Every VM that is neither TEMPLATE nor known to be gone, all seen at one instant. */
  survey(heardSince: HeardSince): Promise<Survey>;
  /** Those of these VMs that are neither TEMPLATE nor known to be gone. */
  records(vmIds: readonly string[]): Promise<VmRecord[]>;
  /** How many sessions the provider's VMs last found themselves to carry; null before any did. */
  learntSessionsMax(provider: ProviderId): Promise<number | null>;
  /** Forgets VMs that are gone since before then. */
  prune(before: Date): Promise<void>;
}

/** Since when a VM's agent must have been heard to be settled; a provider that is missing has no agents to be heard. */
export type HeardSince = ReadonlyMap<ProviderId, Date>;

export interface VmPageQuery {
  /** Any of these. */
  readonly status?: readonly VmStatus[] | undefined;
  readonly region?: RegionId | undefined;
  readonly templateId?: TemplateId | undefined;
  readonly provider?: ProviderId | undefined;
  readonly tenant?: string | undefined;
  readonly reachable?: "true" | "false" | undefined;
  readonly sessionId?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export interface VmPage {
  readonly vms: Vm[];
  readonly nextCursor: string | null;
}

export interface LaunchClaim {
  readonly bootstrapHash: string;
  /** The token's end. */
  readonly expiresAt: Date;
  /** A claim older than this gave no answer: another may be made. */
  readonly claimedBefore: Date;
}

/** What a provider has just said it has no room for. */
export interface NoCapacity {
  readonly scope: CapacityScope;
  readonly places: readonly Place[];
  readonly policy: HoldPolicy;
}

/** Sessions in their seats or in the queue. */
export interface Placements {
  find(sessionId: string): Promise<Placement | null>;
  /** What the session waits for; null: it does not wait. */
  waitingDemand(sessionId: string): Promise<Demand | null>;
  readFleet(): Promise<Fleet<OccupiedVm>>;
  someoneWaits(): Promise<boolean>;
  /** Who waits; of more than 4,000 those whose turns come first. */
  readQueue(): Promise<Queue>;
  /** As the turns are if all can be served, whoever had one in the present round; 1 is next; null: it does not wait. */
  position(sessionId: string): Promise<number | null>;
  /** How many wait for each region first. */
  waitingByRegion(): Promise<Map<RegionId, number>>;
  /** What each tenant has of what it may have; one that has nothing is left out. */
  useByTenant(): Promise<Map<string, TenantUse>>;
  /**
   * The seed's form: this VM or a Problem. A session that waits leaves the queue for it.
   * @throws Problem not-found, session-elsewhere, illegal-transition, no-free-seat
   */
  seatOn(vmId: string, placementFor: (vm: SeatedVm) => NewPlacement): Promise<SeatedVm>;
  /**
   * Puts new sessions in the queue, in this order, and places whoever can be placed, themselves perhaps. Answers who is
   * turned away, by session: it got no seat, and its tenant has as many waiting as it may; nothing is left of it, nor
   * made for it. A session that is known already stays as it is. (Where no limit applies PostgreSQL takes two
   * transactions: the sessions wait before anybody is placed. A crash in between leaves them to `settle`.)
   */
  enqueue(placements: readonly NewPlacement[]): Promise<ReadonlyMap<string, TurnedAway>>;
  /** Places whoever can be placed of those who wait, makes the VMs they need, lets go of those that nobody renewed. */
  settle(): Promise<void>;
  /** Somebody still waits for these. Answers those that wait. */
  renew(sessionIds: readonly string[]): Promise<string[]>;
  /** Each seat weighs a tenth in its game's average. One entry a game. */
  learnSeatTimes(times: readonly SeatTimes[]): Promise<void>;
  /** All who wait have their time anew: for a while nobody could renew. */
  renewAll(): Promise<void>;
  /** Takes a session that waits out of the queue. False: it does not wait. */
  leaveQueue(sessionId: string): Promise<boolean>;
}

export interface TenantUse {
  readonly waiting: number;
  /** Neither TEMPLATE nor TERMINATED. */
  readonly vms: number;
}

export type SeatedVm = Pick<KnownVm, "vmId" | "region" | "templateId" | "provider">;

export type Placement =
  | { readonly kind: "seated"; readonly vm: SeatedVm }
  | { readonly kind: "waiting"; readonly region: RegionId };

/** A session that wants a seat, as it is kept. */
export interface NewPlacement {
  readonly sessionId: string;
  readonly tenant: string;
  readonly demand: Demand;
  readonly spec: SeatSpec;
  readonly expiresAt: Date;
}

/** Free seats, given and given back in batches. */
export interface Seats {
  /** Gives each session the seat chosen for it, if it is still there. Of two for one session the second is `known`. */
  give(seats: readonly ChosenSeat[], at: Date): Promise<Given>;
  /** Takes each session's seat away. False: it has none (there), or the VM is at another version. */
  giveBack(leavings: readonly Leaving[], at: Date): Promise<GivenBack>;
}

export interface ChosenSeat {
  readonly placement: NewPlacement;
  readonly vmId: string;
  readonly units: number;
  /** Why, as it is stored. */
  readonly why: string;
}

/**
 * `known`: the session has a seat or waits already. `queue`: others wait, nobody overtakes them. `lost`: the VM has no
 * room for it any more.
 */
export type GivenOutcome = "seated" | "known" | "queue" | "lost";

export type VmNews = VmState & { readonly vmId: string };

export interface Given {
  /** In the order given. */
  readonly outcomes: readonly GivenOutcome[];
  /** The VMs asked for, as the commit left them; one that is missing is gone. */
  readonly vms: readonly VmNews[];
}

export interface Leaving {
  readonly sessionId: string;
  /** Only from there; null: wherever it sits. */
  readonly vmId: string | null;
  readonly reason: string;
  /** Versions of the VM this is meant for. */
  readonly expected: ExpectedVersions;
}

export interface GivenBack {
  /** In the order given. */
  readonly left: readonly boolean[];
  /** The VMs they sat on, as the commit left them. */
  readonly vms: readonly VmNews[];
  /** How long those sat that sat long enough to count, by game. */
  readonly times: readonly SeatTimes[];
}

/** Seats of one game, given back. */
export interface SeatTimes {
  readonly gameId: string;
  readonly seats: number;
  readonly averageMs: number;
}

/** Why sessions got their VMs, kept for as long as events are. */
export interface Decisions {
  /** About the session's latest seat; null: it never had one, or that is long ago. */
  find(sessionId: string): Promise<KeptDecision | null>;
  forget(before: Date): Promise<void>;
}

export interface KeptDecision {
  readonly vmId: string;
  readonly decidedAt: Date;
  readonly why: Decision;
}

/** The warm pools: what each did last, and which were said to run low. */
export interface Pools {
  /**
   * Plans, and if that changes anything plans again where nobody else makes VMs meanwhile, and commits that. Only VMs
   * that are still empty are drained. In the first reading VMs that are alike may all bear the id and age of the first.
   */
  scale(plan: (reading: PoolReading, nowMs: number) => ScalingPlan): Promise<Scaled>;
  /** Judges every pool there is and says once which run low; one that was low and is no more is forgotten. */
  judge(pools: readonly Pool[], policy: LowCapacityPolicy): Promise<void>;
}

export interface PoolReading {
  readonly fleet: Fleet;
  readonly queue: Queue;
  /** By `placeKey`. */
  readonly memory: ReadonlyMap<string, PoolMemory>;
}

export interface Scaled {
  readonly fleet: Fleet;
  readonly made: readonly NewVm[];
  readonly drained: readonly string[];
}

export type Pool = PoolSeats & Place;

/** The circuit breakers: opened and closed by what becomes of VMs. */
export interface Holds {
  /** Open and half-open ones. */
  read(): Promise<CapacityHold[]>;
  /** Those that nobody has tried since then tell nothing any more. */
  forget(before: Date): Promise<void>;
}

export interface Leases {
  /**
   * Renews the leases of those whose epoch counts; a VM that was unreachable is not so any more, which is a version of
   * its own. Answers for each, in order, with the VM as it was found.
   */
  renew(beats: readonly Heartbeat[]): Promise<readonly LeaseAnswer[]>;
}

export interface Heartbeat {
  readonly vmId: string;
  readonly epoch: number;
  /** Of the VM, when its agent was last told its seats; null: it knows none. */
  readonly version: number | null;
}

export interface LeaseAnswer {
  /** Null, with all the rest: there is no such VM. */
  readonly status: VmStatus | null;
  readonly epoch: number;
  readonly version: number;
  /** Null: the VM still has the version named, and every change of its seats is one of that; or the lease is not renewed. */
  readonly seats: SeatSpec[] | null;
}

/** Which agent speaks for a VM. */
export interface Enrolments {
  /**
   * The epoch the agent speaks for from now on.
   * @throws Problem not-found for the VM, agent-fenced when another launch's agent was first or the VM is over,
   *   forbidden for a token that is wrong, used, expired or another VM's
   */
  enrol(vmId: string, bootstrapHash: string, key: AgentKey, claimedEpoch: number | undefined): Promise<number>;
  /** @throws Problem not-found, agent-fenced for another epoch, forbidden while no agent has enrolled */
  keyOf(vmId: string, claimedEpoch: number | undefined): Promise<{ key: AgentKey; epoch: number }>;
  /** @throws Problem not-found, agent-fenced */
  check(vmId: string, epoch: number): Promise<void>;
}

export interface Replicas {
  /** Says that this replica runs. Its share is a preference: that ranks differ for a moment costs a lost race at most. */
  sayHere(): Promise<Rank>;
  sayGone(): Promise<void>;
}

/** This replica's place among those that run. */
export interface Rank {
  readonly index: number;
  readonly count: number;
}

/** The fleet, read whole, and news of it: perhaps late, twice or in another order, and not what came while deaf. */
export interface FleetFeed {
  /** Every VM that is neither TEMPLATE nor TERMINATED. */
  read(): Promise<readonly KnownVm[]>;
  listen(hear: (notice: FleetNotice) => void): AsyncDisposable;
}

/** `listening` comes first and after every gap: read again then. */
export type FleetNotice =
  | { readonly kind: "listening" }
  | { readonly kind: "changed"; readonly vms: readonly KnownVm[]; readonly gone: readonly string[] };

/** The events written and not yet forgotten. */
export interface Outbox {
  /** As one sink's relay in this replica sees it. */
  forSink(sink: string): RelayStore;
  /** What each sink has not got yet. */
  backlogs(sinks: readonly string[]): Promise<Backlog[]>;
  /** Forgets events older than `before`; consumers that were away longer start anew. */
  prune(before: Date): Promise<void>;
}

export interface Backlog {
  readonly sink: string;
  /** At most: numbers that were never used may count too. */
  readonly events: number;
  /** When the oldest of them was written; null: there is none. */
  readonly oldestAt: Date | null;
}

/** Hints of what to look at again, whichever replica changed it: perhaps late or twice, and not what came while deaf. */
export interface Signals {
  listen(hear: (notice: SignalNotice) => void): AsyncDisposable;
}

/** `listening` comes first and after every gap: look at everything then. */
export type SignalNotice =
  | { readonly kind: "listening" }
  | { readonly kind: "signalled"; readonly signal: ChangeSignal };
