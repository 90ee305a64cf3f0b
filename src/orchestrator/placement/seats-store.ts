// Seats given and given back in batches: one statement each, which is one transaction (ADR 10).
//
// The database is the arbiter between replicas. Each statement locks the VMs it is about in id order, which makes it
// see their newest committed state, and gives what still fits: of the sessions chosen for one VM the first ones whose
// units together fit. What got nothing is told so, with the VM's true state for choosing again, in the same round trip. The session's row is inserted before the VM is charged for it, so a session known already costs nothing, even
// when another replica inserts it at the same instant.
//
// Order of locks: VMs by id, then placements by session id (vm-rows-store.ts). Traps met on the way: the VM's units
// are set from the locked row, since `v.used_units + n` may still be the snapshot's; the room is judged in `win` and not
// in the update's condition, which would lose seats silently; and where the planner may take one temporary result for
// small it joins two in quadratic time (half of the statement's, at 256 seats): `(x in (select …)) is true` is a hash.
import type { VmStatus } from "../../contracts/orchestrator.js";
import type { Database } from "../../platform/database.js";
import { changesChannel } from "../events/outbox-store.js";
import type {
  ChosenSeat,
  Given,
  GivenBack,
  GivenOutcome,
  Leaving,
  NewPlacement,
  Seats,
  SeatTimes,
  VmNews,
} from "../store.js";
import { nextStatus, type VmChange, vmTransitions } from "../vm/lifecycle.js";
import type { Demand } from "./demand.js";
import { playedMsMin } from "./eta.js";
import { unitsPerVm } from "./seats.js";

/** The lifecycle table in SQL: the state after the change, null where it may not happen. */
const statusAfter = (change: VmChange, status: string): string => {
  const rows = (Object.keys(vmTransitions) as VmStatus[]).flatMap((from) => {
    const to = nextStatus(from, change);
    return to === null ? [] : [`when '${from}' then '${to}'`];
  });
  return `case ${status} ${rows.join(" ")} end`;
};

/** `more`: further columns of the answer, which are others' rows'. */
const changedVms = (changed: string, more = "") => `
select null, null, vm_id, status, version, reachable, used_units${more} from ${changed}
 union all
select null, null, vm_id, status, version, reachable, used_units${more} from locked
 where (vm_id in (select vm_id from ${changed})) is not true`;

/** Never in JSON text. As one text the reasons need no quoting: as an array they cost 5 µs a seat. */
const separator = "\u001f";

