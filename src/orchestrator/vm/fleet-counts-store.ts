// The fleet in numbers, counted by the database. Measured with 100,000 VMs on a busy machine: 0.15 s of the database and
// 10 ms of this process a scrape, where reading the fleet took all of it into memory.
import type { ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import type { VmStatus } from "../../contracts/orchestrator.js";
import type { Queryable } from "../../platform/database.js";
import type { CapacityHold } from "../placement/capacity-hold.js";
import { readHolds } from "../placement/capacity-holds-store.js";

/** VMs that have all of this in common. TERMINATED: the provider still shows their machines. */
export interface VmGroup {
  readonly status: VmStatus;
  readonly region: RegionId;
  readonly templateId: TemplateId;
  readonly provider: ProviderId;
  readonly reachable: boolean;
  readonly vms: number;
  readonly usedUnits: number;
  /** Since when the one that came first is PROVISIONING, BOOTING or TERMINATED; null in the other states. */
  readonly oldestAt: Date | null;
}

export interface FleetCounts {
  readonly groups: readonly VmGroup[];
  /** Sessions in the queue, by the region they wait for first, and since when the first of them does. */
  readonly waiting: readonly { readonly region: RegionId; readonly sessions: number; readonly oldestAt: Date }[];
  readonly holds: readonly CapacityHold[];
}

export async function countFleet(db: Queryable): Promise<FleetCounts> {
  const groups = await db.query<VmGroup>({
    name: "fleet-counts",
    text: `
      select status, region, template_id as "templateId", provider, reachable, count(*) as vms,
             sum(used_units) as "usedUnits",
             min(case status when 'PROVISIONING' then created_at when 'BOOTING' then launched_at
                             when 'TERMINATED' then terminated_at end) as "oldestAt"
        from orchestrator.vms
       where status not in ('TEMPLATE', 'TERMINATED') or (status = 'TERMINATED' and destroyed_at is null)
       group by 1, 2, 3, 4, 5`,
  });
  const waiting = await db.query<FleetCounts["waiting"][number]>(
    `select demand->'regions'->>0 as region, count(*) as sessions, min(queued_at) as "oldestAt"
       from orchestrator.placements where vm_id is null group by 1`,
  );
  return { groups, waiting, holds: await readHolds(db) };
}
