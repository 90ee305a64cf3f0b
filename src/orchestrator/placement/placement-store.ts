// The queue in PostgreSQL, and what is read of seats. (Free seats are given in batches: seats-store.ts.) Each verb is a
// whole transaction.
//
// The database is the arbiter between replicas. A seat is given only under the VM's row lock, after looking at its room
// again; a session is in one place only because it is one row. Sessions that wait are placed by one replica at a time
// (the growth lock), so that nobody makes two VMs for one need; seats that are free at once need no such lock.
import type { RegionId } from "../../contracts/catalog.js";
import type { SeatSpec } from "../../contracts/orchestrator.js";
import type { Clock } from "../../platform/clock.js";
import type { Database, Queryable } from "../../platform/database.js";
import { appendEvents, changesChannel, type NewEvent, vmEventOf } from "../events/outbox-store.js";
import { noFreeSeat, sessionElsewhere, takesNoSessions } from "../refusals.js";
import type { NewPlacement, Placement, Placements, SeatTimes, TenantUse } from "../store.js";
import { noSuchVm, takesSessions } from "../vm/lifecycle.js";
import {
  candidateColumns,
  changeVm,
  type LockedVm,
  lockVm,
  lockVms,
  placeOf,
  takeGrowthLock,
} from "../vm/vm-rows-store.js";
import { insertVms } from "../vm/vm-store.js";
import { Admission, type Newcomer, nobodyNew, type TurnedAway } from "./admission.js";
import { type Decision, decisionOf, encodeDecision, namedDecision } from "./decision.js";
import type { Demand } from "./demand.js";
import { type MetEta, weightOfLearnt } from "./eta.js";
import type { Fleet, OccupiedVm } from "./fleet.js";
import { FleetIndex } from "./fleet-index.js";
import { readOccupiedFleet } from "./fleet-store.js";
import type { GrowthRules } from "./growth.js";
import { type SeatHolder, unitsFor, unitsPerVm } from "./seats.js";
import { type Round, roundAfter } from "./turns.js";
import { planWaiting, type Queue, queuePassMax, type WaitingPlan, type WaitingSession } from "./waiting.js";

export class PlacementStore implements Placements {
  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
    private readonly options: GrowthRules & {
      waitMsMax: number;
      newVmId: () => string;
      /** Of each session that got its seat from the queue and was told when. */
      etaMet?: (eta: MetEta) => void;
    },
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

  async waitingDemand(sessionId: string): Promise<Demand | null> {
    const row = await this.db.maybeOne<{ demand: Demand }>(
      "select demand from orchestrator.placements where session_id = $1 and vm_id is null",
      [sessionId],
    );
    return row?.demand ?? null;
  }

