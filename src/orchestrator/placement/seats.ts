// How sessions share a VM.
//
// A VM is 60 units, the least common multiple of 1–6. A session takes 60 / n, where n is how many of its kind the VM
// carries: the least of template, preset and what the VM's agent found the machine to sustain. So n of a kind fill a VM
// exactly, mixes are exact, and a competitive session (n = 1) takes the VM whole.
import type { Preset, TemplateId } from "../../contracts/catalog.js";
import { sessionsPerVm, templates } from "../catalog/templates.js";

export const unitsPerVm = 60;

export interface SeatHolder {
  readonly templateId: TemplateId;
  /** What its agent measured; null before it did. */
  readonly sessionsMax: number | null;
}

/** Units one session of the preset takes on this VM: a whole number that divides 60. */
export function unitsFor(vm: SeatHolder, preset: Preset): number {
  const sessions = sessionsPerVm(templates[vm.templateId], preset);
  return unitsPerVm / Math.min(sessions, vm.sessionsMax ?? sessions);
}

/** How many more sessions of the preset fit. */
export const freeSeats = (vm: SeatHolder & { readonly usedUnits: number }, preset: Preset): number =>
  Math.floor((unitsPerVm - vm.usedUnits) / unitsFor(vm, preset));
