// The warm pools' shell: reads, asks the plan, commits what it says, and tells of pools that run low.
import type { RegionId, TemplateId } from "../../contracts/catalog.js";
import type { Clock } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import { Counter, type Registry } from "../../platform/metrics.js";
import { poolsOf } from "../placement/capacity.js";
import type { FallbackChains } from "../placement/demand.js";
import { Growth, type GrowthRules } from "../placement/growth.js";
import { planWaiting } from "../placement/waiting.js";
import type { Holds, PoolReading, Pools } from "../store.js";
import type { LowCapacityPolicy } from "./low-capacity.js";
import { type Place, type PoolSettings, type ScalingPlan, scalingPlan, type WarmVms } from "./scaling-plan.js";

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
  readonly #scaled: Counter<"direction" | "region" | "template">;

  constructor(private readonly deps: AutoscalerDeps) {
    this.#scaled = new Counter({
      name: "hotseat_pool_scaled_vms_total",
      help: "VMs the warm pools made (out) or drained (in)",
      labelNames: ["direction", "region", "template"],
      registers: [deps.registry],
    });
  }

  /** One look and what follows from it. */
  async round(): Promise<void> {
    const { pools, holds, lowCapacity, holdMsMax, clock, log } = this.deps;
    const { fleet, made, drained } = await pools.scale((reading, nowMs) => this.#plan(reading, nowMs));
    for (const vm of made) {
      this.#count("out", vm);
      log.info({ vmId: vm.vmId, region: vm.region, templateId: vm.templateId }, "the pool makes a VM");
    }
    for (const vm of fleet.vms.filter(({ vmId }) => drained.includes(vmId))) {
      this.#count("in", vm);
      log.info({ vmId: vm.vmId, region: vm.region, templateId: vm.templateId }, "the pool gives a VM back");
    }
    await pools.judge(poolsOf(fleet), lowCapacity);
    await holds.forget(new Date(clock.now() - holdMsMax));
  }

  #plan({ fleet, waiting, memory }: PoolReading, nowMs: number): ScalingPlan {
    const { places, settingsOf, warm, growth: rules, chains } = this.deps;
    const { vms } = planWaiting({ fleet, ...rules, waiting, nowMs, newVmId: () => "" });
    const growth = new Growth({ ...fleet, vms }, rules);
    return scalingPlan({ vms, growth, places, settingsOf, warm, chains, memory, nowMs });
  }

  #count(direction: "out" | "in", { region, templateId }: { region: RegionId; templateId: TemplateId }): void {
    this.#scaled.inc({ direction, region, template: templateId });
  }
}
