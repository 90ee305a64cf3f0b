// What operators see of quotas: of each limit a role keeps, each tenant's use, its limit, and what was refused for it.
//
// A tenant's name comes with its key, so labels are the tenants that the settings name, and one for all the others.
import type { QuotaLimit } from "../contracts/tenants.js";
import type { Log } from "./log.js";
import { Counter, Gauge, ReadGauges, type Registry } from "./metrics.js";
import { otherTenants, type Quotas } from "./quotas.js";

export interface TenantMeters<L extends QuotaLimit> {
  refused(limit: L, tenant: string): void;
}

export function tenantMeters<L extends QuotaLimit>(
  registry: Registry,
  options: {
    /** `name`: after `hotseat_tenant_`. */
    limits: Readonly<Record<L, { readonly name: string; readonly help: string }>>;
    quotas: Quotas;
    /** What each tenant has; one that has nothing may be left out. */
    read: () => Promise<ReadonlyMap<string, Readonly<Record<L, number>>>>;
    log: Log;
  },
): TenantMeters<L> {
  const { limits, quotas, read, log } = options;
  const registers = [registry];
  const named = new Set(quotas.named);
  const labelOf = (tenant: string) => (named.has(tenant) ? tenant : otherTenants);
  const uses = new ReadGauges({ registry, what: "the tenants' use", read, log });
  const meterOf = (limit: L) => {
    const { help } = limits[limit];
    const name = `hotseat_tenant_${limits[limit].name}`;
    uses.add(
      { name, help: `${help}, by tenant; other: all that the settings do not name`, labelNames: ["tenant"] },
      (gauge, used) => {
        for (const tenant of [...named, otherTenants]) gauge.set({ tenant }, 0);
        for (const [tenant, use] of used) gauge.inc({ tenant: labelOf(tenant) }, use[limit]);
      },
    );
    const most = new Gauge({
      name: `${name}_limit`,
      help: `${help}: how many the tenant may have; absent without a limit`,
      labelNames: ["tenant"],
      registers,
    });
    for (const tenant of named) {
      const max = quotas.max(tenant, limit);
      if (max !== null) most.set({ tenant }, max);
    }
    const refused = new Counter({
      name: `${name}_refused_total`,
      help: `${help}: refused because the tenant had as many as it may`,
      labelNames: ["tenant"],
      registers,
    });
    for (const tenant of [...named, otherTenants]) refused.inc({ tenant }, 0);
    return refused;
  };
  const refusals = new Map((Object.keys(limits) as L[]).map((limit) => [limit, meterOf(limit)]));
  return { refused: (limit, tenant) => refusals.get(limit)!.inc({ tenant: labelOf(tenant) }) };
}
