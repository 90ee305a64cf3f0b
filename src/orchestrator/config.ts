// The orchestrator's configuration, and what follows from it: which provider makes what where, and how long things may
// take.
import { z } from "zod";
import { providerId, regionId, templateId } from "../contracts/catalog.js";
import { tenantsConfig } from "../platform/quotas.js";
import type { Place, PoolSettings } from "./autoscaling/scaling-plan.js";
import { fallbackChains, regionIds } from "./catalog/regions.js";
import { templates } from "./catalog/templates.js";
import { eventsConfig } from "./events/sink-config.js";
import type { FallbackChains } from "./placement/demand.js";
import { type PlaceRules, placeKey } from "./placement/fleet.js";
import { simulatedConfig } from "./providers/simulated-config.js";
import type { Deadlines } from "./vm/reconcile.js";

const seconds = z.number().positive();

const deadlines = (defaults: { launch: number; boot: number; silent: number | null; lost: number }) =>
  z
    .strictObject({
      launchSecondsMax: seconds.default(defaults.launch),
      bootSecondsMax: seconds.default(defaults.boot),
      silentSecondsMax: seconds
        .nullable()
        .default(defaults.silent)
        .describe("A silent agent's VM takes no new sessions then; null: no agent heartbeats there"),
      lostSecondsMax: seconds.default(defaults.lost).describe("A silent agent's VM has failed then"),
      drainSecondsMax: seconds.default(3_600).describe("A draining VM is terminated then, sessions or not"),
    })
    .prefault({});

const placeRule = z.strictObject({
  region: regionId.optional().describe("Default: every region"),
  templateId: templateId.optional().describe("Default: every template"),
  provider: providerId.optional(),
  vmsMax: z.int().min(0).optional(),
});

const poolRule = z.strictObject({
  region: regionId.optional().describe("Default: every region"),
  templateId: templateId.optional().describe("Default: every template"),
  bufferSeats: z.int().min(0).max(100_000).optional().describe("Free seats kept ready, by the standard preset"),
  bufferPercent: z
    .number()
    .min(0)
    .max(1_000)
    .optional()
    .describe("The same, of the seats in use; the larger one counts"),
  vmsMin: z.int().min(0).optional().describe("VMs kept, busy or not"),
  fallback: z.boolean().optional().describe("Keep them down the region's chain while the provider has no room"),
  scaleOutSeconds: seconds.optional().describe("Pause between two additions"),
  scaleInSeconds: seconds.optional().describe("So long a surplus lasts before a tenth of the pool is given back"),
});

const udpPort = z.int().min(1).max(65_535);

