import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { presetId } from "../../contracts/catalog.js";
import { placementRequest } from "../../contracts/orchestrator.js";
import { presets } from "../catalog/presets.js";
import { fallbackChains } from "../catalog/regions.js";
import { demandOf } from "./demand.js";
import { etasInLine, msUntilRoom, secondsUntilSeat } from "./eta.js";
import type { OccupiedVm } from "./fleet.js";

const demand = (fields: object = {}) =>
  demandOf(placementRequest.parse({ gameId: "demo", client: "api", ...fields }), fallbackChains);
/** `sessions` standard ones, each expected to last a tenth of an hour more. */
const vm = (sessions: number, fields: Partial<OccupiedVm> = {}): OccupiedVm => ({
  vmId: "vm",
  region: "us-east-1",
  templateId: "L4-360",
  provider: "simulated",
  tenant: null,
  status: sessions === 0 ? "READY" : "IN_USE",
  reachable: true,
  sessionsMax: null,
  usedUnits: 15 * sessions,
  sessions,
  endsPerHour: sessions === 0 ? null : 10 * sessions,
  createdAtMs: 0,
  ...fields,
});
const queued = (shared: ReturnType<typeof demand>) => ({ demand: shared, underWay: null });
const coming = (shared: ReturnType<typeof demand>, etaSeconds: number | null) => ({
  demand: shared,
  underWay: { etaSeconds },
});
const standard = presets["default-standard"];

describe("the expected time to a seat", () => {
  test("is the mean duration divided by the sessions that may end, for each in line", () => {
    const shared = demand();
    const line = Array.from({ length: 3 }, () => queued(shared));
    expect(etasInLine(line, [vm(4), vm(4)])).toEqual([45, 90, 135]);
    expect(secondsUntilSeat(3, [vm(4), vm(4)], standard)).toBe(135);
  });

  test("counts VMs that can serve it only", () => {
    const shared = demand({ rttMsMax: 5 });
    const useless = [
      vm(4, { region: "eu-west-1" }),
      vm(4, { reachable: false }),
      vm(4, { status: "DRAINING" }),
      vm(4, { endsPerHour: null }),
      vm(0),
    ];
    expect(etasInLine([queued(shared)], useless)).toEqual([null]);
    expect(etasInLine([queued(shared)], [...useless, vm(4)])).toEqual([90]);
  });

  test("of a whole VM is that of the soonest to be empty, one after the other", () => {
    const whole = demand({ presetId: "default-competitive" });
    expect(msUntilRoom(vm(2), whole.preset)).toBe(360_000 * (1 / 2 + 1));
    expect(etasInLine([queued(whole), queued(whole)], [vm(2), vm(4)])).toEqual([540, 1080]);
  });

  test("is a VM's start where that comes sooner, and a seat that frees where that does", () => {
    const shared = demand();
    expect(etasInLine([coming(shared, 30), coming(shared, 30), queued(shared)], [vm(4)])).toEqual([30, 30, 90]);
    expect(etasInLine([coming(shared, 300)], [vm(4)])).toEqual([90]);
    expect(etasInLine([coming(shared, null), queued(shared)], [vm(4)])).toEqual([90, 180]);
    expect(etasInLine([coming(shared, 40), queued(shared)], [])).toEqual([40, null]);
    expect(etasInLine([coming(shared, null)], [])).toEqual([null]);
  });

  test("of those who want other seats is not in the way", () => {
    const near = demand({ rttMsMax: 5 });
    const elsewhere = demand({ region: "eu-west-1", rttMsMax: 5 });
    const fleet = [vm(4), vm(4, { region: "eu-west-1" })];
    expect(etasInLine([queued(elsewhere), queued(elsewhere), queued(near)], fleet)).toEqual([90, 180, 90]);
  });

  const lines = fc.record({
    fleet: fc.array(
      fc.record({ sessions: fc.integer({ min: 0, max: 4 }), reachable: fc.boolean(), known: fc.boolean() }),
      { maxLength: 6 },
    ),
    preset: fc.constantFrom(...presetId.options),
    comingSeconds: fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 6 }),
    queued: fc.integer({ min: 0, max: 30 }),
  });

  test("never falls along the line, is never below a second, and unknown only where nothing is known", () => {
    fc.assert(
      fc.property(lines, ({ fleet, preset, comingSeconds, queued: count }) => {
        const shared = demand({ presetId: preset });
        const vms = fleet.map(({ sessions, reachable, known }) =>
          vm(sessions, { reachable, ...(!known && { endsPerHour: null }) }),
        );
        const line = [
          ...comingSeconds.toSorted((a, b) => a - b).map((seconds) => coming(shared, seconds)),
          ...Array.from({ length: count }, () => queued(shared)),
        ];
        const etas = etasInLine(line, vms);
        const known = etas.filter((eta) => eta !== null);
        expect(known).toEqual(known.toSorted((a, b) => a - b));
        expect(Math.min(...known, 1)).toBe(1);
        expect(
          etas
            .slice(comingSeconds.length)
            .every((eta) => (eta === null) === (secondsUntilSeat(1, vms, shared.preset) === null)),
        ).toBe(true);
      }),
    );
  });
});
