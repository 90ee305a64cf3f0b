// The fleet read whole, for planners. Of 100,000 VMs each reading costs a third of a second of database and process, so
// who looks every few seconds reads kinds.
import type { Queryable } from "../../platform/database.js";
import { candidateColumns } from "../vm/vm-rows-store.js";
import { isOpen } from "./capacity-hold.js";
import { readHolds } from "./capacity-holds-store.js";
import { type Fleet, type FleetVm, type OccupiedVm, placeKey } from "./fleet.js";

const live = "v.status not in ('TEMPLATE', 'TERMINATED')";

export const readFleet = async (tx: Queryable, now: Date): Promise<Fleet> =>
  fleetOf(
    tx,
    await tx.query<FleetVm>({
      name: "fleet-vms",
      text: `select ${candidateColumns}, v.tenant from orchestrator.vms v where ${live}`,
    }),
    now,
  );

export const readOccupiedFleet = async (tx: Queryable, now: Date): Promise<Fleet<OccupiedVm>> =>
  fleetOf(
    tx,
    await tx.query<OccupiedVm>({
      name: "fleet-occupied-vms",
      text: `select ${candidateColumns}, v.tenant, coalesce(s.sessions, 0) as sessions, s.ends_per_hour as "endsPerHour"
               from orchestrator.vms v
               left join (select vm_id, count(*) as sessions,
                                 sum(3600000 / coalesce(average_ms, (select avg(average_ms) from orchestrator.seat_times)))
                                   as ends_per_hour
                            from orchestrator.placements left join orchestrator.seat_times using (game_id)
                           where vm_id is not null group by vm_id) s using (vm_id)
              where ${live}`,
    }),
    now,
  );

/**
 * The fleet as its sums are: VMs that are alike but for id and age are one and the same object, with the id and the age
 * of the first, as often as there are such VMs. (A tenth of what `readFleet` costs.)
 */
export async function readFleetInKinds(tx: Queryable, now: Date): Promise<Fleet> {
  const kinds = await tx.query<FleetVm & { readonly vms: number }>({
    name: "fleet-kinds",
    text: `select min(v.vm_id) as "vmId", v.template_id as "templateId", v.region, v.provider, v.status, v.reachable,
                  v.used_units as "usedUnits", (v.capabilities->>'sessionsMax')::integer as "sessionsMax", v.tenant,
                  (extract(epoch from min(v.created_at)) * 1000)::float8 as "createdAtMs", count(*) as vms
             from orchestrator.vms v where ${live} group by 2, 3, 4, 5, 6, 7, 8, 9`,
  });
  return fleetOf(
    tx,
    kinds.flatMap(({ vms, ...vm }) => Array.from({ length: vms }, () => vm)),
    now,
  );
}

async function fleetOf<V extends FleetVm>(tx: Queryable, vms: readonly V[], now: Date): Promise<Fleet<V>> {
  const holds = await readHolds(tx);
  const keysOf = (some: typeof holds) => new Set(some.map(({ region, templateId }) => placeKey(region, templateId)));
  const times = await tx.query<{ key: string; averageMs: number }>(
    `select provider || '/' || template_id as key, average_ms as "averageMs" from orchestrator.launch_times`,
  );
  return {
    vms,
    held: keysOf(holds.filter((hold) => isOpen(hold, now.getTime()))),
    halfOpen: keysOf(holds.filter((hold) => !isOpen(hold, now.getTime()))),
    launchMs: new Map(times.map(({ key, averageMs }) => [key, averageMs])),
  };
}
