// Seats and the queue in PostgreSQL: who sits where, and who waits. Each verb is a whole transaction.
//
// The database is the arbiter between replicas. A seat is given only under the VM's row lock, after looking at its room
// again; a session is in one place only because it is one row. Sessions that wait are placed by one replica at a time
// (the growth lock), so that nobody makes two VMs for one need; seats that are free at once need no such lock.
import type { RegionId } from "../../contracts/catalog.js";
import type { SeatSpec } from "../../contracts/orchestrator.js";
import { Problem } from "../../contracts/problems.js";
import type { Clock } from "../../platform/clock.js";
import type { Database, Queryable } from "../../platform/database.js";
import type { ExpectedVersions } from "../../platform/etag.js";
import { appendEvents, type NewEvent, vmEventOf } from "../events/outbox-store.js";
import { nextStatusOr409, takesSessions } from "../vm/lifecycle.js";
import {
  candidateColumns,
  changeVm,
  type LockedVm,
  lockVm,
  lockVms,
  placeOf,
  takeGrowthLock,
} from "../vm/vm-rows-store.js";
import { insertVms, sessionReleased } from "../vm/vm-store.js";
import type { Demand } from "./demand.js";
import { type Fleet, type FleetVm, type PlaceRules, placeKey } from "./fleet.js";
import { unitsFor, unitsPerVm } from "./seats.js";
import { planWaiting, type WaitingPlan } from "./waiting.js";

/** A session that wants a seat, as it is kept. */
export interface NewPlacement {
  readonly sessionId: string;
  readonly tenant: string;
  readonly demand: Demand;
  readonly spec: SeatSpec;
  readonly expiresAt: Date;
}

export type Placement =
  | { readonly kind: "seated"; readonly vm: Pick<LockedVm, "vmId" | "region" | "templateId" | "provider"> }
  | { readonly kind: "waiting"; readonly region: RegionId };

interface QueueRow {
  readonly sessionId: string;
  readonly demand: Demand;
  readonly expiresAt: Date;
}

/** How many of the queue one pass looks at; the rest follow when these are placed or gone. */
const queuePassMax = 1_000;