export const orchestratorConfig = z.strictObject({
  places: z
    .array(placeRule)
    .default([])
    .describe("Which provider makes VMs where, and how many of a template in a region; a later rule goes first"),
  fallback: z.partialRecord(regionId, z.array(regionId)).default({}).describe("Other fallback chains than the usual"),
  waitSecondsMax: seconds
    .default(120)
    .describe(
      "A session that waits leaves the queue so long after it was renewed last: by its page, or by who reads it",
    ),
  idleSecondsMax: seconds.default(600).describe("A player who touches nothing for so long gives the seat up"),
  capacityHoldSeconds: seconds
    .default(30)
    .describe("No VM is asked for so long where there was no capacity; doubled by each further failure there"),
  capacityHoldSecondsMax: seconds.default(600),
  budget: z
    .strictObject({
      vmsMax: z.int().min(0).nullable().default(null).describe("VMs of the whole fleet; null: no limit"),
      eurPerHourMax: z
        .number()
        .min(0)
        .nullable()
        .default(null)
        .describe("By the templates' list prices, for the whole fleet; null: no limit"),
    })
    .prefault({}),
  reconcileSeconds: seconds.default(2),
  metricsLogSeconds: seconds.default(30),
  retentionDays: seconds.default(7).describe("How long events and terminated VMs are kept"),
  pools: z
    .array(poolRule)
    .default([])
    .describe("How many VMs are kept warm where; a later rule goes first. Empty VMs beyond it are given back"),
  warm: z
    .strictObject({
      vms: z.int().min(0).default(0),
      region: regionId.default("us-east-1"),
      templateId: templateId.default("L4-90"),
    })
    .prefault({})
    .describe("VMs that live whatever their place; missing ones are made here"),
  lowCapacity: z
    .strictObject({ share: z.number().min(0).max(1).default(0.2), vms: z.number().min(0).default(1) })
    .prefault({}),
  deadlines: z
    .strictObject({
      local: deadlines({ launch: 30, boot: 90, silent: 15, lost: 75 }),
      simulated: deadlines({ launch: 120, boot: 120, silent: null, lost: 75 }),
    })
    .prefault({}),
  localSeats: z
    .int()
    .min(1)
    .nullable()
    .default(null)
    .describe("Sessions this machine carries; default: what an agent's probe found"),
  agentCommand: z.array(z.string()).min(1).optional().describe("Program and arguments that start a local agent"),
  agentEnvironment: z
    .record(z.string(), z.string())
    .default({ PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8" })
    .describe("Local agents get this environment and nothing of ours, which may hold secrets"),
  agentSettings: z
    .strictObject({
      bindAddress: z.string().min(1).optional(),
      udpPorts: z.strictObject({ begin: udpPort, end: udpPort }).optional(),
      logLevel: z.enum(["trace", "debug", "info", "warn", "error"]).optional(),
      encoders: z.array(z.string()).min(1).optional().describe("The only ones to be tried; default: all"),
    })
    .default({})
    .describe("Goes into every local agent's configuration"),
  simulated: simulatedConfig.prefault({}),
  tenants: tenantsConfig,
  events: eventsConfig.default({}).describe("Where events go besides the log"),
});
export type OrchestratorConfig = z.infer<typeof orchestratorConfig>;

const vmsMaxDefault = 20;

/** The rules of all places, the later ones first. */
export function placeRules(rules: OrchestratorConfig["places"]): PlaceRules {
  const byLatest = rules.toReversed();
  return (region, template) => {
    const here = byLatest.filter(
      (rule) => (rule.region ?? region) === region && (rule.templateId ?? template) === template,
    );
    return {
      provider: here.find((rule) => rule.provider !== undefined)?.provider ?? "local",
      vmsMax: here.find((rule) => rule.vmsMax !== undefined)?.vmsMax ?? vmsMaxDefault,
    };
  };
}

const poolDefaults = { bufferSeats: 0, bufferPercent: 0, vmsMin: 0, fallback: true };
const scaleOutSecondsDefault = 5;
const scaleInSecondsDefault = 300;

/** The settings of every place's pool, the later rules first. */
export function poolRules(rules: OrchestratorConfig["pools"], places: PlaceRules): (place: Place) => PoolSettings {
  const known = new Map<string, PoolSettings>();
  const settingsOf = ({ region, templateId }: Place): PoolSettings => {
    const here = rules.filter(
      (rule) => (rule.region ?? region) === region && (rule.templateId ?? templateId) === templateId,
    );
    const said = Object.assign({}, ...here) as (typeof rules)[number];
    return {
      bufferSeats: said.bufferSeats ?? poolDefaults.bufferSeats,
      bufferPercent: said.bufferPercent ?? poolDefaults.bufferPercent,
      vmsMin: said.vmsMin ?? poolDefaults.vmsMin,
      vmsMax: places(region, templateId).vmsMax,
      fallback: said.fallback ?? poolDefaults.fallback,
      scaleOutMs: (said.scaleOutSeconds ?? scaleOutSecondsDefault) * 1000,
      scaleInMs: (said.scaleInSeconds ?? scaleInSecondsDefault) * 1000,
    };
  };
  return (place) => {
    const key = placeKey(place.region, place.templateId);
    const settings = known.get(key) ?? settingsOf(place);
    known.set(key, settings);
    return settings;
  };
}

export const everyPlace: readonly Place[] = regionIds.flatMap((region) =>
  Object.values(templates).map((template) => ({ region, templateId: template.templateId })),
);

export const chainsOf = (changed: OrchestratorConfig["fallback"]): FallbackChains => ({
  ...fallbackChains,
  ...changed,
});

type DeadlineConfig = OrchestratorConfig["deadlines"]["local"];

export const deadlinesOf = (config: DeadlineConfig): Deadlines => ({
  launchMsMax: config.launchSecondsMax * 1000,
  bootMsMax: config.bootSecondsMax * 1000,
  lease:
    config.silentSecondsMax === null
      ? null
      : { silentMsMax: config.silentSecondsMax * 1000, lostMsMax: config.lostSecondsMax * 1000 },
  drainMsMax: config.drainSecondsMax * 1000,
});
