// Assign: find or create a VM for a session and give it the seat, as one step that may be asked for any number of times.
//
// Requests gather while a commit is in flight (group-commit.ts), each gets a VM in memory against what the others of its
// batch got (fleet-index.ts), and one statement commits what is still true (seats-store.ts); a loser of a race has
// learnt the VM's true state and chooses again. If no seat is free, or others wait already, the session joins the
// queue, whose next pass decides for all in turn. Giving seats back goes the same way. Nothing is answered before it
// is durable.
import type { RegionId } from "../../contracts/catalog.js";
import type { Assignment, FindVmAnswer, PlacementExplanation, PlacementRequest } from "../../contracts/orchestrator.js";
import { Problem } from "../../contracts/problems.js";
import type { Clock } from "../../platform/clock.js";
import { type ExpectedVersions, expectVersion } from "../../platform/etag.js";
import { quotaExceeded } from "../../platform/quotas.js";
import { defaultGameId } from "../catalog/games.js";
import type { FleetMeters } from "../metrics.js";
import type {
  ChosenSeat,
  Decisions,
  Leaving,
  NewPlacement,
  Placement,
  Placements,
  SeatedVm,
  Seats,
  Vms,
} from "../store.js";
import { nextStatusOr409 } from "../vm/lifecycle.js";
import type { TurnedAway } from "./admission.js";
import { decisionOf, encodeDecision, explain, explainNone } from "./decision.js";
import { type Demand, demandOf, type FallbackChains, seatSpecOf } from "./demand.js";
import { type Chosen, FleetIndex, type KnownVm, type Tally } from "./fleet-index.js";
import { type Defer, GroupCommit, type GroupCommitLimits } from "./group-commit.js";
import type { GrowthRules } from "./growth.js";
import { place } from "./place.js";
import { GatheredTimes } from "./seat-times.js";
import type { Standing } from "./waiting.js";
import { WaitingLine } from "./waiting-line.js";

/** Lost races after which a session queues instead: the queue's passes exclude each other, so it loses no more. */
const racesMax = 5;

/**
 * Two in flight keep the database busy while this process works on answers. More than 128 each would gather all callers
 * of a busy moment in one batch, with which database and process work in turn instead of side by side (ADR 18).
 */
const seatLimits: GroupCommitLimits = { itemsPerBatchMax: 128, batchesInFlightMax: 2, waitingItemsMax: 20_000 };
/** One pass at a time: those that come meanwhile share the next. */
const queueLimits: GroupCommitLimits = { itemsPerBatchMax: 256, batchesInFlightMax: 1, waitingItemsMax: 20_000 };

/** Different requests remembered; past it they are forgotten all at once. */
const demandsMax = 1_000;

type Attempt =
  | { readonly kind: "seated"; readonly vm: KnownVm }
  | { readonly kind: "known" }
  | { readonly kind: "queue" }
  | { readonly kind: "lost" };

export class Allocator {
  readonly #seats: GroupCommit<NewPlacement, Attempt>;
  readonly #leaving: GroupCommit<Leaving, boolean>;
  readonly #queue: GroupCommit<NewPlacement, TurnedAway | null>;
  readonly #times = new GatheredTimes();
  readonly #line: WaitingLine;
  readonly #demands = new Map<string, Demand>();
  /** Requests under way, by session: the same one asked again meanwhile is the same request. */
  readonly #underWay = new Map<string, Promise<Assignment>>();

  constructor(
    private readonly deps: {
      vms: Vms;
      placements: Placements;
      seats: Seats;
      decisions: Decisions;
      fleet: FleetIndex;
      chains: FallbackChains;
      growth: GrowthRules;
      waitMsMax: number;
      /** What a seat's player may leave untouched. */
      idleMs: number;
      meters: Pick<FleetMeters, "committed">;
      clock: Clock;
      defer: Defer;
    },
  ) {
    const { placements, meters, defer } = deps;
    this.#line = new WaitingLine(deps);
    this.#seats = new GroupCommit((batch) => this.#seat(batch), seatLimits, defer);
    this.#leaving = new GroupCommit((batch) => this.#leave(batch), seatLimits, defer);
    const enqueue = async (batch: readonly NewPlacement[]) => {
      meters.committed("queue", batch.length);
      const away = await placements.enqueue(batch);
      return batch.map(({ sessionId }) => away.get(sessionId) ?? null);
    };
    this.#queue = new GroupCommit(enqueue, queueLimits, defer);
  }

  /** @throws Problem quota-exceeded: it would have to wait, and its tenant has as many waiting as it may */
  assign(sessionId: string, request: PlacementRequest, tenant: string): Promise<Assignment> {
    const underWay = this.#underWay.get(sessionId);
    if (underWay !== undefined) return underWay;
    const answer = this.#assign(sessionId, request, tenant).finally(() => this.#underWay.delete(sessionId));
    this.#underWay.set(sessionId, answer);
    return answer;
  }

