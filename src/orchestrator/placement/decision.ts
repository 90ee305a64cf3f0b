// Why a session got its VM: kept in at most 500 bytes, and told in words a person understands.
//
// A decision is what was known when it was made: how many VMs were passed over for which reason, and the five that
// would have been next. Kept short, it can be written in the seat's own commit (ADR 10); the words are made when
// somebody asks.
import * as z from "zod";
import { regionId, templateId } from "../../contracts/catalog.js";
import type { PlacementExplanation } from "../../contracts/orchestrator.js";
import type { Demand } from "./demand.js";
import type { Chosen, Fitting, KnownVm, Tally } from "./fleet-index.js";
import type { Rejection } from "./place.js";
import { unitsFor, unitsPerVm } from "./seats.js";

/** `free`: a free seat at once; `queue`: a seat that came while it waited; `named`: the caller named the VM. */
const how = z.enum(["free", "queue", "named"]);

const runnerUp = z.tuple([z.string(), regionId, z.int(), z.union([z.literal(0), z.literal(1)])]);

/** Short names: it is stored for every seat. */
const stored = z.object({
  by: how,
  at: z.tuple([regionId, templateId]).describe("The VM's place"),
  first: regionId.describe("The region asked for first"),
  used: z.int().describe("Units in use before"),
  took: z.int().describe("Units the session takes"),
  own: z.union([z.literal(0), z.literal(1)]).describe("Whether it was of the deciding replica's own share"),
  fit: z.int().describe("VMs that would have done, this one included"),
  not: z.record(z.string(), z.int()).describe("VMs passed over, by reason"),
  next: z.array(runnerUp).describe("Runners-up: VM, region, units in use, own"),
});
export type Decision = z.infer<typeof stored>;

export const decisionBytesMax = 500;

export const decisionOf = (
  by: Decision["by"],
  chosen: Chosen,
  { fitting, rejected }: Tally,
  first: Decision["first"],
): Decision => ({
  by,
  at: [chosen.vm.region, chosen.vm.templateId],
  first,
  used: chosen.usedUnits,
  took: chosen.units,
  own: flag(chosen.own),
  fit: fitting,
  not: rejected,
  next: chosen.runnersUp.map(({ vm, usedUnits, own }: Fitting) => [vm.vmId, vm.region, usedUnits, flag(own)]),
});

/** For a VM the caller named: nothing was weighed. */
export const namedDecision = (
  vm: Pick<KnownVm, "region" | "templateId" | "sessionsMax" | "usedUnits">,
  { preset, regions }: Demand,
): Decision => ({
  by: "named",
  at: [vm.region, vm.templateId],
  first: regions[0]!,
  used: vm.usedUnits,
  took: unitsFor(vm, preset),
  own: 1,
  fit: 1,
  not: {},
  next: [],
});

const flag = (yes: boolean): 0 | 1 => (yes ? 1 : 0);

/** As JSON of at most 500 bytes: with very long VM ids there are fewer runners-up. */
export function encodeDecision(decision: Decision): string {
  for (let count = decision.next.length; ; count--) {
    const text = JSON.stringify({ ...decision, next: decision.next.slice(0, count) });
    if (Buffer.byteLength(text) <= decisionBytesMax || count === 0) return text;
  }
}

export const decodeDecision = (text: string): Decision => stored.parse(JSON.parse(text));

export function explain(vmId: string, decision: Decision): Omit<PlacementExplanation, "sessionId" | "decidedAt"> {
  const { by, at, not, next, fit } = decision;
  const [region, templateId] = at;
  const reasons = Object.entries(not).map(([reason, vms]) => ({
    reason,
    vms,
    text: whyNot(reason, vms, decision.took),
  }));
  return {
    vm: { vmId, region, templateId },
    how: by,
    text: [whyThis(vmId, decision), ...(fit > 1 ? [`${many(fit - 1)} would have done as well.`] : [])].join(" "),
    reasons: reasons.sort((a, b) => b.vms - a.vms),
    runnersUp: next.map(([id, where, usedUnits, own]) => ({
      vmId: id,
      region: where,
      usedUnits,
      text: whyNext(decision, where, usedUnits, own),
    })),
  };
}

/** For a session that has no VM: what stands in its way. */
export const explainNone = (
  why: string,
  rejected: Readonly<Record<string, number>>,
): Omit<PlacementExplanation, "sessionId" | "decidedAt"> => ({
  vm: null,
  how: null,
  text: why,
  reasons: Object.entries(rejected)
    .map(([reason, vms]) => ({ reason, vms, text: whyNot(reason, vms, null) }))
    .sort((a, b) => b.vms - a.vms),
  runnersUp: [],
});

function whyThis(vmId: string, { by, at: [region, templateId], first, used, took, own, next }: Decision): string {
  const vm = `VM ${vmId} (${templateId} in ${region})`;
  const units = `${used} of ${unitsPerVm} units were in use, and it takes ${took}.`;
  if (by === "named") return `The caller named ${vm}: ${units}`;
  const chosen = by === "queue" ? `It waited until ${vm} had room` : `It got ${vm}`;
  const where =
    region === first
      ? `in ${region}, the region it wanted first`
      : `in ${region}, the nearest of its regions with room: ${first} had none`;
  const share = own === 0 && next.length > 0 ? " No VM of this replica's own share had room there." : "";
  return `${chosen}, the fullest VM that could take it ${where}. ${units}${share}`;
}

const whys: Record<Rejection, (vms: number, took: number | null) => string> = {
  "too-far": (vms) => `${many(vms)} ${are(vms)} in regions farther from the player than the session allows.`,
  "not-ready": (vms) => `${many(vms)} did not take sessions: still starting, draining or broken.`,
  unreachable: (vms) => `The agent of ${many(vms)} had not been heard of for too long.`,
  simulated: (vms) => `${many(vms)} ${are(vms)} simulated, and nothing streams from there to a browser.`,
  "template-too-small": (vms) => `${many(vms)} ${are(vms)} of a template too small for this game at this preset.`,
  full: (vms, took) => `${many(vms)} had no room${took === null ? "" : ` for the ${took} units it takes`}.`,
};

const whyNot = (reason: string, vms: number, took: number | null): string =>
  reason in whys ? whys[reason as Rejection](vms, took) : `${many(vms)}: ${reason}.`;

function whyNext({ at, used, own }: Decision, region: string, usedUnits: number, ownNext: 0 | 1): string {
  if (region !== at[0]) return `Farther away: it is in ${region}.`;
  if (ownNext < own) return "Left to another replica of the orchestrator, which prefers it.";
  if (usedUnits < used) return `Less full: ${usedUnits} units in use, and the fuller one is filled first.`;
  return "Just as good: the choice among equals is by chance.";
}

const many = (vms: number) => (vms === 1 ? "1 VM" : `${vms.toLocaleString("en")} VMs`);
const are = (vms: number) => (vms === 1 ? "is" : "are");
