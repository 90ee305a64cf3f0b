import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { presetId, preset as presetSchema, regionId, templateId } from "../../contracts/catalog.js";
import { findGame, type Game, games, whyUnavailable } from "./games.js";
import { cappedMode, effectivePreset, presets } from "./presets.js";
import { fallbackChains, regionIds, regionRttMs } from "./regions.js";
import { sessionsPerVm, templateFits, templates, templatesThatFit } from "./templates.js";

const demo = findGame("demo") as Game;

describe("templates", () => {
  test("are the seed's six, with its sizes", () => {
    const sizes = Object.values(templates).map((t) => [t.templateId, t.vcpus, t.ramGb, t.vramGb, t.sessions]);
    expect(sizes).toEqual([
      ["L4-360", 8, 32, 24, 4],
      ["L4-90", 4, 16, 12, 2],
      ["A10", 12, 48, 24, 4],
      ["A16", 16, 64, 64, 6],
      ["RTX-4060", 6, 16, 8, 2],
      ["RTX-4080", 12, 32, 16, 4],
    ]);
    expect(Object.keys(templates)).toEqual(templateId.options);
  });

  test("those that fit are all found, the one that costs least a seat first", () => {
    const needs = fc.record({
      vcpus: fc.integer({ min: 1, max: 20 }),
      ramGb: fc.integer({ min: 1, max: 70 }),
      vramGb: fc.integer({ min: 0, max: 70 }),
    });
    fc.assert(
      fc.property(needs, fc.constantFrom(...presetId.options), (need, id) => {
        const preset = presets[id];
        const share = (t: (typeof templates)[keyof typeof templates]) => t.eurPerHour / sessionsPerVm(t, preset);
        const fitting = Object.values(templates).filter((t) => templateFits(t, need, preset));
        const found = templatesThatFit(need, preset);
        expect(found.toSorted()).toEqual(fitting.map((t) => t.templateId).toSorted());
        const shares = found.map((id) => share(templates[id]));
        expect(shares).toEqual(shares.toSorted((a, b) => a - b));
      }),
    );
  });

  test("a game that needs much video memory gets the A16; one that needs more than any has none", () => {
    const preset = presets["default-competitive"];
    expect(templatesThatFit({ vcpus: 4, ramGb: 8, vramGb: 40 }, preset)).toEqual(["A16"]);
    expect(templatesThatFit({ vcpus: 4, ramGb: 8, vramGb: 100 }, preset)).toEqual([]);
  });

  test("one whose encoder is too slow for the preset is left out", () => {
    expect(templatesThatFit(demo.needs, presets["default-competitive"])).not.toContain("L4-90");
    expect(templatesThatFit(demo.needs, presets["default-standard"])).toContain("L4-90");
  });
});

describe("presets", () => {
  test("are the seed's three", () => {
    const rows = Object.values(presets).map((p) => {
      return [p.presetId, p.height, p.fps, p.bitrateKbpsMin, p.bitrateKbpsMax, p.sessionsPerVm];
    });
    expect(rows).toEqual([
      ["default-high", 1440, 120, 15_000, 25_000, 2],
      ["default-standard", 1080, 60, 8_000, 15_000, 4],
      ["default-competitive", 1080, 240, 10_000, 20_000, 1],
    ]);
    for (const preset of Object.values(presets)) expect(presetSchema.parse(preset)).toEqual(preset);
  });

  test("a game's overrides go before the defaults, for that preset alone", () => {
    const game: Game = { ...demo, presetOverrides: { "default-high": { fps: 60, sessionsPerVm: 6 } } };
    expect(effectivePreset(game, "default-high")).toEqual({ ...presets["default-high"], fps: 60, sessionsPerVm: 6 });
    expect(effectivePreset(game)).toEqual(presets["default-standard"]);
  });

  test("the A16's six seats are reached by a game's override alone", () => {
    const six = effectivePreset({ ...demo, presetOverrides: { "default-standard": { sessionsPerVm: 6 } } });
    expect(sessionsPerVm(templates.A16, six)).toBe(6);
    for (const preset of Object.values(presets)) expect(sessionsPerVm(templates.A16, preset)).toBeLessThan(6);
  });

  test("a cap bounds the picture, keeps its shape and even sizes", () => {
    const even = (min: number, max: number) => fc.integer({ min: min / 2, max: max / 2 }).map((n) => n * 2);
    const caps = fc.record({ width: even(160, 7680), height: even(90, 4320), fps: fc.integer({ min: 1, max: 240 }) });
    fc.assert(
      fc.property(fc.constantFrom(...presetId.options), caps, (id, cap) => {
        const preset = presets[id];
        const mode = cappedMode(preset, cap);
        expect(mode.width % 2).toBe(0);
        expect(mode.height % 2).toBe(0);
        expect(mode.width).toBeLessThanOrEqual(Math.min(cap.width, preset.width));
        expect(mode.height).toBeLessThanOrEqual(Math.min(cap.height, preset.height));
        expect(mode.fps).toBe(Math.min(cap.fps, preset.fps));
        expect(Math.abs(mode.width / mode.height - preset.width / preset.height)).toBeLessThan(0.05);
      }),
    );
    expect(cappedMode(presets["default-high"], { width: 1280, height: 720, fps: 60 })).toEqual({
      width: 1280,
      height: 720,
      fps: 60,
    });
  });
});

describe("regions", () => {
  test("are six, and each falls back to all others once", () => {
    expect(regionIds).toEqual(regionId.options);
    for (const region of regionIds) expect([region, ...fallbackChains[region]].sort()).toEqual([...regionIds].sort());
  });

  test("distances are known between all pairs, alike in both directions", () => {
    for (const a of regionIds)
      for (const b of regionIds) {
        expect(regionRttMs(a, b)).toBeGreaterThan(0);
        expect(regionRttMs(a, b)).toBe(regionRttMs(b, a));
      }
  });
});

describe("games", () => {
  const machine = (missing?: Record<string, string>) => ({
    capabilities: {
      encoder: "libx264",
      pixelsPerSecond: 1,
      sustains: { width: 1280, height: 720, fps: 60 },
      sessionsMax: 1,
      missing,
    },
  });

  test("say why no machine can run them, once a machine was asked, and not while any can", () => {
    const lacking = machine({ neverball: "it is not installed" });
    expect(whyUnavailable("neverball", [{ capabilities: null }, lacking])).toBe("it is not installed");
    expect(whyUnavailable("neverball", [lacking, machine({})])).toBeNull();
    expect(whyUnavailable("neverball", [lacking, machine()])).toBeNull();
    expect(whyUnavailable("neverball", [{ capabilities: null }])).toBeNull();
    expect(whyUnavailable("demo", [lacking])).toBeNull();
  });

  test("have ids of their own, needs some template carries, and where they are programs, a word on what to install", () => {
    expect(new Set(games.map(({ gameId }) => gameId)).size).toBe(games.length);
    for (const { needs, presetId, program } of games) {
      expect(templatesThatFit(needs, presets[presetId])).not.toEqual([]);
      if (program) expect(program.install).toMatch(/apt-get install/);
    }
  });
});