  async #assign(sessionId: string, request: PlacementRequest, tenant: string): Promise<Assignment> {
    const placement = this.#placementOf(sessionId, request, tenant);
    const { placements } = this.deps;
    for (let race = 0; race < racesMax; race++) {
      const attempt = await this.#seats.push(placement);
      if (attempt.kind === "seated") return assigned(sessionId, attempt.vm);
      if (attempt.kind === "queue") break;
      const known = attempt.kind === "known" ? await placements.find(sessionId) : null;
      if (known !== null) return this.#answer(sessionId, known);
    }
    const turnedAway = await this.#queue.push(placement);
    if (turnedAway !== null) throw quotaExceeded("waiting", turnedAway.max, turnedAway.used);
    return this.get(sessionId);
  }

  /** Chooses for each of a batch in turn, and commits the choices. */
  async #seat(batch: readonly NewPlacement[]): Promise<readonly Attempt[]> {
    const { fleet, seats, meters, clock } = this.deps;
    meters.committed("seats", batch.length);
    // Counted once a batch for all who ask for the same.
    const tallies = new Map(batch.map(({ demand }) => [demand, null as Tally | null]));
    for (const demand of tallies.keys()) tallies.set(demand, fleet.tally(demand, regionsAtOnce(demand)));
    const chosen = batch.map(({ demand }) => fleet.choose(demand, regionsAtOnce(demand)));
    const wanted = batch.flatMap((placement, i) => {
      const choice = chosen[i];
      return choice ? [seatFor(placement, choice, tallies.get(placement.demand)!)] : [];
    });
    try {
      const { outcomes, vms } =
        wanted.length === 0 ? { outcomes: [], vms: [] } : await seats.give(wanted, new Date(clock.now()));
      const there = new Set(vms.map(({ vmId }) => vmId));
      for (const { vmId } of wanted) if (!there.has(vmId)) fleet.forget(vmId);
      for (const vm of vms) fleet.learn(vm);
      const answers = outcomes.values();
      return chosen.map((choice): Attempt => {
        if (choice === null) return { kind: "queue" };
        const kind = answers.next().value!;
        return kind === "seated" ? { kind, vm: choice.vm } : { kind };
      });
    } finally {
      for (const { vmId, units } of wanted) fleet.unreserve(vmId, units);
    }
  }

  async #leave(batch: readonly Leaving[]): Promise<readonly boolean[]> {
    const { fleet, seats, meters, clock } = this.deps;
    meters.committed("releases", batch.length);
    const { left, vms, times } = await seats.giveBack(batch, new Date(clock.now()));
    this.#times.add(times);
    for (const vm of vms) fleet.learn(vm);
    return left;
  }

  /** The seed's form: this VM, or a Problem. Such a session plays the installation's default game. */
  async assignTo(sessionId: string, vmId: string): Promise<Assignment> {
    const vm = await this.deps.placements.seatOn(vmId, ({ region, provider }) => {
      const client = provider === "simulated" ? "api" : "browser";
      return this.#placementOf(sessionId, { gameId: defaultGameId, region, client }, "default");
    });
    return assigned(sessionId, vm);
  }

  /** @throws Problem not-found when the session has no seat on that VM; stale-version */
  async release(vmId: string, sessionId: string, reason: string, expected: ExpectedVersions = null): Promise<void> {
    const leaving = { sessionId, vmId, reason, expected };
    // Of several in one batch only the first can be meant for a version: such a one goes alone.
    const [left] = expected === null ? [await this.#leaving.push(leaving)] : await this.#leave([leaving]);
    if (left) return;
    const vm = await this.deps.vms.get(vmId);
    nextStatusOr409(vm, "released");
    expectVersion(vm.version, expected);
    throw new Problem("not-found", `Session ${sessionId} has no seat on VM ${vmId}.`);
  }

  /** Wherever the session is, it holds nothing afterwards. False: it held nothing before. */
  async withdraw(sessionId: string, reason: string): Promise<boolean> {
    const { placements } = this.deps;
    for (;;) {
      if (await this.#leaving.push({ sessionId, vmId: null, reason, expected: null })) return true;
      if (await placements.leaveQueue(sessionId)) return true;
      // Between the two its VM may have broken and it waits again, or a VM has taken it: look again.
      if ((await placements.find(sessionId)) === null) return false;
    }
  }

  /** @throws Problem not-found */
  async get(sessionId: string): Promise<Assignment> {
    const placement = await this.deps.placements.find(sessionId);
    if (placement === null) throw new Problem("not-found", `Session ${sessionId} has no seat and does not wait.`);
    return this.#answer(sessionId, placement);
  }

  /** Writes down how long the seats were held that came back since. */
  async learn(): Promise<void> {
    const times = this.#times.take();
    if (times.length > 0) await this.deps.placements.learnSeatTimes(times);
  }

  /** Which VM the request would get now; changes nothing. */
  async findVm(request: PlacementRequest & { explain: boolean }): Promise<FindVmAnswer> {
    const demand = demandOf(request, this.deps.chains);
    const { vms } = await this.deps.placements.readFleet();
    const { vm, rejected } = place(vms, demand, regionsAtOnce(demand));
    return {
      vm: vm && (await this.deps.vms.get(vm.vmId)),
      region: vm?.region ?? null,
      fallbackUsed: vm !== null && vm.region !== demand.regions[0],
      rejected,
      ...(request.explain && {
        explanation: this.#explainChoice(
          FleetIndex.of(vms, () => 0),
          vm?.vmId ?? null,
          demand,
        ),
      }),
    };
  }

  /** @throws Problem not-found for a session that has no VM, does not wait, and had none within the time kept */
  async explain(sessionId: string): Promise<PlacementExplanation> {
    const { placements, decisions } = this.deps;
    const decision = await decisions.find(sessionId);
    const waiting = await placements.waitingDemand(sessionId);
    if (waiting !== null) {
      const { vms } = await placements.readFleet();
      const answer = await this.get(sessionId);
      const why = answer.status === "ASSIGNED" ? "A seat is being given." : answer.reason;
      const { rejected } = place(vms, waiting);
      return { sessionId, decidedAt: this.#now().toISOString(), ...explainNone(`It waits. ${why}`, rejected) };
    }
    if (decision === null) throw new Problem("not-found", `No decision about session ${sessionId} is kept.`);
    const { vmId, decidedAt, why } = decision;
    return { sessionId, decidedAt: decidedAt.toISOString(), ...explain(vmId, why) };
  }

  #explainChoice(fleet: FleetIndex, vmId: string | null, demand: Demand): PlacementExplanation {
    const regions = regionsAtOnce(demand);
    const tally = fleet.tally(demand, regions);
    const choice = vmId === null ? null : fleet.chosen(vmId, demand, regions);
    const words =
      choice === null
        ? explainNone("No VM could take it now.", tally.rejected)
        : explain(choice.vm.vmId, decisionOf("free", choice, tally, demand.regions[0]!));
    return { sessionId: null, decidedAt: this.#now().toISOString(), ...words };
  }

  async #answer(sessionId: string, placement: Placement): Promise<Assignment> {
    if (placement.kind === "seated") return assigned(sessionId, placement.vm);
    const standing = await this.#line.find(sessionId);
    if (standing !== null) return waits(sessionId, placement.region, standing);
    const position = await this.deps.placements.position(sessionId);
    // Seated or gone since it was last seen to wait.
    if (position === null) return this.get(sessionId);
    return waits(sessionId, placement.region, { ...longQueue, position });
  }

  /** Many ask for the same: one and the same demand, so that it is worked out, counted for and sent once. */
  #demandOf(request: PlacementRequest): Demand {
    const key = JSON.stringify(request);
    const known = this.#demands.get(key);
    if (known !== undefined) return known;
    const demand = demandOf(request, this.deps.chains);
    if (this.#demands.size >= demandsMax) this.#demands.clear();
    this.#demands.set(key, demand);
    return demand;
  }

  #placementOf(sessionId: string, request: PlacementRequest, tenant: string): NewPlacement {
    const { waitMsMax, idleMs, clock } = this.deps;
    const demand = this.#demandOf(request);
    return {
      sessionId,
      tenant,
      demand,
      spec: seatSpecOf(sessionId, demand, { cap: request.cap, idleMs }),
      expiresAt: new Date(clock.now() + waitMsMax),
    };
  }

  #now(): Date {
    return new Date(this.deps.clock.now());
  }
}

