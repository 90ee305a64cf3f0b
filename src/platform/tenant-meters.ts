// What operators see of quotas: for one limit, each tenant's use, its limit, and what was refused because of it.
//
// A tenant's name comes with its key, so labels are the tenants that the settings name, and one for all the others.
import type { QuotaLimit } from "../contracts/tenants.js";
import { Counter, Gauge, type Registry } from "./metrics.js";
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
  },
): TenantMeters {
  const { limit, quotas, help, read } = options;
  const name = `hotseat_tenant_${options.name}`;
  const registers = [registry];
  const named = new Set(quotas.named);
  const labelOf = (tenant: string) => (named.has(tenant) ? tenant : otherTenants);
  new Gauge({
    name,
    help: `${help}, by tenant; other: all that the settings do not name`,
    labelNames: ["tenant"],
    registers,
    async collect() {
      const used = await read();
      this.reset();
      for (const tenant of [...named, otherTenants]) this.set({ tenant }, 0);
      for (const [tenant, count] of used) this.inc({ tenant: labelOf(tenant) }, count);
    },
  });
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
