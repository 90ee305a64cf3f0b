// What a region has and has free, as operators, integrators and the page see it.
import * as z from "zod";
import { regionId } from "./catalog.js";

export const regionCapacity = z
  .object({
    region: regionId,
    availableVms: z.int().describe("VMs that take a standard session now"),
    provisioningVms: z.int().describe("PROVISIONING or BOOTING"),
    totalUnits: z.int(),
    usedUnits: z.int(),
    freeUnits: z.int(),
    totalSessions: z.int().describe("Standard-preset sessions its VMs could carry"),
    usedSessions: z.int(),
    freeSessions: z.int(),
    waiting: z.int(),
    queueSeconds: z.number().nullable().describe("0 with a free seat, else until the next is expected; null: unknown"),
    fallback: z.array(regionId).describe("Where its sessions go when it is full, in order"),
    notes: z
      .array(z.string())
      .describe("In words: templates the provider lately had no capacity for, and what follows"),
  })
  .meta({ id: "RegionCapacity" });
export type RegionCapacity = z.infer<typeof regionCapacity>;
