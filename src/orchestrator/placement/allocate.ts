// Assign: find or create a VM for a session and give it the seat, as one step that may be asked for any number of times.
//
// A free seat is proposed by the pure core and committed only if it is still there; a loser of the race looks again. If
// there is none, or others wait already, the session joins the queue, whose next pass decides for all in turn.
import type { RegionId } from "../../contracts/catalog.js";
import type { Assignment, FindVmAnswer, PlacementRequest } from "../../contracts/orchestrator.js";
import { Problem } from "../../contracts/problems.js";
import type { Clock } from "../../platform/clock.js";
import { defaultGameId } from "../catalog/games.js";
import type { VmStore } from "../vm/vm-store.js";
import { type Demand, demandOf, type FallbackChains, seatSpecOf } from "./demand.js";
import type { PlaceRules } from "./fleet.js";
import { place } from "./place.js";
import type { NewPlacement, Placement, PlacementStore } from "./placement-store.js";
import { type Outcome, planWaiting } from "./waiting.js";

/** Lost races after which a session queues instead: the queue's passes exclude each other, so it loses no more. */
const racesMax = 5;

export class Allocator {
  constructor(
    private readonly deps: {
      vms: VmStore;
      placements: PlacementStore;
      chains: FallbackChains;
      places: PlaceRules;
      waitMsMax: number;
      /** What a seat's player may leave untouched. */
      idleMs: number;
      clock: Clock;
    },
  ) {}

  async assign(sessionId: string, request: PlacementRequest, tenant: string): Promise<Assignment> {
    const placement = this.#placementOf(sessionId, request, tenant);
    const { placements } = this.deps;
    for (let race = 0; race < racesMax; race++) {
      const known = await placements.find(sessionId);
      if (known !== null) return this.#answer(sessionId, known);
      if (await placements.someoneWaits()) break;
      const { vm } = place((await placements.readFleet()).vms, placement.demand, regionsAtOnce(placement.demand));
      if (vm === null) break;
      if ((await placements.seat(placement, vm.vmId)) === "seated") return assigned(sessionId, vm);
    }
    await placements.enqueue(placement);
    return this.get(sessionId);
  }

  /** The seed's form: this VM, or a Problem. Such a session plays the installation's default game. */
  async assignTo(sessionId: string, vmId: string): Promise<Assignment> {
    const vm = await this.deps.placements.seatOn(vmId, ({ region, provider }) => {
      const client = provider === "simulated" ? "api" : "browser";
      return this.#placementOf(sessionId, { gameId: defaultGameId, region, client }, "default");
    });
    return assigned(sessionId, vm);
  }

  /** @throws Problem not-found */
  async get(sessionId: string): Promise<Assignment> {
    const placement = await this.deps.placements.find(sessionId);
    if (placement === null) throw new Problem("not-found", `Session ${sessionId} has no seat and does not wait.`);
    return this.#answer(sessionId, placement);
  }

  /** Which VM the request would get now; changes nothing. */
  async findVm(request: PlacementRequest): Promise<FindVmAnswer> {
    const demand = demandOf(request, this.deps.chains);
    const { vms } = await this.deps.placements.readFleet();
    const { vm, rejected } = place(vms, demand, regionsAtOnce(demand));
    return {
      vm: vm && (await this.deps.vms.get(vm.vmId)),
      region: vm?.region ?? null,
      fallbackUsed: vm !== null && vm.region !== demand.regions[0],
      rejected,
    };
  }

  async #answer(sessionId: string, placement: Placement): Promise<Assignment> {
    if (placement.kind === "seated") return assigned(sessionId, placement.vm);
    const { placements, places, clock } = this.deps;
    const position = await placements.position(sessionId);
    // Here and below: seated or gone since it was last seen to wait.
    if (position === null) return this.get(sessionId);
    const fleet = await placements.readFleet();
    const queue = await placements.readQueue();
    const index = queue.findIndex((waiting) => waiting.sessionId === sessionId);
    if (index < 0 && position <= queue.length) return this.get(sessionId);
    const waiting = queue.slice(0, index + 1);
    const { outcomes } = planWaiting({ fleet, places, waiting, nowMs: clock.now(), newVmId: () => "" });
    return waits(sessionId, placement.region, position, outcomes.at(-1) ?? longQueue);
  }

  #placementOf(sessionId: string, request: PlacementRequest, tenant: string): NewPlacement {
    const { chains, waitMsMax, idleMs, clock } = this.deps;
    const demand = demandOf(request, chains);
    return {
      sessionId,
      tenant,
      demand,
      spec: seatSpecOf(sessionId, demand, { cap: request.cap, idleMs }),
      expiresAt: new Date(clock.now() + waitMsMax),
    };
  }
}

/** By `nearest` only the first region's free seats are taken without asking whether a VM could be made nearer. */
const regionsAtOnce = ({ policy, regions }: Demand) => (policy === "nearest" ? regions.slice(0, 1) : regions);

const longQueue: Outcome = { kind: "queued", reason: "Very many sessions wait before it." };

const assigned = (
  sessionId: string,
  { vmId, region, templateId, provider }: Extract<Placement, { kind: "seated" }>["vm"],
): Assignment => ({ status: "ASSIGNED", sessionId, vmId, region, templateId, provider });

function waits(sessionId: string, first: RegionId, position: number, outcome: Outcome): Assignment {
  const queued = { status: "QUEUED", sessionId, region: first, position } as const;
  switch (outcome.kind) {
    case "seat":
      return { ...queued, etaSeconds: 1, reason: "A seat is free and being given." };
    case "under-way": {
      const { region, etaSeconds } = outcome;
      return { status: "PROVISIONING", sessionId, region, position, etaSeconds, reason: "A VM is starting for it." };
    }
    case "queued":
      return { ...queued, etaSeconds: null, reason: outcome.reason };
  }
}
