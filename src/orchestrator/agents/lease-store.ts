// The agents' leases in PostgreSQL, a batch of heartbeats a statement (heartbeats.ts gathers them).
//
// When an agent was heard is a narrow row of its own (ADR 18). A heartbeat only reads the VM's row, without a lock:
// one that is answered while its VM is being given up is fenced at the next. VMs that come back are written: they are
// locked in id order, before any lease.
import type { Clock } from "../../platform/clock.js";
import type { Database } from "../../platform/database.js";
import { changesChannel } from "../events/outbox-store.js";
import type { Heartbeat, LeaseAnswer, Leases } from "../store.js";

const renewStatement = {
  name: "leases-renew",
  text: `
with beat as materialized (
  select * from unnest($1::text[], $2::integer[], $3::integer[]) with ordinality as b (vm_id, epoch, version, ord)
), seen as materialized (
  select b.ord, v.vm_id, v.status, v.epoch, v.version, v.reachable, v.version is distinct from b.version as news,
         v.epoch = b.epoch and v.status not in ('TEMPLATE', 'ERROR', 'TERMINATED') as renews
    from beat b join orchestrator.vms v using (vm_id)
), away as materialized (
  select vm_id from orchestrator.vms
   where vm_id = any(array(select vm_id from seen where renews and not reachable))
     and not reachable and status not in ('ERROR', 'TERMINATED') -- seen again under the lock: it may be over by now
   order by vm_id for no key update
), back as (
  update orchestrator.vms set reachable = true, version = version + 1
   where vm_id = any(array(select vm_id from away)) returning vm_id
), renewed as (
  insert into orchestrator.leases (vm_id, heard_at)
  select distinct vm_id, $4::timestamptz from seen where renews and (select count(*) from back) >= 0 order by vm_id
  on conflict (vm_id) do update set heard_at = excluded.heard_at
), signalled as materialized (
  select count(pg_notify('${changesChannel}', 'waiting')) as signals from (select from back limit 1) one
)
select s.status, s.epoch, s.version,
       case when s.renews and s.news then coalesce(
         (select jsonb_agg(p.spec order by p.assigned_at, p.session_id)
            from orchestrator.placements p where p.vm_id = s.vm_id), '[]') end as seats
  from beat b left join seen s using (ord) where (select signals from signalled) is not null
 order by b.ord`,
};

export class LeaseStore implements Leases {
  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
  ) {}

  async renew(beats: readonly Heartbeat[]): Promise<readonly LeaseAnswer[]> {
    return this.db.query<LeaseAnswer>(renewStatement, [
      beats.map(({ vmId }) => vmId),
      beats.map(({ epoch }) => epoch),
      beats.map(({ version }) => version),
      new Date(this.clock.now()),
    ]);
  }
}
