// What kind of installation a seed is: how many replicas, which limits, how busy, how quick its clouds are.
import type { ProviderId, RegionId } from "../src/contracts/catalog.js";
import { type OrchestratorConfig, orchestratorConfig } from "../src/orchestrator/config.js";
import { Random } from "./kernel/random.js";

export interface Scenario {
  readonly replicas: number;
  readonly config: OrchestratorConfig;
  readonly regions: readonly RegionId[];
  readonly providers: readonly ProviderId[];
  readonly roomPerPlace: number;
  readonly launchMs: readonly [least: number, most: number];
  readonly bootMs: readonly [least: number, most: number];
  /** The agent's deadline. */
  readonly bootMsMax: number;
  readonly arrivalMs: number;
  readonly burstMs: number;
  readonly burstSessionsMax: number;
  readonly playMs: number;
  readonly operatorMs: number;
}

const regions: readonly RegionId[] = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1"];

export function scenarioOf(seed: number): Scenario {
  const random = new Random(seed, "scenario");
  const deadlines = {
    launchSecondsMax: 60,
    bootSecondsMax: 90,
    silentSecondsMax: 15,
    lostSecondsMax: random.pick([45, 75]),
    drainSecondsMax: 600,
  };
  const config = orchestratorConfig.parse({
    places: [
      { provider: "local", vmsMax: random.whole(2, 4) },
      { region: random.pick(regions), provider: "simulated" },
      { region: random.pick(regions), templateId: "RTX-4080", vmsMax: random.whole(0, 6) },
    ],
    waitSecondsMax: 120,
    capacityHoldSeconds: 20,
    capacityHoldSecondsMax: 160,
    budget: { vmsMax: random.whole(18, 32), eurPerHourMax: random.pick([null, null, 20]) },
    reconcileSeconds: random.pick([15, 20]),
    metricsLogSeconds: 3_600,
    retentionDays: 1 / 48,
    pools: [
      { region: random.pick(regions), bufferSeats: random.whole(0, 4), scaleInSeconds: random.pick([120, 240, 480]) },
      { templateId: "RTX-4080", bufferPercent: random.pick([0, 25]), scaleInSeconds: 180 },
    ],
    warm: { vms: random.whole(0, 4), templateId: "RTX-4080" },
    deadlines: { local: deadlines, simulated: deadlines },
    tenants: { greedy: { waitingMax: random.pick([null, 25]), vmsMax: 3 }, studio: { vmsMax: 1 } },
  });
  return {
    replicas: random.pick([1, 1, 2, 2, 2, 2, 2, 3]),
    config,
    regions,
    providers: ["local", "simulated"],
    roomPerPlace: random.pick([2, 5, 5, 10]),
    launchMs: [2_000, random.whole(8_000, 30_000)],
    bootMs: [5_000, random.whole(15_000, 50_000)],
    bootMsMax: deadlines.bootSecondsMax * 1000,
    arrivalMs: random.between(12_000, 12_800),
    burstMs: random.between(600_000, 1_200_000),
    burstSessionsMax: random.whole(10, 20),
    playMs: random.between(240_000, 540_000),
    operatorMs: random.between(150_000, 600_000),
  };
}
