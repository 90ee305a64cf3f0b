// Which pools were said to run low, so that each is said once, by whichever replica notices (low-capacity.ts judges).
import type { RegionId, TemplateId } from "../../contracts/catalog.js";
import type { Database } from "../../platform/database.js";
import { appendEvents, vmEventOf } from "../events/outbox-store.js";
import { placeKey } from "../placement/fleet.js";
import type { Pool } from "../store.js";
import { judgePool, type LowCapacityPolicy, lowThreshold } from "./low-capacity.js";

export async function judgePools(
  db: Database,
  pools: readonly Pool[],
  policy: LowCapacityPolicy,
  now: Date,
): Promise<void> {
  await db.transaction(async (tx) => {
    const rows = await tx.query<{ region: RegionId; templateId: TemplateId }>(
      `select region, template_id as "templateId" from orchestrator.low_pools`,
    );
    const low = new Set(rows.map((row) => placeKey(row.region, row.templateId)));
    for (const pool of poolsToJudge(pools, rows)) {
      const was = low.has(placeKey(pool.region, pool.templateId));
      const is = judgePool(was, pool, policy);
      const place = [pool.region, pool.templateId];
      if (is.fire) {
        const first = await tx.query(
          "insert into orchestrator.low_pools (region, template_id) values ($1, $2) on conflict do nothing returning region",
          place,
        );
        if (first.length > 0) await appendEvents(tx, [lowCapacity(pool, lowThreshold(pool, policy))], now);
      } else if (was && !is.low)
        await tx.query("delete from orchestrator.low_pools where region = $1 and template_id = $2", place);
    }
  });
}

type Place = Pick<Pool, "region" | "templateId">;

/** Those that were low and have no VMs any more are judged too. */
export const poolsToJudge = (pools: readonly Pool[], low: readonly Place[]): Pool[] => [
  ...pools,
  ...low.filter((row) => !pools.some((pool) => samePlace(pool, row))).map(emptyPool),
];

const samePlace = (a: Place, b: Place) => a.region === b.region && a.templateId === b.templateId;
const emptyPool = (place: Place): Pool => ({ ...place, free: 0, total: 0, vms: 0 });

export const lowCapacity = ({ region, templateId, free }: Pool, threshold: number) =>
  vmEventOf("VMPoolLowCapacity", null, region, { region, templateId, freeSessions: free, threshold });
