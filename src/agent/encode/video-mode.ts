// What picture a session runs at, decided without looking at the machine: the probe's measurement comes as an argument.
//
// A mode is sustained when the encoder, with the whole machine, would do `headroom` times its pixels: on the CPU it has a
// third, and the game, the network, the other threads, and on one's own machine the browser, have the rest. Measured on
// two cores shared with Chromium, whose x264 does 205–280 Mpx/s by its threads' time (probe.ts): a session of 720p60
// (55 Mpx/s) skips 2 % of its frames. Where it is too much after all, the session steps down by itself (rate-steps.ts).
//
// A GPU's encoder is shared with other sessions only, which are counted; what is left over is for uploads that take their
// time. Half as much again is a judgement: no machine of ours has one.
import { bitrateKbpsFloor, pixelRate, type VideoMode } from "../../contracts/catalog.js";
import type { EncoderDriver } from "./video-encoder.js";

export const headroom = { cpu: 3, gpu: 1.5 } as const satisfies Record<EncoderDriver["runsOn"], number>;

/** Largest first, by pixels per second. The last one is taken even when nothing fits: a session runs at something. */
export const modeLadder: readonly VideoMode[] = [
  { width: 1920, height: 1080, fps: 240 },
  { width: 2560, height: 1440, fps: 120 },
  { width: 1920, height: 1080, fps: 120 },
  { width: 2560, height: 1440, fps: 60 },
  { width: 1920, height: 1080, fps: 60 },
  { width: 1280, height: 720, fps: 60 },
  { width: 1280, height: 720, fps: 30 },
  { width: 960, height: 540, fps: 30 },
  { width: 640, height: 360, fps: 30 },
];

export interface Sustained {
  readonly sustains: VideoMode;
  readonly sessionsMax: number;
}

/**
 * The largest mode one session may run at, and how many such sessions at once. `pixelsPerSecond` is one encoder's,
 * `encodersAtOnce` how many of them run side by side:
 * on the CPU as the cores allow, on the GPU they take turns.
 */
export function sustainedMode(
  pixelsPerSecond: number,
  { encodersAtOnce, runsOn }: { encodersAtOnce: number; runsOn: EncoderDriver["runsOn"] },
): Sustained {
  const fits = (mode: VideoMode) => pixelRate(mode) * headroom[runsOn] <= pixelsPerSecond;
  const sustains = modeLadder.find(fits) ?? modeLadder.at(-1)!;
  const sessions = Math.floor((pixelsPerSecond * encodersAtOnce) / (pixelRate(sustains) * headroom[runsOn]));
  return { sustains, sessionsMax: Math.max(1, Math.min(6, sessions)) };
}

export interface ChosenMode {
  readonly mode: VideoMode;
  /** Why `mode` is below what was asked, in words for the player; null: it is what was asked. */
  readonly why: string | null;
}

const widthMin = 160;
const heightMin = 90;

/**
 * The mode nearest to what was asked that the machine sustains: the rate gives way first, down to the rate the machine
 * sustains, then the size, with its proportions kept and both sides even.
 */
export function modeFor(asked: VideoMode, sustains: VideoMode): ChosenMode {
  const pixelsPerSecond = pixelRate(sustains);
  if (pixelRate(asked) <= pixelsPerSecond) return { mode: asked, why: null };
  const fps = Math.min(asked.fps, sustains.fps);
  const scale = Math.min(1, Math.sqrt(pixelsPerSecond / (asked.width * asked.height * fps)));
  const even = (size: number, sizeMin: number) => Math.max(sizeMin, 2 * Math.floor((size * scale + 1e-6) / 2));
  const mode = { width: even(asked.width, widthMin), height: even(asked.height, heightMin), fps };
  return {
    mode,
    why: `this machine's encoder sustains ${inWords(sustains)}`,
  };
}

const inWords = ({ width, height, fps }: VideoMode) => `${width}×${height} at ${fps} frames per second`;

const bitsPerPixel = 0.12;

/**
 * The bitrate to stream a mode at: 0.12 bit per pixel (720p60: 6.6 Mbit/s), within the seat's bounds, whose lower one
 * counts only at the mode it was made for.
 */
export function bitrateKbpsFor(
  mode: VideoMode,
  asked: { mode: VideoMode; bitrateKbpsMin: number; bitrateKbpsMax: number },
): number {
  const wanted = Math.round((pixelRate(mode) * bitsPerPixel) / 1_000);
  const lowest = pixelRate(mode) < pixelRate(asked.mode) ? bitrateKbpsFloor : asked.bitrateKbpsMin;
  return Math.min(asked.bitrateKbpsMax, Math.max(lowest, wanted));
}
