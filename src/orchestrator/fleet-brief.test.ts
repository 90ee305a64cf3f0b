import { expect, it } from "vitest";
import { fallbackChains } from "./catalog/regions.js";
import { inBrief } from "./fleet-brief.js";
import { fleetMetrics } from "./placement/capacity.js";
import type { OccupiedVm } from "./placement/fleet.js";

const vm = (vmId: string, status: OccupiedVm["status"], sessions = 0): OccupiedVm => ({
  vmId,
  templateId: "L4-360",
  region: "us-east-1",
  provider: "simulated",
  status,
  reachable: true,
  sessionsMax: null,
  usedUnits: sessions * 15,
  sessions,
  endsPerHour: null,
  createdAtMs: 0,
  tenant: null,
});

it("the line in the log says what is there, and nothing of what is not", () => {
  const metrics = fleetMetrics({
    fleet: {
      vms: [vm("vm-1", "IN_USE", 3), vm("vm-2", "BOOTING")],
      held: new Set(),
      halfOpen: new Set(),
      launchMs: new Map(),
    },
    holds: [
      {
        region: "eu-west-1",
        templateId: "A10",
        provider: "simulated",
        scope: "place",
        failures: 1,
        until: new Date(30_000),
      },
    ],
    waiting: new Map([["us-west-2", 4]]),
    chains: fallbackChains,
    nowMs: 0,
  });
  expect(inBrief(metrics)).toEqual({
    vms: 2,
    BOOTING: 1,
    IN_USE: 1,
    seatUnits: "45/60",
    sessions: "3/4",
    waiting: 4,
    regions: {
      "us-east-1": { vms: 2, sessions: "3/4", starting: 1 },
      "us-west-2": { vms: 0, sessions: "0/0", waiting: 4, queueSeconds: null },
      "eu-west-1": {
        vms: 0,
        sessions: "0/0",
        notes: ["A10: the provider had no capacity; it is asked again in 30 s."],
      },
    },
  });
});
