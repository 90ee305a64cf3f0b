// The warm pools' part of the database: what each did last, and the one transaction in which a plan becomes intents.
//
// Any number of replicas may plan: it is done again under the growth lock, from what is so then, and a VM is drained
// only if its own row, locked, still has nobody. Most looks find nothing to do and take no lock.
import type { ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import type { Clock } from "../../platform/clock.js";
import type { Database, Queryable } from "../../platform/database.js";
import { appendEvents } from "../events/outbox-store.js";
import { placeKey } from "../placement/fleet.js";
import { readFleet, readFleetInKinds } from "../placement/fleet-store.js";
import { readQueue } from "../placement/placement-store.js";
import type { NewVm } from "../placement/waiting.js";
import type { Pool, PoolReading, Pools, Scaled } from "../store.js";
import { changeVm, lockVms, takeGrowthLock } from "../vm/vm-rows-store.js";
import { insertVms } from "../vm/vm-store.js";
import type { LowCapacityPolicy } from "./low-capacity.js";
import { judgePools } from "./low-pools-store.js";
import type { PoolMemory, ScalingPlan } from "./scaling-plan.js";

export const scaleInReason = "The pool has more than it needs.";

export class PoolStore implements Pools {
  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
    private readonly options: {
      newVm: (place: { region: RegionId; templateId: TemplateId }) => NewVm;
      drainMsOf: (provider: ProviderId) => number;
    },
  ) {}

  async scale(plan: (reading: PoolReading, nowMs: number) => ScalingPlan): Promise<Scaled> {
    const reading = await readPools(this.db, this.#now(), { inKinds: true });
    if (isRest(plan(reading, this.clock.now()), reading)) return { fleet: reading.fleet, made: [], drained: [] };
    return this.db.transaction(async (tx) => {
      await takeGrowthLock(tx);
      const now = this.#now();
      const current = await readPools(tx, now);
      const { launches, drains, memory } = plan(current, now.getTime());
      const made = launches.map(this.options.newVm);
      if (made.length > 0) await insertVms(tx, made, now);
      const drained = await this.#drain(tx, drains, now);
      await writeMemory(tx, current.memory, memory);
      return { fleet: current.fleet, made, drained };
    });
  }

  judge(pools: readonly Pool[], policy: LowCapacityPolicy): Promise<void> {
    return judgePools(this.db, pools, policy, this.#now());
  }

  async #drain(tx: Queryable, vmIds: readonly string[], now: Date): Promise<string[]> {
    if (vmIds.length === 0) return [];
    const empty = [...(await lockVms(tx, vmIds)).values()].filter((vm) => vm.status === "READY" && vm.usedUnits === 0);
    for (const vm of empty) {
      const drainDeadlineAt = new Date(now.getTime() + this.options.drainMsOf(vm.provider));
      await changeVm(tx, vm, "drained", { reason: scaleInReason, drainDeadlineAt });
    }
    await appendEvents(tx, [], now, ["reconcile"]);
    return empty.map(({ vmId }) => vmId);
  }

  #now(): Date {
    return new Date(this.clock.now());
  }
}

const isRest = ({ launches, drains, memory }: ScalingPlan, before: PoolReading): boolean =>
  launches.length === 0 && drains.length === 0 && changedPools(before.memory, memory).length === 0;

/** `inKinds`: while nobody waits, only sums are looked at. Which VMs they are is asked again before any is drained. */
async function readPools(tx: Queryable, now: Date, { inKinds = false } = {}): Promise<PoolReading> {
  const ms = (column: string) => `(extract(epoch from ${column}) * 1000)::float8`;
  const rows = await tx.query<PoolMemory & { region: RegionId; templateId: TemplateId }>(
    `select region, template_id as "templateId", ${ms("scaled_out_at")} as "scaledOutAtMs",
            ${ms("scaled_in_at")} as "scaledInAtMs", ${ms("surplus_since")} as "surplusSinceMs"
       from orchestrator.pools`,
  );
  const memory = new Map(
    rows.map(({ region, templateId, ...pool }): [string, PoolMemory] => [placeKey(region, templateId), pool]),
  );
  const queue = await readQueue(tx, now);
  const read = inKinds && queue.waiting.length === 0 ? readFleetInKinds : readFleet;
  return { fleet: await read(tx, now), queue, memory };
}

/** The `placeKey`s of pools that remember something else, or nothing, afterwards. */
function changedPools(before: ReadonlyMap<string, PoolMemory>, after: ReadonlyMap<string, PoolMemory>): string[] {
  const text = (memory: PoolMemory | undefined) =>
    JSON.stringify(memory && [memory.scaledOutAtMs, memory.scaledInAtMs, memory.surplusSinceMs]);
  return [...new Set([...before.keys(), ...after.keys()])].filter(
    (key) => text(before.get(key)) !== text(after.get(key)),
  );
}

async function writeMemory(
  tx: Queryable,
  before: ReadonlyMap<string, PoolMemory>,
  after: ReadonlyMap<string, PoolMemory>,
): Promise<void> {
  for (const key of changedPools(before, after)) {
    const [region, templateId] = key.split("/");
    const memory = after.get(key);
    if (memory === undefined) {
      await tx.query("delete from orchestrator.pools where region = $1 and template_id = $2", [region, templateId]);
      continue;
    }
    await tx.query(
      `insert into orchestrator.pools (region, template_id, scaled_out_at, scaled_in_at, surplus_since)
       values ($1, $2, $3, $4, $5)
       on conflict (region, template_id) do update set scaled_out_at = excluded.scaled_out_at,
         scaled_in_at = excluded.scaled_in_at, surplus_since = excluded.surplus_since`,
      [region, templateId, ...[memory.scaledOutAtMs, memory.scaledInAtMs, memory.surplusSinceMs].map(instant)],
    );
  }
}

const instant = (ms: number | null): Date | null => (ms === null ? null : new Date(ms));
