// The seed's three streaming presets, what a game changes about them, and what a request's cap leaves of them.
//
// Their encoding is ours: at 120 frames a second one and a half frames' worth of bits are 12.5 ms of the path, less than one
// frame's at 60, and a keyframe of 1440p is the better for it; competitive has 4.2 ms for a frame, and time goes first.
import type { Preset, PresetId, VideoMode } from "../../contracts/catalog.js";
import type { Game } from "./games.js";

export const presets: Readonly<Record<PresetId, Preset>> = {
  "default-high": {
    presetId: "default-high",
    width: 2560,
    height: 1440,
    fps: 120,
    bitrateKbpsMin: 15_000,
    bitrateKbpsMax: 25_000,
    encoding: { effort: "moderate", vbvFrames: 1.5 },
    sessionsPerVm: 2,
  },
  "default-standard": {
    presetId: "default-standard",
    width: 1920,
    height: 1080,
    fps: 60,
    bitrateKbpsMin: 8_000,
    bitrateKbpsMax: 15_000,
    encoding: { effort: "moderate", vbvFrames: 1 },
    sessionsPerVm: 4,
  },
  "default-competitive": {
    presetId: "default-competitive",
    width: 1920,
    height: 1080,
    fps: 240,
    bitrateKbpsMin: 10_000,
    bitrateKbpsMax: 20_000,
    encoding: { effort: "least", vbvFrames: 1 },
    sessionsPerVm: 1,
  },
};

/** The preset as this game streams at it: the game's overrides go before the defaults. */
export function effectivePreset(game: Game, presetId: PresetId = game.presetId): Preset {
  return { ...presets[presetId], ...game.presetOverrides?.[presetId] };
}

/** The largest mode of the preset's shape inside the cap. Sizes stay even: 4:2:0 chroma needs it. */
export function cappedMode({ width, height, fps }: Preset, cap: VideoMode | undefined): VideoMode {
  if (cap === undefined) return { width, height, fps };
  const scale = Math.min(1, cap.width / width, cap.height / height);
  const even = (size: number, least: number) => Math.max(least, Math.floor((size * scale + 1e-6) / 2) * 2);
  return { width: even(width, 160), height: even(height, 90), fps: Math.min(fps, cap.fps) };
}