  readFleet(): Promise<Fleet<OccupiedVm>> {
    return readOccupiedFleet(this.db, this.#now());
  }

  async someoneWaits(): Promise<boolean> {
    const { waits } = await this.db.one<{ waits: boolean }>(
      "select exists (select from orchestrator.placements where vm_id is null) as waits",
    );
    return waits;
  }

  readQueue(): Promise<Queue> {
    return readQueue(this.db, this.#now());
  }

  async position(sessionId: string): Promise<number | null> {
    const row = await this.db.maybeOne<{ position: number }>(
      `select position from (
         select session_id, row_number() over (${lineOrder}) as position from (${waitingRows}) waiting) line
        where session_id = $1`,
      [sessionId],
    );
    return row?.position ?? null;
  }

  async waitingByRegion(): Promise<Map<RegionId, number>> {
    const rows = await this.db.query<{ region: RegionId; count: number }>(
      `select demand->'regions'->>0 as region, count(*) from orchestrator.placements where vm_id is null group by 1`,
    );
    return new Map(rows.map(({ region, count }) => [region, count]));
  }

  async useByTenant(): Promise<Map<string, TenantUse>> {
    const rows = await this.db.query<TenantUse & { tenant: string }>(
      `select tenant, sum(waiting) as waiting, sum(vms) as vms
         from (select tenant, 1 as waiting, 0 as vms from orchestrator.placements where vm_id is null
                union all
               select tenant, 0, 1 from orchestrator.vms
                where tenant is not null and status not in ('TEMPLATE', 'TERMINATED')) uses
        group by tenant`,
    );
    return new Map(rows.map(({ tenant, waiting, vms }) => [tenant, { waiting, vms }]));
  }

  async seatOn(vmId: string, placementFor: (vm: LockedVm) => NewPlacement): Promise<LockedVm> {
    return this.db.transaction(async (tx) => {
      const seen = await tx.maybeOne<LockedVm>(
        `select ${candidateColumns} from orchestrator.vms v where v.vm_id = $1`,
        [vmId],
      );
      if (seen === null) throw noSuchVm(vmId);
      const placement = placementFor(seen);
      const { sessionId } = placement;
      const vm = await lockVm(tx, vmId);
      const held = await this.#lockPlacement(tx, placement);
      if (held.vmId === vmId) return seen;
      if (held.vmId !== null) throw sessionElsewhere(sessionId, held.vmId);
      if (!takesSessions(vm.status)) throw takesNoSessions(vm);
      if (!hasRoom(vm, held.demand)) throw noFreeSeat(vm);
      await this.#sit(tx, vm, { ...placement, ...held }, namedDecision(vm, held.demand));
      return vm;
    });
  }

  /** Its row, as waiting if there was none. One that is there already may be gone before it is locked. */
  async #lockPlacement(tx: Queryable, placement: NewPlacement) {
    for (;;) {
      await insertPlacements(tx, [placement], this.#now());
      const held = await tx.maybeOne<{ vmId: string | null; demand: Demand; spec: SeatSpec }>(
        `select vm_id as "vmId", demand, spec from orchestrator.placements where session_id = $1 for update`,
        [placement.sessionId],
      );
      if (held !== null) return held;
    }
  }

  async enqueue(placements: readonly NewPlacement[]): Promise<Map<string, TurnedAway>> {
    const { quotas } = this.options;
    const tenants = [...new Set(placements.map(({ tenant }) => tenant))];
    if (tenants.every((tenant) => quotas.max(tenant, "waiting") === null)) {
      // Committed before VMs are locked: nobody waits for both at once.
      await insertPlacements(this.db, placements, this.#now());
      await this.#underGrowthLock((tx, met) => this.#place(tx, nobodyNew(quotas), met));
      return new Map();
    }
    // One transaction, so that nobody meets a newcomer that is turned away. As it inserts before it locks VMs, it may wait
    // in a circle with a replica that is asked for the same session at this moment: one of them is repeated (database.ts).
    return this.#locked(async (tx, met) => {
      const waiting = await waitingOf(tx, tenants);
      const newcomers = await insertPlacements(tx, placements, this.#now());
      return this.#place(tx, new Admission(newcomers, waiting, quotas), met);
    });
  }

  async settle(): Promise<void> {
    await this.#underGrowthLock(async (tx, met) => {
      await this.#place(tx, nobodyNew(this.options.quotas), met);
      await this.#expire(tx);
    });
  }

  async renew(sessionIds: readonly string[]): Promise<string[]> {
    const waiting = await this.db.query<{ sessionId: string }>(
      `update orchestrator.placements set expires_at = greatest(expires_at, $2)
        where session_id = any($1::text[]) and vm_id is null returning session_id as "sessionId"`,
      [sessionIds, this.#waitsUntil()],
    );
    return waiting.map(({ sessionId }) => sessionId);
  }

  async learnSeatTimes(times: readonly SeatTimes[]): Promise<void> {
    for (const { gameId, seats, averageMs } of times)
      await this.db.query(
        `insert into orchestrator.seat_times (game_id, average_ms) values ($1, $2)
         on conflict (game_id) do update set average_ms = seat_times.average_ms * $3 + excluded.average_ms * (1 - $3)`,
        [gameId, averageMs, weightOfLearnt(seats)],
      );
  }

  async renewAll(): Promise<void> {
    await this.db.query("update orchestrator.placements set expires_at = $1 where vm_id is null and expires_at < $1", [
      this.#waitsUntil(),
    ]);
  }

  async leaveQueue(sessionId: string): Promise<boolean> {
    const waited = await this.db.query(
      `with waited as (
         delete from orchestrator.placements where session_id = $1 and vm_id is null returning session_id)
       select pg_notify('${changesChannel}', 'waiting') from waited`,
      [sessionId],
    );
    return waited.length > 0;
  }

  async #underGrowthLock(work: (tx: Queryable, met: MetEta[]) => Promise<unknown>): Promise<void> {
    if (await this.someoneWaits()) await this.#locked(work);
  }

