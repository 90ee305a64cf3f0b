// The warm pools' shell: reads, asks the plan, commits what it says, and tells of pools that run low.
import type { Clock } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import type { Registry } from "../../platform/metrics.js";
import { poolsOf } from "../placement/capacity.js";
import type { FallbackChains } from "../placement/demand.js";
import { Growth, type GrowthRules } from "../placement/growth.js";
import { planWaiting } from "../placement/waiting.js";
import type { Holds, PoolReading, Pools } from "../store.js";
import type { LowCapacityPolicy } from "./low-capacity.js";
import { PoolMeters } from "./pool-meters.js";
import {
  type Place,
  type PoolSettings,
  type PoolState,
  type ScalingPlan,
  scalingPlan,
  type WarmVms,
} from "./scaling-plan.js";

export interface AutoscalerDeps {
  readonly pools: Pools;
  readonly holds: Holds;
  readonly places: readonly Place[];
  readonly settingsOf: (place: Place) => PoolSettings;
  readonly warm: WarmVms;
  readonly growth: GrowthRules;
  readonly chains: FallbackChains;
  readonly lowCapacity: LowCapacityPolicy;
  /** A hold nobody tried again for so long after its end is forgotten. */
  readonly holdMsMax: number;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Log;
}

export class Autoscaler {
  readonly #meters: PoolMeters;
  /** As the last plan found them. */
  #states: readonly PoolState[] = [];

  constructor(private readonly deps: AutoscalerDeps) {
    this.#meters = new PoolMeters(deps.registry);
  }

  /** One look and what follows from it. */
  async round(): Promise<void> {
    const { pools, holds, lowCapacity, holdMsMax, clock, log } = this.deps;
    const { fleet, made, drained } = await pools.scale((reading, nowMs) => this.#plan(reading, nowMs));
    this.#meters.found(this.#states);
    for (const vm of made) {
      this.#meters.scaled("out", vm);
      log.info({ vmId: vm.vmId, region: vm.region, templateId: vm.templateId }, "the pool makes a VM");
    }
    for (const vm of fleet.vms.filter(({ vmId }) => drained.includes(vmId))) {
      this.#meters.scaled("in", vm);
      log.info({ vmId: vm.vmId, region: vm.region, templateId: vm.templateId }, "the pool gives a VM back");
    }
    await pools.judge(poolsOf(fleet), lowCapacity);
    await holds.forget(new Date(clock.now() - holdMsMax));
  }

  #plan({ fleet, queue, memory }: PoolReading, nowMs: number): ScalingPlan {
    const { places, settingsOf, warm, growth: rules, chains } = this.deps;
    const { vms } =
      queue.waiting.length === 0 ? fleet : planWaiting({ fleet, ...rules, queue, nowMs, newVmId: () => "" });
    const growth = new Growth({ ...fleet, vms }, rules);
    const plan = scalingPlan({ vms, growth, places, settingsOf, warm, chains, memory, nowMs });
    this.#states = plan.pools;
    return plan;
  }
}