const giveStatement = {
  name: "seats-give",
  text: `
with kind as materialized (
  select kind, demand, spec from jsonb_to_recordset($9::jsonb) as k (kind integer, demand jsonb, spec jsonb)
), req as materialized (
  select * from unnest($1::text[], $2::text[], $3::integer[], string_to_array($4, '${separator}'), $5::text[],
                       $6::float8[], $7::integer[])
           with ordinality as r (sid, vm, units, why, tenant, expires, kind, ord)
), known as materialized (
  select session_id from orchestrator.placements where session_id = any($1::text[])
), locked as materialized (
  select vm_id, region, template_id, status, version, reachable, used_units,
         ${statusAfter("assigned", "status")} as after
    from orchestrator.vms where vm_id = any($2::text[]) order by vm_id for no key update
), win as materialized (
  select fit.* from (
    select r.*, l.region, l.template_id, l.version, l.used_units, l.after,
           l.used_units + sum(r.units) over (partition by r.vm order by r.ord) as filled
      from req r join locked l on l.vm_id = r.vm
     where l.reachable and l.after is not null and (r.sid in (select session_id from known)) is not true) fit
   where fit.filled <= ${unitsPerVm}
     and not exists (select from orchestrator.placements where vm_id is null)
), seated as (
  insert into orchestrator.placements (session_id, tenant, demand, spec, expires_at, vm_id, units, assigned_at)
  select sid, tenant, demand, spec || jsonb_build_object('sessionId', sid), to_timestamp(expires / 1000), vm, units, $8
    from win join kind using (kind) order by sid
  on conflict (session_id) do nothing returning session_id
), charged as (
  update orchestrator.vms v
     set used_units = w.used_units + w.units, status = w.after, version = w.version + 1
    from (select vm, used_units, version, after, sum(units) as units from win
           where (sid in (select session_id from seated)) is true group by 1, 2, 3, 4) w
   where v.vm_id = w.vm
  returning v.vm_id, v.status, v.version, v.reachable, v.used_units
), told as (
  insert into orchestrator.outbox (type, subject, vm_version, data, created_at)
  select 'SessionAssigned', vm, version + 1, jsonb_build_object(
           'vmId', vm, 'region', region, 'templateId', template_id, 'sessionId', sid), $8
    from win where (sid in (select session_id from seated)) is true order by ord
), decided as (
  insert into orchestrator.decisions (session_id, vm_id, decided_at, why)
  select sid, vm, $8, why from win where (sid in (select session_id from seated)) is true order by sid
  on conflict (session_id) do update
     set vm_id = excluded.vm_id, decided_at = excluded.decided_at, why = excluded.why
), signalled as materialized (
  select count(pg_notify('${changesChannel}', 'events')) as signals from (select from seated limit 1) one
)
select r.ord, case when (r.sid in (select session_id from seated)) is true then 'seated'
                   when r.ord in (select ord from win) or r.sid in (select session_id from known) then 'known'
                   when exists (select from orchestrator.placements where vm_id is null) then 'queue'
                   else 'lost' end as outcome,
       null as "vmId", null as status, null::integer as version, null::boolean as reachable, null::integer as "usedUnits"
  from req r where (select signals from signalled) is not null
 union all ${changedVms("charged")}`,
};

const giveBackStatement = {
  name: "seats-give-back",
  text: `
with req as materialized (
  select * from jsonb_to_recordset($2::jsonb) as r (ord integer, sid text, vm text, reason text, expected integer[])
), seat as materialized (
  select p.session_id, p.vm_id from orchestrator.placements p where p.session_id = any($1::text[]) and p.vm_id is not null
), locked as materialized (
  select vm_id, region, template_id, status, version, reachable, used_units,
         ${statusAfter("released", "status")} as released, ${statusAfter("emptied", "status")} as emptied
    from orchestrator.vms where vm_id = any(array(select vm_id from seat)) order by vm_id for no key update
), gone as (  -- the count makes all locks come first; a seat that moved meanwhile is not deleted
  delete from orchestrator.placements p using req r, seat s, locked l
   where p.session_id = r.sid and s.session_id = r.sid and (r.vm is null or r.vm = s.vm_id)
     and l.vm_id = s.vm_id and l.released is not null and (r.expected is null or l.version = any (r.expected))
     and (p.vm_id = s.vm_id) is true and (select count(*) from locked) >= 0
  returning p.session_id, p.units, p.game_id, p.assigned_at, r.ord, r.reason, l.*
), freed as (
  update orchestrator.vms v
     set used_units = w.used_units - w.units, version = w.version + 1,
         status = case when w.used_units = w.units then w.emptied else w.released end
    from (select vm_id, used_units, version, emptied, released, sum(units) as units from gone group by 1, 2, 3, 4, 5) w
   where v.vm_id = w.vm_id
  returning v.vm_id, v.status, v.version, v.reachable, v.used_units
), told as (
  insert into orchestrator.outbox (type, subject, vm_version, data, created_at)
  select 'SessionReleased', vm_id, version + 1, jsonb_build_object(
           'vmId', vm_id, 'region', region, 'templateId', template_id, 'sessionId', session_id,
           'reason', reason, 'next', 'none'), $3
    from gone order by ord
), signalled as materialized (
  select count(pg_notify('${changesChannel}', signal)) as signals
    from unnest(array['events', 'waiting', 'reconcile']) as signal
   where case signal when 'reconcile' then exists (select from freed where status = 'DRAINING' and used_units = 0)
                     else exists (select from gone) end
)
select r.ord, (r.sid in (select session_id from gone)) is true as left,
       null as "vmId", null as status, null::integer as version, null::boolean as reachable, null::integer as "usedUnits",
       null as "gameId", null::bigint as seats, null::float8 as "averageMs"
  from req r where (select signals from signalled) is not null
 union all ${changedVms("freed", ", null, null, null")}
 union all
select null, null, null, null, null, null, null,
       game_id, count(*), avg(extract(epoch from $3::timestamptz - assigned_at) * 1000)::float8
  from gone where game_id is not null and assigned_at <= $3::timestamptz - interval '${playedMsMin} ms' group by game_id`,
};

