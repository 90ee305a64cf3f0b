import fc from "fast-check";
import { expect, test } from "vitest";
import { presetId, templateId } from "../../contracts/catalog.js";
import { presets } from "../catalog/presets.js";
import { templates } from "../catalog/templates.js";
import { freeSeats, unitsFor, unitsPerVm } from "./seats.js";

const anyVm = fc.record({
  templateId: fc.constantFrom(...templateId.options),
  sessionsMax: fc.option(fc.integer({ min: 1, max: 6 })),
});
const anyPreset = fc
  .constantFrom(...presetId.options)
  .chain((id) => fc.integer({ min: 1, max: 6 }).map((sessionsPerVm) => ({ ...presets[id], sessionsPerVm })));

test("as many sessions of one kind fit as template, preset and machine all allow, and fill the VM exactly", () => {
  fc.assert(
    fc.property(anyVm, anyPreset, (vm, preset) => {
      const fit = Math.min(templates[vm.templateId].sessions, preset.sessionsPerVm, vm.sessionsMax ?? 6);
      expect(freeSeats({ ...vm, usedUnits: 0 }, preset)).toBe(fit);
      expect(fit * unitsFor(vm, preset)).toBe(unitsPerVm);
    }),
  );
});

test("however kinds mix, a VM never gives more than it has, and a free seat always really fits", () => {
  fc.assert(
    fc.property(anyVm, fc.array(anyPreset, { maxLength: 30 }), (vm, kinds) => {
      let usedUnits = 0;
      for (const kind of kinds) if (freeSeats({ ...vm, usedUnits }, kind) > 0) usedUnits += unitsFor(vm, kind);
      expect(usedUnits).toBeLessThanOrEqual(unitsPerVm);
      expect(Number.isInteger(usedUnits)).toBe(true);
    }),
  );
});

test("a competitive session takes the VM whole, on every template", () => {
  for (const id of templateId.options)
    expect(unitsFor({ templateId: id, sessionsMax: null }, presets["default-competitive"])).toBe(unitsPerVm);
});

test("two standard sessions leave a four-seat VM room for one high, and none for competitive", () => {
  const vm = { templateId: "L4-360", sessionsMax: null } as const;
  const usedUnits = 2 * unitsFor(vm, presets["default-standard"]);
  expect(freeSeats({ ...vm, usedUnits }, presets["default-high"])).toBe(1);
  expect(freeSeats({ ...vm, usedUnits }, presets["default-competitive"])).toBe(0);
});
