// The warm pools and the circuit breakers in memory: as autoscaling/pool-store.ts and its neighbours do it in SQL.
import { judgePool, type LowCapacityPolicy, lowThreshold } from "../../src/orchestrator/autoscaling/low-capacity.js";
import { lowCapacity, poolsToJudge } from "../../src/orchestrator/autoscaling/low-pools-store.js";
import { scaleInReason } from "../../src/orchestrator/autoscaling/pool-store.js";
import type { ScalingPlan } from "../../src/orchestrator/autoscaling/scaling-plan.js";
import type { CapacityHold } from "../../src/orchestrator/placement/capacity-hold.js";
import { placeKey } from "../../src/orchestrator/placement/fleet.js";
import type { Holds, Pool, PoolReading, Pools, Scaled, StoreSettings } from "../../src/orchestrator/store.js";
import { readFleet, readQueue } from "./placements.js";
import type { MemoryTables } from "./tables.js";
import { insertVms } from "./vms.js";

export class MemoryPools implements Pools {
  constructor(
    private readonly tables: MemoryTables,
    private readonly settings: Pick<StoreSettings, "clock" | "places" | "newVmId" | "drainMsOf">,
  ) {}

  async scale(plan: (reading: PoolReading, nowMs: number) => ScalingPlan): Promise<Scaled> {
    return this.tables.commit(() => {
      const { tables } = this;
      const nowMs = this.settings.clock.now();
      const fleet = readFleet(tables, nowMs);
      const { launches, drains, memory } = plan(
        { fleet, queue: readQueue(tables, nowMs), memory: tables.pools },
        nowMs,
      );
      const { places, newVmId } = this.settings;
      const made = launches.map((place) => ({
        ...place,
        vmId: newVmId(),
        provider: places(place.region, place.templateId).provider,
        tenant: null,
      }));
      if (made.length > 0) insertVms(tables, made, new Date(nowMs));
      const drained = this.#drain(drains, nowMs);
      tables.pools = new Map(memory);
      return { fleet, made, drained };
    });
  }

  #drain(vmIds: readonly string[], nowMs: number): string[] {
    const { tables } = this;
    if (vmIds.length > 0) tables.signal("reconcile");
    return vmIds.toSorted().filter((vmId) => {
      const vm = tables.vm(vmId);
      if (vm.status !== "READY" || vm.usedUnits > 0) return false;
      const drainDeadlineAtMs = nowMs + this.settings.drainMsOf(vm.provider);
      tables.changeVm(vm, "drained", { reason: scaleInReason, drainDeadlineAtMs });
      return true;
    });
  }

  async judge(pools: readonly Pool[], policy: LowCapacityPolicy): Promise<void> {
    this.tables.commit(() => {
      const { tables } = this;
      for (const pool of poolsToJudge(pools, [...tables.lowPools.values()])) {
        const key = placeKey(pool.region, pool.templateId);
        const was = tables.lowPools.has(key);
        const is = judgePool(was, pool, policy);
        if (is.fire) {
          tables.lowPools.set(key, { region: pool.region, templateId: pool.templateId });
          tables.append([lowCapacity(pool, lowThreshold(pool, policy))], new Date(this.settings.clock.now()));
        } else if (was && !is.low) tables.lowPools.delete(key);
      }
    });
  }
}

export class MemoryHolds implements Holds {
  constructor(private readonly tables: MemoryTables) {}

  async read(): Promise<CapacityHold[]> {
    return [...this.tables.holds].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, hold]) => hold);
  }

  async forget(before: Date): Promise<void> {
    const { holds } = this.tables;
    for (const [key, { until }] of holds) if (until < before) holds.delete(key);
  }
}