const demandTexts = new WeakMap<Demand, string>();

function textOf(demand: Demand): string {
  const known = demandTexts.get(demand);
  if (known !== undefined) return known;
  const text = JSON.stringify(demand);
  demandTexts.set(demand, text);
  return text;
}

/** What many sessions of a batch have in common is sent, and parsed, once. */
class Kinds {
  readonly #kinds = new Map<string, number>();

  of({ demand, spec: { sessionId: _, ...spec } }: NewPlacement): number {
    const text = `"demand":${textOf(demand)},"spec":${JSON.stringify(spec)}`;
    const kind = this.#kinds.get(text) ?? this.#kinds.size;
    this.#kinds.set(text, kind);
    return kind;
  }

  toJson(): string {
    return `[${[...this.#kinds].map(([text, kind]) => `{"kind":${kind},${text}}`).join()}]`;
  }
}

type AnswerRow<Answer> = ({ readonly ord: number; readonly vmId: null } & Answer) | ({ readonly ord: null } & VmNews);
type TimesRow = { readonly ord: null; readonly vmId: null } & SeatTimes;

export class SeatsStore implements Seats {
  constructor(private readonly db: Database) {}

  async give(seats: readonly ChosenSeat[], at: Date): Promise<Given> {
    // One statement cannot insert a row and then find it.
    const first = new Map<string, ChosenSeat>();
    for (const seat of seats) if (!first.has(seat.placement.sessionId)) first.set(seat.placement.sessionId, seat);
    const given = [...first.values()];
    const kinds = new Kinds();
    const rows = await this.db.query<AnswerRow<{ outcome: GivenOutcome }>>(giveStatement, [
      given.map(({ placement }) => placement.sessionId),
      given.map(({ vmId }) => vmId),
      given.map(({ units }) => units),
      given.map(({ why }) => why).join(separator),
      given.map(({ placement }) => placement.tenant),
      given.map(({ placement }) => placement.expiresAt.getTime()),
      given.map(({ placement }) => kinds.of(placement)),
      at,
      kinds.toJson(),
    ]);
    const outcomes = new Map<ChosenSeat, GivenOutcome>();
    for (const row of rows) if (row.ord !== null) outcomes.set(given[row.ord - 1]!, row.outcome);
    return { outcomes: seats.map((seat) => outcomes.get(seat) ?? "known"), vms: newsOf(rows) };
  }

  async giveBack(leavings: readonly Leaving[], at: Date): Promise<GivenBack> {
    const rows = await this.db.query<AnswerRow<{ left: boolean }> | TimesRow>(giveBackStatement, [
      leavings.map(({ sessionId }) => sessionId),
      JSON.stringify(
        leavings.map(({ sessionId, vmId, reason, expected }, ord) => ({
          ord,
          sid: sessionId,
          vm: vmId,
          reason,
          expected,
        })),
      ),
      at,
    ]);
    const left = leavings.map(() => false);
    for (const row of rows) if (row.ord !== null) left[row.ord] = row.left;
    const times = rows.filter((row) => row.ord === null && row.vmId === null);
    return {
      left,
      vms: newsOf(rows),
      times: times.map(({ gameId, seats, averageMs }) => ({ gameId, seats, averageMs })),
    };
  }
}

const newsOf = (rows: readonly (AnswerRow<unknown> | TimesRow)[]): VmNews[] =>
  rows.filter((row) => row.ord === null && row.vmId !== null);
