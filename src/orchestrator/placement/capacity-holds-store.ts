// The circuit breakers (capacity-hold.ts) in PostgreSQL: every replica sees the same ones.
import type { ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import type { Queryable } from "../../platform/database.js";
import type { NoCapacity } from "../store.js";
import { type CapacityHold, holdAfter } from "./capacity-hold.js";
import { placeKey } from "./fleet.js";

const columns = `region, template_id as "templateId", provider, scope, failures, until`;

export const readHolds = (db: Queryable): Promise<CapacityHold[]> =>
  db.query<CapacityHold>(`select ${columns} from orchestrator.capacity_holds order by region, template_id`);

export async function openHolds(
  tx: Queryable,
  provider: ProviderId,
  { scope, places, policy }: NoCapacity,
  now: Date,
): Promise<void> {
  const sorted = places.toSorted((a, b) =>
    placeKey(a.region, a.templateId) < placeKey(b.region, b.templateId) ? -1 : 1,
  );
  const before = new Map(
    (await tx.query<CapacityHold>(`select ${columns} from orchestrator.capacity_holds order by 1, 2 for update`)).map(
      (hold) => [placeKey(hold.region, hold.templateId), hold],
    ),
  );
  const holds = sorted.map(({ region, templateId }) => {
    const found = { region, templateId, provider, scope, policy };
    return holdAfter(before.get(placeKey(region, templateId)), found, now.getTime());
  });
  await tx.query(
    `insert into orchestrator.capacity_holds (region, template_id, provider, scope, failures, until)
     select region, template_id, $1, $2, failures, until
       from unnest($3::text[], $4::text[], $5::integer[], $6::timestamptz[]) as h (region, template_id, failures, until)
     on conflict (region, template_id) do update set
       provider = excluded.provider, scope = excluded.scope, failures = excluded.failures, until = excluded.until`,
    [
      provider,
      scope,
      holds.map((hold) => hold.region),
      holds.map((hold) => hold.templateId),
      holds.map((hold) => hold.failures),
      holds.map((hold) => hold.until),
    ],
  );
}

/** A VM came up there, or one went: the place has room again, and so has a provider that had run out of everything. */
export async function closeHolds(
  tx: Queryable,
  { region, templateId, provider }: { region: RegionId; templateId: TemplateId; provider: ProviderId },
): Promise<void> {
  await tx.query(
    `delete from orchestrator.capacity_holds
      where (region = $1 and template_id = $2) or (provider = $3 and scope = 'provider')`,
    [region, templateId, provider],
  );
}

export async function forgetHolds(db: Queryable, before: Date): Promise<void> {
  await db.query("delete from orchestrator.capacity_holds where until < $1", [before]);
}