export class PlacementStore {
  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
    private readonly options: { places: PlaceRules; newVmId: () => string },
  ) {}

  async find(sessionId: string): Promise<Placement | null> {
    const row = await this.db.maybeOne<Partial<LockedVm> & { first: RegionId }>(
      {
        name: "placement-find",
        text: `select v.vm_id as "vmId", v.region, v.template_id as "templateId", v.provider,
                      p.demand->'regions'->>0 as first
                 from orchestrator.placements p left join orchestrator.vms v on v.vm_id = p.vm_id
                where p.session_id = $1`,
      },
      [sessionId],
    );
    if (row === null) return null;
    const { vmId, region, templateId, provider } = row;
    if (!vmId || !region || !templateId || !provider) return { kind: "waiting", region: row.first };
    return { kind: "seated", vm: { vmId, region, templateId, provider } };
  }

  readFleet(): Promise<Fleet> {
    return readFleet(this.db, this.#now());
  }

  async someoneWaits(): Promise<boolean> {
    const { waits } = await this.db.one<{ waits: boolean }>(
      "select exists (select from orchestrator.placements where vm_id is null) as waits",
    );
    return waits;
  }

  /** Who waits, first come first; at most the first 1,000. */
  readQueue(): Promise<QueueRow[]> {
    return readQueue(this.db, "");
  }

  /** 1 is next; null: it does not wait. */
  async position(sessionId: string): Promise<number | null> {
    const row = await this.db.maybeOne<{ position: number }>(
      `select (select count(*) from orchestrator.placements ahead
                where ahead.vm_id is null and ahead.ticket <= own.ticket) as position
         from orchestrator.placements own where own.session_id = $1 and own.vm_id is null`,
      [sessionId],
    );
    return row?.position ?? null;
  }

  /** How many wait for each region first. */
  async waitingByRegion(): Promise<Map<RegionId, number>> {
    const rows = await this.db.query<{ region: RegionId; count: number }>(
      `select demand->'regions'->>0 as region, count(*) from orchestrator.placements where vm_id is null group by 1`,
    );
    return new Map(rows.map(({ region, count }) => [region, count]));
  }

  /**
   * Seats a new session on the VM chosen for it. `lost`: the VM has no room any more, choose again; `known`: the
   * session has a seat or waits already.
   */
  async seat(placement: NewPlacement, vmId: string): Promise<"seated" | "lost" | "known"> {
    try {
      return await this.db.transaction(async (tx) => {
        if (!(await insertPlacement(tx, placement))) return "known";
        const vm = (await lockVms(tx, [vmId])).get(vmId);
        if (vm === undefined || !hasRoom(vm, placement.demand)) throw new LostRace();
        await this.#sit(tx, vm, placement);
        return "seated";
      });
    } catch (error) {
      if (error instanceof LostRace) return "lost";
      throw error;
    }
  }

  /** The seed's form: this VM or a Problem. A session that waits leaves the queue for it. */
  async seatOn(vmId: string, placementFor: (vm: LockedVm) => NewPlacement): Promise<LockedVm> {
    return this.db.transaction(async (tx) => {
      const seen = await tx.maybeOne<LockedVm>(
        `select ${candidateColumns} from orchestrator.vms v where v.vm_id = $1`,
        [vmId],
      );
      if (seen === null) throw new Problem("not-found", `There is no VM ${vmId}.`);
      const placement = placementFor(seen);
      const { sessionId } = placement;
      await insertPlacement(tx, placement);
      const held = await tx.one<{ vmId: string | null; demand: Demand; spec: SeatSpec }>(
        `select vm_id as "vmId", demand, spec from orchestrator.placements where session_id = $1 for update`,
        [sessionId],
      );
      if (held.vmId === vmId) return seen;
      if (held.vmId !== null)
        throw new Problem("session-elsewhere", `Session ${sessionId} has its seat on ${held.vmId}.`);
      const vm = await lockVm(tx, vmId);
      if (!takesSessions(vm.status))
        throw new Problem("illegal-transition", `VM ${vmId} is ${vm.status}: it takes no sessions.`);
      if (!hasRoom(vm, held.demand))
        throw new Problem(
          "no-free-seat",
          vm.reachable ? `VM ${vmId} has no room for the session.` : `VM ${vmId} is unreachable just now.`,
        );
      await this.#sit(tx, vm, { ...placement, ...held });
      return vm;
    });
  }

  /** Puts a new session in the queue and places whoever can be placed, itself perhaps. */
  async enqueue(placement: NewPlacement): Promise<void> {
    await this.db.transaction(async (tx) => {
      await takeGrowthLock(tx);
      if (await insertPlacement(tx, placement)) await this.#settle(tx);
    });
  }

  /** Places whoever can be placed of those who wait, makes the VMs they need, lets go of those who waited too long. */
  async settle(): Promise<void> {
    if (!(await this.someoneWaits())) return;
    await this.db.transaction(async (tx) => {
      await takeGrowthLock(tx);
      await this.#settle(tx);
    });
  }

  /** @throws Problem not-found when the session has no seat on that VM */
  async release(vmId: string, sessionId: string, reason: string, expected?: ExpectedVersions): Promise<void> {
    await this.db.transaction(async (tx) => {
      const vm = await lockVm(tx, vmId, expected);
      nextStatusOr409(vm, "released");
      if (!(await this.#leave(tx, vm, sessionId, reason)))
        throw new Problem("not-found", `Session ${sessionId} has no seat on VM ${vmId}.`);
    });
  }

  /** Wherever the session is, it holds nothing afterwards. False: it held nothing before. */
  async withdraw(sessionId: string, reason: string): Promise<boolean> {
    return this.db
      .transaction(async (tx) => {
        const waited = await tx.query(
          "delete from orchestrator.placements where session_id = $1 and vm_id is null returning session_id",
          [sessionId],
        );
        if (waited.length > 0) {
          await appendEvents(tx, [], this.#now(), ["waiting"]);
          return true;
        }
        const seat = await tx.maybeOne<{ vmId: string | null }>(
          `select vm_id as "vmId" from orchestrator.placements where session_id = $1`,
          [sessionId],
        );
        if (seat === null) return false;
        // Between the statements its VM may have broken and it waits again, or another VM has taken it: look again.
        if (seat.vmId === null) throw new Moved();
        const vm = await lockVm(tx, seat.vmId);
        if (!(await this.#leave(tx, vm, sessionId, reason))) throw new Moved();
        return true;
      })
      .catch((error: unknown) => {
        if (error instanceof Moved) return this.withdraw(sessionId, reason);
        throw error;
      });
  }

  async #settle(tx: Queryable): Promise<void> {
    const now = this.#now();
    const queue = await this.#expire(tx, await readQueue(tx, "for update"), now);
    if (queue.length === 0) return;
    const fleet = await readFleet(tx, now);
    const { places, newVmId } = this.options;
    const plan = planWaiting({ fleet, places, waiting: queue, nowMs: now.getTime(), newVmId });
    await this.#seatPlanned(tx, queue, plan);
    if (plan.launches.length > 0) await insertVms(tx, plan.launches, now);
  }

  async #seatPlanned(tx: Queryable, queue: readonly QueueRow[], plan: WaitingPlan): Promise<void> {
    const chosen = plan.outcomes.flatMap((outcome, i) =>
      outcome.kind === "seat" ? [{ ...queue[i]!, vmId: outcome.vmId }] : [],
    );
    if (chosen.length === 0) return;
    const vms = await lockVms(tx, [...new Set(chosen.map(({ vmId }) => vmId))]);
    let lost = false;
    for (const placement of chosen) {
      const vm = vms.get(placement.vmId);
      if (vm === undefined || !hasRoom(vm, placement.demand)) lost = true;
      else vms.set(vm.vmId, await this.#sit(tx, vm, placement));
    }
    if (lost) await appendEvents(tx, [], this.#now(), ["waiting"]);
  }

  async #expire(tx: Queryable, queue: QueueRow[], now: Date): Promise<QueueRow[]> {
    const expired = queue.filter(({ expiresAt }) => expiresAt <= now);
    if (expired.length === 0) return queue;
    await tx.query("delete from orchestrator.placements where session_id = any($1::text[])", [
      expired.map(({ sessionId }) => sessionId),
    ]);
    const events = expired.map(({ sessionId, demand }): NewEvent => {
      // It waited: there is no VM to name, so the place is the one it would have had first.
      const place = { vmId: "", region: demand.regions[0]!, templateId: demand.templates[0]! };
      const data = { ...place, sessionId, reason: "no-capacity", next: "none" as const };
      return vmEventOf("SessionReleased", null, sessionId, data);
    });
    await appendEvents(tx, events, now);
    return queue.filter(({ expiresAt }) => expiresAt > now);
  }

  /** Puts a session that waits (or has just been inserted) on a locked VM that has room for it. */
  async #sit(tx: Queryable, vm: LockedVm, { sessionId, demand }: Pick<NewPlacement, "sessionId" | "demand">) {
    const now = this.#now();
    const units = unitsFor(vm, demand.preset);
    const after = await changeVm(tx, vm, "assigned", { usedUnits: vm.usedUnits + units });
    await tx.query(
      {
        name: "placement-sit",
        text: `update orchestrator.placements set vm_id = $2, units = $3, assigned_at = $4 where session_id = $1`,
      },
      [sessionId, vm.vmId, units, now],
    );
    const assigned = vmEventOf("SessionAssigned", after, vm.vmId, { ...placeOf(after), sessionId });
    await appendEvents(tx, [assigned], now);
    return after;
  }

  /** False: the session has no seat there. */
  async #leave(tx: Queryable, vm: LockedVm, sessionId: string, reason: string): Promise<boolean> {
    const { count } = await tx.one<{ count: number }>(
      "select count(*) from orchestrator.placements where vm_id = $1 and session_id <> $2",
      [vm.vmId, sessionId],
    );
    const change = count === 0 ? "emptied" : "released";
    const [left] = await tx.query<{ units: number }>(
      "delete from orchestrator.placements where session_id = $1 and vm_id = $2 returning units",
      [sessionId, vm.vmId],
    );
    if (left === undefined) return false;
    const after = await changeVm(tx, vm, change, { usedUnits: vm.usedUnits - left.units });
    const drained = after.status === "DRAINING" && change === "emptied";
    await appendEvents(tx, [sessionReleased(after, sessionId, reason, "none")], this.#now(), [
      drained ? "reconcile" : "waiting",
    ]);
    return true;
  }

  #now(): Date {
    return new Date(this.clock.now());
  }
}