  /** What `work` puts into `met` is told once it is committed. */
  async #locked<R>(work: (tx: Queryable, met: MetEta[]) => Promise<R>): Promise<R> {
    let met: MetEta[] = [];
    const result = await this.db.transaction(async (tx) => {
      met = [];
      await takeGrowthLock(tx);
      return work(tx, met);
    });
    for (const eta of met) this.options.etaMet?.(eta);
    return result;
  }

  /** Answers who of the newcomers is turned away. */
  async #place(tx: Queryable, admission: Admission, met: MetEta[]): Promise<Map<string, TurnedAway>> {
    const now = this.#now();
    const queue = await readQueue(tx, now);
    let seated: readonly WaitingSession[] = [];
    if (queue.waiting.length > 0) {
      const fleet = await readOccupiedFleet(tx, now);
      const plan = planWaiting({ ...this.options, fleet, queue, nowMs: now.getTime(), admission });
      seated = await this.#seatPlanned(tx, queue, fleet, plan, met);
      await writeRound(tx, queue.round, roundAfter(queue.round, seated));
      if (plan.overtaken.length > 0)
        await tx.query(
          "update orchestrator.placements set overtaken_at = $2 where session_id = any($1::text[]) and vm_id is null",
          [plan.overtaken, now],
        );
      await promise(tx, queue, plan, now);
      if (plan.launches.length > 0) await insertVms(tx, plan.launches, now);
    }
    const away = admission.turnAway(seated);
    if (away.size > 0)
      await tx.query("delete from orchestrator.placements where session_id = any($1::text[])", [[...away.keys()]]);
    return away;
  }

  /** Answers who got the seat planned for it, in turn. */
  async #seatPlanned(
    tx: Queryable,
    queue: Queue,
    fleet: Fleet,
    plan: WaitingPlan,
    met: MetEta[],
  ): Promise<WaitingSession[]> {
    const chosen = plan.outcomes
      .flatMap((outcome, i) => (outcome.kind === "seat" ? [{ session: queue.waiting[i]!, ...outcome }] : []))
      .sort((a, b) => a.position - b.position);
    if (chosen.length === 0) return [];
    const index = FleetIndex.of(fleet.vms, () => 0);
    const vms = await lockVms(tx, [...new Set(chosen.map(({ vmId }) => vmId))]);
    const seated: WaitingSession[] = [];
    for (const { session, vmId } of chosen) {
      const { demand } = session;
      const vm = vms.get(vmId);
      const tally = index.tally(demand, demand.regions);
      const choice = index.chosen(vmId, demand, demand.regions);
      if (vm === undefined || choice === null || !hasRoom(vm, demand)) continue;
      const sat = await this.#sit(tx, vm, session, decisionOf("queue", choice, tally, demand.regions[0]!));
      if (sat === null) continue;
      vms.set(vmId, sat.vm);
      seated.push(session);
      if (sat.met !== null) met.push(sat.met);
    }
    if (seated.length < chosen.length) await appendEvents(tx, [], this.#now(), ["waiting"]);
    return seated;
  }

  async #expire(tx: Queryable): Promise<void> {
    const now = this.#now();
    const expired = await tx.query<{ sessionId: string; demand: Demand }>(
      `with expired as (
         delete from orchestrator.placements where vm_id is null and expires_at <= $1
         returning session_id, demand, ticket)
       select session_id as "sessionId", demand from expired order by ticket`,
      [now],
    );
    const events = expired.map(({ sessionId, demand }): NewEvent => {
      // It waited: there is no VM to name, so the place is the one it would have had first.
      const place = { vmId: "", region: demand.regions[0]!, templateId: demand.templates[0]! };
      const data = { ...place, sessionId, reason: "not-renewed", next: "none" as const };
      return vmEventOf("SessionReleased", null, sessionId, data);
    });
    if (events.length > 0) await appendEvents(tx, events, now);
  }

  /** Puts a session that waits on a locked VM that has room for it. Null: it waits no more. */
  async #sit(
    tx: Queryable,
    vm: LockedVm,
    { sessionId, demand }: Pick<NewPlacement, "sessionId" | "demand">,
    why: Decision,
  ): Promise<{ vm: LockedVm; met: MetEta | null } | null> {
    const now = this.#now();
    const units = unitsFor(vm, demand.preset);
    const sat = await tx.maybeOne<{ toldSeconds: number | null; lateSeconds: number }>(
      {
        name: "placement-sit",
        text: `
          with sat as (
            update orchestrator.placements set vm_id = $2, units = $3, assigned_at = $4::timestamptz
             where session_id = $1 and vm_id is null returning session_id, eta_told_at, eta_at
          ), decided as (
            insert into orchestrator.decisions (session_id, vm_id, decided_at, why)
            select session_id, $2, $4::timestamptz, $5 from sat
            on conflict (session_id) do update
               set vm_id = excluded.vm_id, decided_at = excluded.decided_at, why = excluded.why)
          select extract(epoch from eta_at - eta_told_at)::float8 as "toldSeconds",
                 extract(epoch from $4::timestamptz - eta_at)::float8 as "lateSeconds" from sat`,
      },
      [sessionId, vm.vmId, units, now, encodeDecision(why)],
    );
    if (sat === null) return null;
    const after = await changeVm(tx, vm, "assigned", { usedUnits: vm.usedUnits + units });
    const assigned = vmEventOf("SessionAssigned", after, vm.vmId, { ...placeOf(after), sessionId });
    await appendEvents(tx, [assigned], now);
    const { toldSeconds, lateSeconds } = sat;
    return { vm: after, met: toldSeconds === null ? null : { toldSeconds, lateSeconds } };
  }

  #now(): Date {
    return new Date(this.clock.now());
  }

  #waitsUntil(): Date {
    return new Date(this.clock.now() + this.options.waitMsMax);
  }
}

