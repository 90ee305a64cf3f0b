// A big fleet for the allocation benches: 10,000 simulated VMs of every region and template, 60 % of the seats taken,
// and the questions asked of the database afterwards.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fallbackChains, regionIds } from "../../src/orchestrator/catalog/regions.js";
import { templates } from "../../src/orchestrator/catalog/templates.js";
import { demandOf, seatSpecOf } from "../../src/orchestrator/placement/demand.js";
import { type Database, openDatabase } from "../../src/platform/database.js";
import { startEmbeddedPostgres } from "../../src/platform/embedded-postgres.js";
import { createLog } from "../../src/platform/log.js";

export const benchLog = createLog({ name: "bench", level: "error" });

export interface BenchDatabase extends AsyncDisposable {
  readonly dir: string;
  readonly url: string;
  /** Of the server. */
  readonly pid: number;
  open(poolSize?: number): Database;
}

export async function startBenchDatabase(): Promise<BenchDatabase> {
  const dir = await mkdtemp(join(tmpdir(), "hotseat-bench-"));
  const postgres = await startEmbeddedPostgres({ dataDir: join(dir, "postgres"), log: benchLog });
  return {
    dir,
    url: postgres.url,
    pid: postgres.pid,
    open: (poolSize) => openBenchDatabase(postgres.url, poolSize),
    async [Symbol.asyncDispose]() {
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export const openBenchDatabase = (url: string, poolSize?: number): Database =>
  openDatabase({ url, applicationName: "bench", log: benchLog, poolSize });

/** READY and IN_USE VMs, three fifths of their standard seats taken by sessions that never leave. */
export async function fillFleet(db: Database, vms: number): Promise<void> {
  const names = Object.keys(templates);
  const seats = Object.values(templates).map(({ sessions }) => Math.min(sessions, 4));
  const demand = demandOf({ gameId: "demo", client: "api" }, fallbackChains);
  const spec = seatSpecOf("stays", demand, { cap: undefined, idleMs: 600_000 });
  for (let from = 0; from < vms; from += 10_000)
    await db.query(
      `with made as (
       insert into orchestrator.vms (vm_id, template_id, region, provider, status, used_units, created_at, ready_at)
       select 'vm-' || lpad(i::text, 16, '0'), ($2::text[])[k], ($1::text[])[1 + i % 6], 'simulated',
              case when taken = 0 then 'READY' else 'IN_USE' end, taken * 60 / n, now(), now()
         from (select i, 1 + (i / 6) % 6 as k, ($3::integer[])[1 + (i / 6) % 6] as n,
                      floor(($3::integer[])[1 + (i / 6) % 6] * 0.6 + hashint4(i) % 1000 / 1000.0 * 0.5 + 0.25)::integer as taken
                 from generate_series($4::integer, $5::integer) as i) as v
       returning vm_id, region, template_id, used_units)
     insert into orchestrator.placements (session_id, tenant, demand, spec, expires_at, vm_id, units, assigned_at)
     select 'stays-' || made.vm_id || '-' || s, 'bench', '{}', $6, now(), made.vm_id, 60 / k.n, now()
       from made
       join unnest($2::text[], $3::integer[]) as k (template_id, n) using (template_id)
       cross join lateral generate_series(1, made.used_units * k.n / 60) as s`,
      [regionIds, names, seats, from, Math.min(vms, from + 10_000) - 1, spec],
    );
  await db.query("vacuum analyze");
}

/** Rows that must not exist; how many do, by rule. */
export async function brokenRules(db: Database): Promise<Record<string, number>> {
  return db.one(`
    select (select count(*) from orchestrator.vms where used_units > 60 or used_units < 0) as over_allocated,
           (select count(*) from orchestrator.vms v
              left join (select vm_id, sum(units) as units from orchestrator.placements group by 1) p using (vm_id)
             where v.used_units <> coalesce(p.units, 0)) as units_not_the_seats,
           (select count(*) from orchestrator.placements p left join orchestrator.vms v using (vm_id)
             where p.vm_id is not null and v.vm_id is null) as seats_without_vm,
           (select count(*) from orchestrator.placements where vm_id is null) as waiting,
           (select count(*) from orchestrator.placements p
             where p.tenant <> 'bench' and not exists (select from orchestrator.outbox o
                   where o.type = 'SessionAssigned' and o.data->>'sessionId' = p.session_id)) as seats_without_event,
           (select count(*) from (select 1 from orchestrator.outbox
             group by type, data->>'sessionId' having count(*) > 1) twice) as double_events,
           (select count(*) from orchestrator.outbox where type = 'SessionAssigned')
             - (select count(*) from orchestrator.outbox where type = 'SessionReleased')
             - (select count(*) from orchestrator.placements where tenant <> 'bench') as events_off_balance`);
}

/**
 * The statement to beat, as one would write it first: one row found and taken by FOR UPDATE SKIP LOCKED. It decides by
 * the same rule (nearest region, there the fullest VM that fits) and writes the same rows. `tells`: it notifies, too,
 * as ours does: replicas of the VM, by the table's trigger, and the relay of the event.
 */
export const skipLocked = (tells: boolean) => ({
  // It needs an index by room, which ours does not: it exists only while it is measured.
  before: `create index bench_free on orchestrator.vms (region, template_id, used_units desc)
             where status in ('READY', 'IN_USE') and reachable;
           ${tells ? "" : "alter table orchestrator.vms disable trigger user"}`,
  after: `drop index orchestrator.bench_free; ${tells ? "" : "alter table orchestrator.vms enable trigger user"}`,
  assign: {
    name: `bench-assign-${tells}`,
    text: `
with pick as (
  select v.vm_id, v.region, v.template_id, w.units
    from unnest($1::text[]) with ordinality as r (region, place)
    cross join unnest($2::text[], $3::integer[]) with ordinality as w (template_id, units, rank)
    cross join lateral (
      select vm_id, region, template_id from orchestrator.vms
       where region = r.region and template_id = w.template_id and status in ('READY', 'IN_USE') and reachable
         and used_units <= 60 - w.units
       order by used_units desc limit 1 for no key update skip locked) v
   limit 1
), charged as (
  update orchestrator.vms v set used_units = v.used_units + pick.units, status = 'IN_USE', version = version + 1
    from pick where v.vm_id = pick.vm_id returning v.vm_id, v.region, v.template_id, v.version, pick.units
), seated as (
  insert into orchestrator.placements (session_id, tenant, demand, spec, expires_at, vm_id, units, assigned_at)
  select $4, 'naive', $5, $6, now(), vm_id, units, now() from charged
), told as (
  insert into orchestrator.outbox (type, subject, vm_version, data, created_at)
  select 'SessionAssigned', vm_id, version, jsonb_build_object(
           'vmId', vm_id, 'region', region, 'templateId', template_id, 'sessionId', $4::text), now() from charged
), decided as (
  insert into orchestrator.decisions (session_id, vm_id, decided_at, why) select $4, vm_id, now(), $7 from charged
)
select vm_id as "vmId"${tells ? ", pg_notify('orchestrator', 'events')::text" : ""} from charged`,
  },
  release: {
    name: `bench-release-${tells}`,
    text: `
with gone as (
  delete from orchestrator.placements where session_id = $1 returning vm_id, units
), freed as (
  update orchestrator.vms v
     set used_units = v.used_units - gone.units, version = version + 1,
         status = case when v.used_units = gone.units then 'READY' else 'IN_USE' end
    from gone where v.vm_id = gone.vm_id returning v.vm_id, v.region, v.template_id, v.version
), told as (
  insert into orchestrator.outbox (type, subject, vm_version, data, created_at)
  select 'SessionReleased', vm_id, version, jsonb_build_object(
           'vmId', vm_id, 'region', region, 'templateId', template_id, 'sessionId', $1::text,
           'reason', 'withdrawn', 'next', 'none'), now() from freed
)
select ${tells ? "pg_notify('orchestrator', signal)::text from freed, unnest(array['events', 'waiting']) as signal" : "1 from freed"}`,
  },
});
