// The nouns of the catalogue: regions, GPU templates, streaming presets, games. Names are the seed's and never change.
import * as z from "zod";
import { text } from "./text.js";

export const regionId = z.enum([
  "us-east-1",
  "us-west-2",
  "eu-west-1",
  "eu-central-1",
  "ap-southeast-1",
  "ap-northeast-1",
]);
export type RegionId = z.infer<typeof regionId>;

export const templateId = z.enum(["L4-360", "L4-90", "A10", "A16", "RTX-4060", "RTX-4080"]);
export type TemplateId = z.infer<typeof templateId>;

export const presetId = z.enum(["default-high", "default-standard", "default-competitive"]);
export type PresetId = z.infer<typeof presetId>;

export const providerId = z.enum(["local", "simulated"]);
export type ProviderId = z.infer<typeof providerId>;

/** Picture size in pixels and rate in frames per second. Sizes are even: 4:2:0 chroma needs it. */
export const videoMode = z.object({
  width: z.int().min(160).max(7680).multipleOf(2),
  height: z.int().min(90).max(4320).multipleOf(2),
  fps: z.int().min(1).max(240),
});
export type VideoMode = z.infer<typeof videoMode>;

/** What a preset asks of a session: picture, bitrate bounds in kbit/s, and how many such sessions one VM may carry. */
export const preset = z.object({
  presetId,
  ...videoMode.shape,
  bitrateKbpsMin: z.int(),
  bitrateKbpsMax: z.int(),
  sessionsPerVm: z.int().min(1).max(6),
});
export type Preset = z.infer<typeof preset>;

/** What one session of a game needs of a VM. */
export const gameNeeds = z.object({ vcpus: z.number(), ramGb: z.number(), vramGb: z.number() });
export type GameNeeds = z.infer<typeof gameNeeds>;

export const gameId = z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, "a game id: small letters, digits and dashes");

/** How a game takes the mouse: by its motion (the page locks the pointer), or by where it points. */
export const pointerMode = z.enum(["relative", "absolute"]);
export type PointerMode = z.infer<typeof pointerMode>;

/** A game as players and integrators see it. */
export const gameSummary = z
  .object({
    gameId,
    title: z.string(),
    tagline: z.string().describe("One sentence for the games list"),
    controls: z.array(z.object({ input: z.enum(["keyboard", "mouse", "gamepad"]), text: z.string() })),
    presetId,
  })
  .meta({ id: "Game" });
export type GameSummary = z.infer<typeof gameSummary>;

/** What an agent found its machine to sustain: its encoder, and the largest mode one session may run at. */
export const capabilities = z.object({
  encoder: text(64, 1).describe("FFmpeg's name of the encoder, for example libx264 or h264_nvenc"),
  pixelsPerSecond: z.number().positive().describe("Luma pixels encoded per second, measured on this machine"),
  sustains: videoMode,
  sessionsMax: z.int().min(1).max(6).describe("Sessions of that mode the machine carries at once"),
});
export type Capabilities = z.infer<typeof capabilities>;
