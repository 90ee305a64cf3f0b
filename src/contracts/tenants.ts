// Tenants on the wire: what each has of what it may have at once.
import * as z from "zod";
import { text } from "./text.js";

/** As an API key carries it. `*` stands for tenants in the settings, so none is called that. */
export const tenantName = text(64, 1).refine(
  (name) => name !== "*",
  "* stands for every tenant without limits of its own",
);

/** Each is owned by one role: live sessions by the session role, waiting requests and VMs by the orchestrator. */
export const quotaLimit = z.enum(["sessions", "waiting", "vms"]);
export type QuotaLimit = z.infer<typeof quotaLimit>;

const use = z.object({ used: z.int(), max: z.int().nullable().describe("null: no limit") });

export const placementUse = z
  .object({
    tenant: z.string(),
    waiting: use.describe("Requests that wait for a seat"),
    vms: use.describe("VMs made for its requests, or by an operator's key of it"),
  })
  .meta({ id: "TenantPlacementUse" });
export type PlacementUse = z.infer<typeof placementUse>;

export const tenantUse = placementUse
  .extend({ sessions: use.describe("Sessions that have not ended, those that wait included") })
  .meta({ id: "TenantUse" });
export type TenantUse = z.infer<typeof tenantUse>;
