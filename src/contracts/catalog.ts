// The nouns of the catalogue: regions, GPU templates, streaming presets, games. Names are the seed's and never change.
import * as z from "zod";
import { keyCodes } from "./input.js";
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

/** Pixels per second. */
export const pixelRate = ({ width, height, fps }: VideoMode): number => width * height * fps;

/** In kbit/s; below it there is no picture worth playing by. */
export const bitrateKbpsFloor = 1_000;

/** The least a mode is worth: the lower bound of what was asked, by pixels where the mode is below that. */
export const bitrateKbpsLeast = (mode: VideoMode, asked: { mode: VideoMode; bitrateKbpsMin: number }): number =>
  Math.max(bitrateKbpsFloor, Math.round(asked.bitrateKbpsMin * Math.min(1, pixelRate(mode) / pixelRate(asked.mode))));

/** How a session's pictures are encoded, in no encoder's own words: each driver has its own (agent/encode). */
export const encoding = z.object({
  effort: z
    .enum(["least", "moderate"])
    .describe("least: the shortest time a frame; moderate: a better picture by an encoder that has the time"),
  vbvFrames: z
    .number()
    .min(1)
    .max(6)
    .describe("Frames' worth of bits the rate control may save up: one keeps a keyframe's way as short as any frame's"),
});
export type Encoding = z.infer<typeof encoding>;

/** What a preset asks of a session: picture, bitrate bounds in kbit/s, and how many such sessions one VM may carry. */
export const preset = z.object({
  presetId,
  ...videoMode.shape,
  bitrateKbpsMin: z.int(),
  bitrateKbpsMax: z.int(),
  encoding,
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

/** The gamepad's controls that a game without gamepads can have as keys, by their names on the pad. */
export const padControls = [
  "up",
  "down",
  "left",
  "right",
  "a",
  "b",
  "x",
  "y",
  "lb",
  "rb",
  "lt",
  "rt",
  "back",
  "start",
] as const;
export type PadControl = (typeof padControls)[number];

const absolutePath = z.string().regex(/^\/[^\0]*$/, "an absolute path");
const homePath = z
  .string()
  .regex(/^(?!.*(?:^|\/)\.\.(?:\/|$))[^/\0][^\0]*$/, "a path inside the home: relative, without ..");

/**
 * A program that draws on an X11 display, and how the agent runs it. In `args` and `files`, `{width}` and `{height}` stand
 * for the picture's size.
 */
export const x11Program = z.strictObject({
  command: absolutePath.describe("The program's path on the VM"),
  install: z.string().max(200).optional().describe("What to do where it is missing, in words for the operator"),
  args: z.array(z.string().max(1_000)).max(100).default([]),
  folder: absolutePath
    .optional()
    .describe("Where the game is installed, if not under /usr: its working directory, seen read-only"),
  environment: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string().max(4_000)).default({}),
  files: z
    .record(homePath, z.string().max(64_000))
    .default({})
    .describe("What the player's home holds when the game starts, settings above all, by path"),
  network: z.boolean().default(false).describe("Whether it needs one; without, it sees none"),
  memoryMb: z.int().min(64).max(1_000_000).default(2_048).describe("A process of it gets no more"),
  processesMax: z.int().min(1).max(10_000).default(256).describe("Processes and threads together"),
  gamepad: z
    .partialRecord(z.enum(padControls), z.enum(keyCodes))
    .default({})
    .describe("Which keys a gamepad presses, by KeyboardEvent.code"),
  pads: z
    .int()
    .min(0)
    .max(4)
    .default(0)
    .describe("Gamepads the game reads itself, as devices of the machine; where it cannot make them, they press keys"),
});
export type X11Program = z.infer<typeof x11Program>;

export const gameProgram = z.object({ gameId, program: x11Program });
export type GameProgram = z.infer<typeof gameProgram>;

/** The pad that a touch screen shows for a game: what it presses, by KeyboardEvent.code. Without one, a finger is the pointer. */
export const touchPad = z.object({
  directions: z.boolean().describe("A cross that presses the arrow keys"),
  buttons: z
    .array(z.object({ label: text(8, 1), key: z.enum(keyCodes) }))
    .max(4)
    .describe("The first is the large one under the right thumb"),
});
export type TouchPad = z.infer<typeof touchPad>;

/** A game as players and integrators see it. */
export const gameSummary = z
  .object({
    gameId,
    title: z.string(),
    tagline: z.string().describe("One sentence for the games list"),
    controls: z.array(z.object({ input: z.enum(["keyboard", "mouse", "gamepad"]), text: z.string() })),
    presetId,
    touch: touchPad.nullable().describe("The pad that a touch screen shows; null: fingers point"),
    unavailable: z
      .string()
      .nullable()
      .describe("Why no machine that runs now can play it, in words; null: one can, or may"),
  })
  .meta({ id: "Game" });
export type GameSummary = z.infer<typeof gameSummary>;

/** What trying one encoder on a machine showed. */
export const encoderFinding = z.object({
  name: text(64, 1).describe("FFmpeg's name of it, for example libx264 or h264_nvenc"),
  works: z.boolean(),
  detail: text(500).describe("What was seen, in words"),
  pixelsPerSecond: z
    .number()
    .positive()
    .nullable()
    .describe("Luma pixels it encoded per second; null: it does not work"),
});
export type EncoderFinding = z.infer<typeof encoderFinding>;

/** What an agent found its machine to sustain: its encoder, and the largest mode one session may run at. */
export const capabilities = z.object({
  encoder: text(64, 1).describe("FFmpeg's name of the encoder sessions begin with: the first that works"),
  pixelsPerSecond: z.number().positive().describe("Luma pixels it encodes per second, measured on this machine"),
  sustains: videoMode,
  sessionsMax: z.int().min(1).max(6).describe("Sessions of that mode the machine carries at once"),
  encoders: z
    .array(encoderFinding)
    .max(8)
    .optional()
    .describe(
      "Every encoder that was tried, in the order of choice; a session whose encoder fails goes on with the next",
    ),
  missing: z.record(gameId, text(500)).optional().describe("Games of the catalogue it cannot run, and why, in words"),
});
export type Capabilities = z.infer<typeof capabilities>;
