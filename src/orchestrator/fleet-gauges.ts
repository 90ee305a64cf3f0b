// What the fleet is, for operators, as the database has it at each scrape. Every replica says the same: take one of
// them (`max without (instance)`), not their sum.

import { providerId } from "../contracts/catalog.js";
import type { Clock } from "../platform/clock.js";
import type { Log } from "../platform/log.js";
import { Gauge, ReadGauges, type Registry } from "../platform/metrics.js";
import { regionIds } from "./catalog/regions.js";
import { templates } from "./catalog/templates.js";
import { isOpen } from "./placement/capacity-hold.js";
import type { Budget } from "./placement/growth.js";
import { unitsPerVm } from "./placement/seats.js";
import type { FleetCounts, VmGroup } from "./vm/fleet-counts-store.js";
import { takesSessions } from "./vm/lifecycle.js";

export function fleetGauges(deps: {
  registry: Registry;
  read: () => Promise<FleetCounts>;
  budget: Budget;
  clock: Clock;
  log: Log;
}): void {
  const { registry, read, budget, clock, log } = deps;
  const fleet = new ReadGauges({ registry, what: "the fleet", read, log });
  fleet.add(
    {
      name: "hotseat_vms",
      help: "VMs, by status; TERMINATED: the provider still shows their machine",
      labelNames: ["status", "region", "template", "provider"],
    },
    (gauge, { groups }) => {
      for (const group of groups) gauge.inc({ status: group.status, ...placeOf(group) }, group.vms);
    },
  );
  fleet.add(
    {
      name: "hotseat_vms_unreachable",
      help: "VMs in service whose agent is silent: they take no new sessions, streams in progress go on",
      labelNames: ["region", "template", "provider"],
    },
    (gauge, { groups }) => {
      for (const group of groups) if (inService(group)) gauge.inc(placeOf(group), group.reachable ? 0 : group.vms);
    },
  );
  fleet.add(
    {
      name: "hotseat_vms_oldest_seconds",
      help: "How long the VM has been in this status that has been in it longest; 0: none is",
      labelNames: ["status", "provider"],
    },
    (gauge, { groups }) => {
      for (const status of passing)
        for (const provider of providerId.options) {
          const since = groups.flatMap((group) =>
            group.status === status && group.provider === provider && group.oldestAt !== null
              ? [group.oldestAt.getTime()]
              : [],
          );
          const seconds = since.length === 0 ? 0 : (clock.now() - Math.min(...since)) / 1000;
          gauge.set({ status, provider }, Math.max(0, seconds));
        }
    },
  );
  fleet.add(
    {
      name: "hotseat_seat_units",
      help: `Seat units (${unitsPerVm} a VM): used, free, or out of reach (free on a VM whose agent is silent)`,
      labelNames: ["use", "region", "template"],
    },
    (gauge, { groups }) => {
      for (const { status, region, templateId: template, reachable, vms, usedUnits } of groups) {
        gauge.inc({ use: "used", region, template }, usedUnits);
        const free = takesSessions(status) ? vms * unitsPerVm - usedUnits : 0;
        gauge.inc({ use: "free", region, template }, reachable ? free : 0);
        gauge.inc({ use: "out-of-reach", region, template }, reachable ? 0 : free);
      }
    },
  );
  fleet.add(
    {
      name: "hotseat_fleet_eur_per_hour",
      help: "What the VMs cost by the templates' list prices",
      labelNames: ["region", "template"],
    },
    (gauge, { groups }) => {
      for (const { status, region, templateId: template, vms } of groups)
        if (status !== "TERMINATED") gauge.inc({ region, template }, vms * templates[template].eurPerHour);
    },
  );
  fleet.add(
    {
      name: "hotseat_capacity_breakers",
      help: "Places whose provider lately had no capacity; state open: not asked, half-open: asked for one VM at a time",
      labelNames: ["state", "region", "template", "provider"],
    },
    (gauge, { holds }) => {
      for (const hold of holds)
        gauge.set({ state: isOpen(hold, clock.now()) ? "open" : "half-open", ...placeOf(hold) }, 1);
    },
  );
  fleet.add(
    {
      name: "hotseat_waiting_sessions",
      help: "Sessions in the queue, by the region they want",
      labelNames: ["region"],
    },
    (gauge, { waiting }) => {
      for (const region of regionIds) gauge.set({ region }, 0);
      for (const { region, sessions } of waiting) gauge.set({ region }, sessions);
    },
  );
  fleet.add(
    {
      name: "hotseat_waiting_oldest_seconds",
      help: "How long the session has waited that has waited longest; 0: none waits",
      labelNames: ["region"],
    },
    (gauge, { waiting }) => {
      for (const region of regionIds) gauge.set({ region }, 0);
      for (const { region, oldestAt } of waiting)
        gauge.set({ region }, Math.max(0, (clock.now() - oldestAt.getTime()) / 1000));
    },
  );
  showBudget(registry, budget);
}

/** Each is there only if it is set. */
function showBudget(registry: Registry, { vmsMax, eurPerHourMax }: Budget): void {
  const registers = [registry];
  if (vmsMax !== null)
    new Gauge({ name: "hotseat_budget_vms", help: "The most VMs the fleet may have", registers }).set(vmsMax);
  if (eurPerHourMax !== null)
    new Gauge({
      name: "hotseat_budget_eur_per_hour",
      help: "The most the fleet may cost by the templates' list prices",
      registers,
    }).set(eurPerHourMax);
}

/** States that VMs only pass through. */
const passing = ["PROVISIONING", "BOOTING", "TERMINATED"] as const;

const inService = ({ status }: VmGroup): boolean => takesSessions(status) || status === "DRAINING";

const placeOf = ({ region, templateId, provider }: Pick<VmGroup, "region" | "templateId" | "provider">) => ({
  region,
  template: templateId,
  provider,
});