export const hasRoom = (
  vm: SeatHolder & Pick<LockedVm, "status" | "reachable" | "usedUnits">,
  demand: Demand,
): boolean => takesSessions(vm.status) && vm.reachable && vm.usedUnits + unitsFor(vm, demand.preset) <= unitsPerVm;

/** As waiting, in this order; those that are known already stay as they are. Answers the others. */
async function insertPlacements(db: Queryable, placements: readonly NewPlacement[], now: Date): Promise<Newcomer[]> {
  return db.query<Newcomer>(
    {
      name: "placements-insert",
      text: `insert into orchestrator.placements (session_id, tenant, demand, spec, expires_at, queued_at)
             select sid, tenant, demand, spec, expires, $2 from jsonb_to_recordset($1::jsonb)
                 as r (ord integer, sid text, tenant text, demand jsonb, spec jsonb, expires timestamptz)
              order by ord on conflict (session_id) do nothing returning session_id as "sessionId", tenant`,
    },
    [
      JSON.stringify(
        placements.map(({ sessionId, tenant, demand, spec, expiresAt }, ord) => ({
          ord,
          sid: sessionId,
          tenant,
          demand,
          spec,
          expires: expiresAt,
        })),
      ),
      now,
    ],
  );
}

/** `nth`: of its tenant's; one that waits again goes first and is none of them (turns.ts). */
const waitingRows = `select session_id, tenant, demand, again, ticket, overtaken_at, expires_at,
  case when again then 0 else row_number() over (partition by tenant, again order by ticket) end as nth
  from orchestrator.placements where vm_id is null`;
/** By turns, but for who had one in the present round: enough to choose whom a pass looks at. */
const lineOrder = "order by again desc, nth, ticket";

export async function readQueue(tx: Queryable, now: Date): Promise<Queue> {
  const rows = await tx.query<Omit<WaitingSession, "demand"> & { demand: string; ticket: number }>(
    {
      name: "queue-read",
      text: `select session_id as "sessionId", tenant, demand::text as demand, again, ticket,
                    (extract(epoch from overtaken_at) * 1000)::float8 as "overtakenAtMs"
               from (${waitingRows}) waiting where expires_at > $1 ${lineOrder} limit ${queuePassMax}`,
    },
    [now],
  );
  const round = await tx.query<{ tenant: string }>("select tenant from orchestrator.queue_round");
  const demands = new Map<string, Demand>();
  for (const { demand } of rows) if (!demands.has(demand)) demands.set(demand, JSON.parse(demand) as Demand);
  return {
    waiting: rows
      .sort((a, b) => a.ticket - b.ticket)
      .map(({ sessionId, tenant, again, overtakenAtMs, demand }) => ({
        sessionId,
        tenant,
        again,
        overtakenAtMs,
        demand: demands.get(demand)!,
      })),
    round: new Set(round.map(({ tenant }) => tenant)),
  };
}

/** How many of each of these tenants wait. */
async function waitingOf(tx: Queryable, tenants: readonly string[]): Promise<Map<string, number>> {
  const rows = await tx.query<{ tenant: string; waiting: number }>(
    `select tenant, count(*) as waiting from orchestrator.placements
      where vm_id is null and tenant = any($1::text[]) group by tenant`,
    [tenants],
  );
  return new Map(rows.map(({ tenant, waiting }) => [tenant, waiting]));
}

/** Keeps the first estimate of each session that waits. */
async function promise(tx: Queryable, { waiting }: Queue, { outcomes }: WaitingPlan, now: Date): Promise<void> {
  const told = outcomes.flatMap(({ kind, etaSeconds }, i) =>
    kind === "seat" || etaSeconds === null ? [] : [{ sessionId: waiting[i]!.sessionId, etaSeconds }],
  );
  if (told.length === 0) return;
  await tx.query(
    {
      name: "placements-promise",
      text: `update orchestrator.placements set eta_told_at = $3, eta_at = $3::timestamptz + seconds * interval '1 second'
               from unnest($1::text[], $2::float8[]) as told (sid, seconds)
              where session_id = sid and vm_id is null and eta_at is null`,
    },
    [told.map(({ sessionId }) => sessionId), told.map(({ etaSeconds }) => etaSeconds), now],
  );
}

async function writeRound(tx: Queryable, before: Round, after: Round): Promise<void> {
  const gone = [...before].filter((tenant) => !after.has(tenant));
  const come = [...after].filter((tenant) => !before.has(tenant));
  if (gone.length > 0) await tx.query("delete from orchestrator.queue_round where tenant = any($1::text[])", [gone]);
  if (come.length > 0)
    await tx.query("insert into orchestrator.queue_round (tenant) select unnest($1::text[])", [come]);
}
