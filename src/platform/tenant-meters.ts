// What operators see of quotas: for one limit, each tenant's use, its limit, and what was refused because of it.
//
// A tenant's name comes with its key, so labels are the tenants that the settings name, and one for all the others.
import type { QuotaLimit } from "../contracts/tenants.js";
import type { Log } from "./log.js";
import { Counter, Gauge, ReadGauges, type Registry } from "./metrics.js";
import { otherTenants, type Quotas } from "./quotas.js";

export interface TenantMeters {
  refused(tenant: string): void;
}

export function tenantMeters(
  registry: Registry,
  options: {
    limit: QuotaLimit;
    quotas: Quotas;
    /** After `hotseat_tenant_`. */
    name: string;
    help: string;
    read: () => Promise<ReadonlyMap<string, number>>;
    log: Log;
  },
): TenantMeters {
  const { limit, quotas, help, read, log } = options;
  const name = `hotseat_tenant_${options.name}`;
  const registers = [registry];
  const named = new Set(quotas.named);
  const labelOf = (tenant: string) => (named.has(tenant) ? tenant : otherTenants);
  new ReadGauges({ registry, what: "the tenants' use", read, log }).add(
    { name, help: `${help}, by tenant; other: all that the settings do not name`, labelNames: ["tenant"] },
    (gauge, used) => {
      for (const tenant of [...named, otherTenants]) gauge.set({ tenant }, 0);
      for (const [tenant, count] of used) gauge.inc({ tenant: labelOf(tenant) }, count);
    },
  );
  const limits = new Gauge({
    name: `${name}_limit`,
    help: `${help}: how many the tenant may have; absent without a limit`,
    labelNames: ["tenant"],
    registers,
  });
  for (const tenant of named) {
    const max = quotas.max(tenant, limit);
    if (max !== null) limits.set({ tenant }, max);
  }
  const refused = new Counter({
    name: `${name}_refused_total`,
    help: `${help}: refused because the tenant had as many as it may`,
    labelNames: ["tenant"],
    registers,
  });
  return { refused: (tenant) => refused.inc({ tenant: labelOf(tenant) }) };
}
