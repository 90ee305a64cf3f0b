// How much each tenant may have at once, and the refusal of more.
//
// One table in the settings for all roles; each role keeps the limits of what it owns, by counting its own rows. So
// nothing is reserved that could leak: what is gone from the rows is free again, whatever crashed.
import * as z from "zod";
import { Problem } from "../contracts/problems.js";
import { readAs } from "../contracts/read-as.js";
import { type QuotaLimit, tenantName } from "../contracts/tenants.js";

/** Metrics sum up under this name all tenants that the settings do not name. */
export const otherTenants = "other";

function nameError(name: string): string | null {
  const parsed = name === "*" ? null : readAs(tenantName, name);
  return parsed?.error?.issues[0]?.message ?? null;
}

const max = z.int().min(0).nullable().optional();

const quota = z
  .strictObject({ sessionsMax: max, waitingMax: max, vmsMax: max })
  .describe("null: no limit; left out: as *");

export const tenantsConfig = z
  .record(z.string(), quota)
  .superRefine((tenants, context) => {
    for (const name of Object.keys(tenants)) {
      const wrong = name === otherTenants ? "is what metrics call the tenants not named here" : nameError(name);
      if (wrong !== null) context.addIssue({ code: "custom", path: [name], message: wrong });
    }
  })
  .default({})
  .describe("By tenant; *: each tenant without an entry");
export type TenantsConfig = z.infer<typeof tenantsConfig>;

export class Quotas {
  readonly #byTenant: ReadonlyMap<string, z.infer<typeof quota>>;

  constructor(config: TenantsConfig) {
    this.#byTenant = new Map(Object.entries(config));
  }

  /** Tenants that the settings name. */
  get named(): string[] {
    return [...this.#byTenant.keys()].filter((tenant) => tenant !== "*");
  }

  /** null: no limit. */
  max(tenant: string, limit: QuotaLimit): number | null {
    const own = this.#byTenant.get(tenant)?.[`${limit}Max`];
    return own === undefined ? (this.#byTenant.get("*")?.[`${limit}Max`] ?? null) : own;
  }
}

const words: Record<QuotaLimit, (use: string) => string> = {
  sessions: (use) => `Live sessions of the tenant: ${use}. End one, or ask the operator for a higher limit.`,
  waiting: (use) =>
    `Waiting requests of the tenant: ${use}, and no seat is free. Try again when one of them has its seat.`,
  vms: (use) => `VMs of the tenant: ${use}. Terminate one, or ask the operator for a higher limit.`,
};

export const quotaExceeded = (limit: QuotaLimit, max: number, used: number): Problem =>
  new Problem("quota-exceeded", words[limit](`${used} of ${max}`), { quota: { limit, max, used } });
