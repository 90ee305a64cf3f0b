import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PresetId } from "../../contracts/catalog.js";
import { placementRequest } from "../../contracts/orchestrator.js";
import { Quotas } from "../../platform/quotas.js";
import { fallbackChains } from "../catalog/regions.js";
import { type Demand, demandOf } from "./demand.js";
import type { Fleet, FleetVm } from "./fleet.js";
import { overtakenMsMax } from "./kept-free.js";
import { type Round, roundAfter } from "./turns.js";
import { planWaiting, type WaitingSession } from "./waiting.js";

const demand = (presetId: PresetId): Demand =>
  demandOf(placementRequest.parse({ gameId: "demo", client: "api", rttMsMax: 5, presetId }), fallbackChains);
const small = demand("default-standard");
const whole = demand("default-competitive");

const noGrowth = {
  places: () => ({ provider: "simulated", vmsMax: 0 }) as const,
  budget: { vmsMax: null, eurPerHourMax: null },
  quotas: new Quotas({}),
  newVmId: () => "",
};
const passMs = 1_000;

/** A full fleet that may not grow, on which sessions come and go while others wait. */
class Fleetlet {
  readonly seats = new Map<string, { vmId: string; units: number; endsAtMs: number }>();
  waiting: WaitingSession[] = [];
  round: Round = new Set();
  nowMs = 0;
  #sessions = 0;

  constructor(
    readonly vms: number,
    readonly lastsMs: () => number,
  ) {}

  ask(shared: Demand, tenant: string): string {
    const sessionId = `${tenant}-${this.#sessions++}`;
    this.waiting.push({ sessionId, tenant, demand: shared, again: false, overtakenAtMs: null });
    return sessionId;
  }

  pass(): void {
    this.nowMs += passMs;
    for (const [sessionId, { endsAtMs }] of this.seats) if (endsAtMs <= this.nowMs) this.seats.delete(sessionId);
    const { waiting, round, nowMs } = this;
    const plan = planWaiting({ ...noGrowth, fleet: this.#fleet(), queue: { waiting, round }, nowMs });
    const seated = plan.outcomes
      .flatMap((outcome, i) => (outcome.kind === "seat" ? [{ session: waiting[i]!, ...outcome }] : []))
      .sort((a, b) => a.position - b.position);
    for (const { session, vmId, units } of seated)
      this.seats.set(session.sessionId, { vmId, units, endsAtMs: nowMs + this.lastsMs() });
    this.round = roundAfter(
      round,
      seated.map(({ session }) => session),
    );
    this.waiting = waiting
      .filter(({ sessionId }) => !this.seats.has(sessionId))
      .map((session) => (plan.overtaken.includes(session.sessionId) ? { ...session, overtakenAtMs: nowMs } : session));
  }

  #fleet(): Fleet {
    const vms = Array.from({ length: this.vms }, (_, i): FleetVm => {
      const vmId = `vm-${i}`;
      const seats = [...this.seats.values()].filter((seat) => seat.vmId === vmId);
      return {
        vmId,
        region: "us-east-1",
        templateId: "L4-360",
        provider: "simulated",
        status: "IN_USE",
        reachable: true,
        sessionsMax: null,
        usedUnits: seats.reduce((sum, { units }) => sum + units, 0),
        createdAtMs: 0,
        tenant: null,
      };
    });
    return { vms, held: new Set(), halfOpen: new Set(), launchMs: new Map() };
  }
}

describe("a session that needs a whole VM", () => {
  const durations = fc.array(fc.integer({ min: 2, max: 120 }), { minLength: 20, maxLength: 20 });

  test("gets one, however many smaller ones come in behind it, and whoever's they are", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), durations, fc.boolean(), (vms, seconds, sameTenant) => {
        let turn = 0;
        const fleet = new Fleetlet(vms, () => seconds[turn++ % seconds.length]! * 1_000);
        const others = sameTenant ? "a" : "b";
        for (let i = 0; i < 4 * vms + 5; i++) fleet.ask(small, others);
        fleet.pass();
        const wanted = fleet.ask(whole, "a");
        const longestMs = Math.max(...seconds) * 1_000;
        // Who was there before gets seats first, each within a session's time of all seats; the next seat that frees
        // overtakes it; then the limit, then at most the sessions of the VM kept free.
        const ahead = fleet.waiting.length - 1;
        const boundMs = Math.ceil((ahead + 1) / (4 * vms)) * longestMs + overtakenMsMax + longestMs + 4 * passMs;
        while (!fleet.seats.has(wanted)) {
          expect(fleet.nowMs).toBeLessThanOrEqual(boundMs);
          while (fleet.waiting.length < 4 * vms + 5) fleet.ask(small, others);
          fleet.pass();
        }
      }),
      { numRuns: 60 },
    );
  });

  test("has one VM kept free at a time, while the others give their seats on", () => {
    let turn = 0;
    const fleet = new Fleetlet(2, () => 20_000 + 7_000 * (turn++ % 5));
    for (let i = 0; i < 8; i++) fleet.ask(small, "b");
    fleet.pass();
    const first = fleet.ask(whole, "a");
    fleet.ask(whole, "a");
    while (!fleet.seats.has(first)) {
      while (fleet.waiting.length < 20) fleet.ask(small, "b");
      fleet.pass();
      const used = [0, 1].map((i) => [...fleet.seats.values()].filter(({ vmId }) => vmId === `vm-${i}`).length);
      expect(Math.max(...used)).toBe(4);
    }
    expect(fleet.nowMs).toBeGreaterThan(overtakenMsMax);
  });

  test("is not overtaken by what it could not have had", () => {
    const elsewhere = demandOf(
      placementRequest.parse({ gameId: "demo", client: "api", region: "eu-west-1", rttMsMax: 5 }),
      fallbackChains,
    );
    const fleet = new Fleetlet(1, () => 60_000);
    for (let i = 0; i < 4; i++) fleet.ask(small, "b");
    fleet.pass();
    fleet.ask(whole, "a");
    fleet.ask(elsewhere, "b");
    fleet.pass();
    expect(fleet.waiting.map(({ overtakenAtMs }) => overtakenAtMs)).toEqual([null, null]);
  });
});
