// The seed's six GPU templates, and which of them carry a session.
//
// A VM of a template carries `min(template's, preset's) sessions` of one kind, so a session gets that share of
// everything the VM has; a template fits when the share does. "Cheapest" is the price of that share, not of the VM.
import type { GameNeeds, Preset, TemplateId } from "../../contracts/catalog.js";

export interface Template {
  readonly templateId: TemplateId;
  readonly vcpus: number;
  readonly ramGb: number;
  readonly vramGb: number;
  readonly sessions: number;
  /** Luma pixels per second its encoders sustain together, H.264 at a low-latency preset. */
  readonly encoderPixelsPerSecond: number;
  /** List price of a whole VM, to compare templates by. */
  readonly eurPerHour: number;
}

const megapixels = 1_000_000;

export const templates: Readonly<Record<TemplateId, Template>> = {
  "L4-360": {
    templateId: "L4-360",
    vcpus: 8,
    ramGb: 32,
    vramGb: 24,
    sessions: 4,
    encoderPixelsPerSecond: 1_200 * megapixels,
    eurPerHour: 0.95,
  },
  "L4-90": {
    templateId: "L4-90",
    vcpus: 4,
    ramGb: 16,
    vramGb: 12,
    sessions: 2,
    encoderPixelsPerSecond: 300 * megapixels,
    eurPerHour: 0.4,
  },
  A10: {
    templateId: "A10",
    vcpus: 12,
    ramGb: 48,
    vramGb: 24,
    sessions: 4,
    encoderPixelsPerSecond: 1_000 * megapixels,
    eurPerHour: 1.2,
  },
  A16: {
    templateId: "A16",
    vcpus: 16,
    ramGb: 64,
    vramGb: 64,
    sessions: 6,
    encoderPixelsPerSecond: 2_400 * megapixels,
    eurPerHour: 2.4,
  },
  "RTX-4060": {
    templateId: "RTX-4060",
    vcpus: 6,
    ramGb: 16,
    vramGb: 8,
    sessions: 2,
    encoderPixelsPerSecond: 900 * megapixels,
    eurPerHour: 0.45,
  },
  "RTX-4080": {
    templateId: "RTX-4080",
    vcpus: 12,
    ramGb: 32,
    vramGb: 16,
    sessions: 4,
    encoderPixelsPerSecond: 2_000 * megapixels,
    eurPerHour: 0.75,
  },
};

export const sessionsPerVm = (template: Template, preset: Preset): number =>
  Math.min(template.sessions, preset.sessionsPerVm);

export function templateFits(template: Template, needs: GameNeeds, preset: Preset): boolean {
  const sessions = sessionsPerVm(template, preset);
  return (
    template.vcpus / sessions >= needs.vcpus &&
    template.ramGb / sessions >= needs.ramGb &&
    template.vramGb / sessions >= needs.vramGb &&
    template.encoderPixelsPerSecond / sessions >= preset.width * preset.height * preset.fps
  );
}

/** Every template that carries the session, the cheapest share first. */
export function templatesThatFit(needs: GameNeeds, preset: Preset): TemplateId[] {
  const share = (template: Template) => template.eurPerHour / sessionsPerVm(template, preset);
  return Object.values(templates)
    .filter((template) => templateFits(template, needs, preset))
    .sort((a, b) => share(a) - share(b) || (a.templateId < b.templateId ? -1 : 1))
    .map(({ templateId }) => templateId);
}
