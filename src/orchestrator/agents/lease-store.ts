// The agents' leases in PostgreSQL, a batch of heartbeats a statement (heartbeats.ts gathers them).
import type { Clock } from "../../platform/clock.js";
import type { Database } from "../../platform/database.js";
import { appendEvents } from "../events/outbox-store.js";
import type { Heartbeat, LeaseAnswer, Leases } from "../store.js";

export class LeaseStore implements Leases {
  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
  ) {}

  async renew(beats: readonly Heartbeat[]): Promise<readonly LeaseAnswer[]> {
    const rows = await this.db.query<LeaseAnswer & { returned: boolean }>(
      {
        name: "leases-renew",
        text: `
          with beat as materialized (
            select vm_id, epoch, ord from unnest($1::text[], $2::integer[]) with ordinality as b (vm_id, epoch, ord)
          ), held as materialized ( -- in id order, as everywhere
            select v.vm_id, v.epoch, v.status, v.reachable from orchestrator.vms v
             where v.vm_id = any($1::text[]) order by v.vm_id for no key update
          ), heard as (
            select distinct h.vm_id, h.reachable from held h join beat b using (vm_id, epoch)
             where h.status not in ('TEMPLATE', 'ERROR', 'TERMINATED')
          ), renewed as (
            update orchestrator.vms v
               set heard_at = $3, reachable = true, version = v.version + (not h.reachable)::integer
              from heard h where v.vm_id = h.vm_id
          )
          select h.status, h.epoch, not coalesce(h.reachable, true) as returned,
                 (select jsonb_agg(p.spec order by p.assigned_at, p.session_id)
                    from orchestrator.placements p where p.vm_id = b.vm_id) as seats
            from beat b left join held h using (vm_id) order by b.ord`,
      },
      [beats.map(({ vmId }) => vmId), beats.map(({ epoch }) => epoch), new Date(this.clock.now())],
    );
    const tellsNews = rows.some(({ returned, epoch }, i) => returned && epoch === beats[i]!.epoch);
    if (tellsNews) await appendEvents(this.db, [], new Date(this.clock.now()), ["waiting"]);
    return rows;
  }
}