/** Throwing it rolls the transaction back. */
class LostRace extends Error {}
class Moved extends Error {}

const hasRoom = (vm: LockedVm, demand: Demand): boolean =>
  takesSessions(vm.status) && vm.reachable && vm.usedUnits + unitsFor(vm, demand.preset) <= unitsPerVm;

/** As waiting; false when the session is known already. */
async function insertPlacement(tx: Queryable, placement: NewPlacement): Promise<boolean> {
  const rows = await tx.query(
    {
      name: "placement-insert",
      text: `insert into orchestrator.placements (session_id, tenant, demand, spec, expires_at)
             values ($1, $2, $3, $4, $5) on conflict (session_id) do nothing returning session_id`,
    },
    [placement.sessionId, placement.tenant, placement.demand, placement.spec, placement.expiresAt],
  );
  return rows.length > 0;
}

function readQueue(tx: Queryable, lock: "" | "for update"): Promise<QueueRow[]> {
  return tx.query<QueueRow>(
    `select session_id as "sessionId", demand, expires_at as "expiresAt" from orchestrator.placements
      where vm_id is null order by ticket limit ${queuePassMax} ${lock}`,
  );
}

async function readFleet(tx: Queryable, now: Date): Promise<Fleet> {
  const vms = await tx.query<FleetVm>({
    name: "fleet-vms",
    text: `select ${candidateColumns}, coalesce(s.sessions, 0) as sessions
             from orchestrator.vms v
             left join (select vm_id, count(*) as sessions from orchestrator.placements
                         where vm_id is not null group by vm_id) s using (vm_id)
            where v.status not in ('TEMPLATE', 'TERMINATED')`,
  });
  const holds = await tx.query<{ region: RegionId; templateId: FleetVm["templateId"] }>(
    `select region, template_id as "templateId" from orchestrator.capacity_holds where until > $1`,
    [now],
  );
  const times = await tx.query<{ key: string; averageMs: number }>(
    `select provider || '/' || template_id as key, average_ms as "averageMs" from orchestrator.launch_times`,
  );
  return {
    vms,
    held: new Set(holds.map(({ region, templateId }) => placeKey(region, templateId))),
    launchMs: new Map(times.map(({ key, averageMs }) => [key, averageMs])),
  };
}