const seatFor = (placement: NewPlacement, choice: Chosen, tally: Tally): ChosenSeat => ({
  placement,
  vmId: choice.vm.vmId,
  units: choice.units,
  why: encodeDecision(decisionOf("free", choice, tally, placement.demand.regions[0]!)),
});

/** By `nearest` only the first region's free seats are taken without asking whether a VM could be made nearer. */
const regionsAtOnce = ({ policy, regions }: Demand) => (policy === "nearest" ? regions.slice(0, 1) : regions);

const longQueue = { kind: "queued", etaSeconds: null, reason: "Very many sessions wait before it." } as const;

const assigned = (sessionId: string, { vmId, region, templateId, provider }: SeatedVm): Assignment => ({
  status: "ASSIGNED",
  sessionId,
  vmId,
  region,
  templateId,
  provider,
});

function waits(sessionId: string, first: RegionId, standing: Standing): Assignment {
  const { position, etaSeconds } = standing;
  const queued = { status: "QUEUED", sessionId, region: first, position, etaSeconds } as const;
  switch (standing.kind) {
    case "seat":
      return { ...queued, reason: "A seat is free and being given." };
    case "under-way": {
      return { ...queued, status: "PROVISIONING", region: standing.region, reason: "A VM is starting for it." };
    }
    case "queued":
      return { ...queued, reason: standing.reason };
  }
}
