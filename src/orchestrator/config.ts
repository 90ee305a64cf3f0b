// The orchestrator's configuration, and what follows from it: which provider makes what where, and how long things may
// take.
import { z } from "zod";
import { providerId, type RegionId, regionId, type TemplateId, templateId } from "../contracts/catalog.js";
import { fallbackChains, regionIds } from "./catalog/regions.js";
import { templates } from "./catalog/templates.js";
import { eventsConfig } from "./events/sink-config.js";
import type { FallbackChains } from "./placement/demand.js";
import type { PlaceRules } from "./placement/fleet.js";
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
    })
    .prefault({});

const placeRule = z.strictObject({
  region: regionId.optional().describe("Default: every region"),
  templateId: templateId.optional().describe("Default: every template"),
  provider: providerId.optional(),
  vmsMax: z.int().min(0).optional(),
});

const udpPort = z.int().min(1).max(65_535);

export const orchestratorConfig = z.strictObject({
  places: z
    .array(placeRule)
    .default([])
    .describe("Which provider makes VMs where, and how many of a template in a region; a later rule goes first"),
  fallback: z.partialRecord(regionId, z.array(regionId)).default({}).describe("Other fallback chains than the usual"),
  waitSecondsMax: seconds.default(600).describe("A session that waits longer gets nothing"),
  drainSecondsMax: seconds.default(3_600).describe("A draining VM is terminated then, sessions or not"),
  capacityHoldSeconds: seconds.default(30).describe("No VM is asked for so long where there was no capacity"),
  reconcileSeconds: seconds.default(2),
  metricsLogSeconds: seconds.default(30),
  retentionDays: seconds.default(7).describe("How long events and terminated VMs are kept"),
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
    })
    .default({})
    .describe("Goes into every local agent's configuration"),
  simulated: simulatedConfig.prefault({}),
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

export const everyPlace: readonly { region: RegionId; templateId: TemplateId }[] = regionIds.flatMap((region) =>
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
});
