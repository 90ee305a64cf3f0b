// What a preset asks arrives at the encoder: preset → demand → seat, as it crosses the wire → each driver's settings; and
// this FFmpeg knows every option and value of theirs, also those of GPUs that this machine does not have.
import { setImmediate } from "node:timers/promises";
import { AV_LOG_ERROR, AV_OPT_SEARCH_CHILDREN, AV_OPT_TYPE_STRING } from "node-av/constants";
import { Codec, CodecContext, Dictionary, Log } from "node-av/lib";
import { afterAll, describe, expect, it } from "vitest";
import { type LibavDriver, rateControl } from "../../src/agent/encode/libav-encoder.js";
import { nvencDriver } from "../../src/agent/encode/nvenc.js";
import { RateStepping, rateSteps } from "../../src/agent/encode/rate-steps.js";
import { vaapiDriver } from "../../src/agent/encode/vaapi.js";
import { type EncoderOptions, pictureBytes } from "../../src/agent/encode/video-encoder.js";
import { bitrateKbpsFor } from "../../src/agent/encode/video-mode.js";
import { x264, x264Driver } from "../../src/agent/encode/x264.js";
import { bitrateKbpsLeast, type PresetId, presetId, type VideoMode } from "../../src/contracts/catalog.js";
import { placementRequest, type SeatSpec, seatSpec } from "../../src/contracts/orchestrator.js";
import { fallbackChains } from "../../src/orchestrator/catalog/regions.js";
import { demandOf, seatSpecOf } from "../../src/orchestrator/placement/demand.js";

const drivers = [nvencDriver, vaapiDriver(true), vaapiDriver(false), x264Driver];

function seatFor(preset: PresetId, cap?: VideoMode): SeatSpec {
  const demand = demandOf(placementRequest.parse({ gameId: "demo", presetId: preset, cap }), fallbackChains);
  const sent = JSON.stringify(seatSpecOf("s_1", demand, { cap, idleMs: 60_000 }));
  return seatSpec.parse(JSON.parse(sent));
}

function optionsFor(preset: PresetId, cap?: VideoMode): EncoderOptions {
  const seat = seatFor(preset, cap);
  return { mode: seat.mode, bitrateKbps: bitrateKbpsFor(seat.mode, seat), encoding: seat.encoding!, threads: 2 };
}

describe("the encoder of a session", () => {
  it.each([
    ["default-high", [2560, 1440, 120], 25_000, 312_500, ["p4", "qres", "4"]],
    ["default-standard", [1920, 1080, 60], 14_930, 248_833, ["p4", "qres", "4"]],
    ["default-competitive", [1920, 1080, 240], 20_000, 83_333, ["p1", "disabled", "7"]],
  ] as const)("of %s has the preset's size, rate, bits and effort", (preset, size, kbps, vbvBits, effort) => {
    const options = optionsFor(preset);
    expect(Object.values(options.mode)).toEqual(size);
    expect(options.bitrateKbps).toBe(kbps);
    const bits = BigInt(kbps * 1_000);
    expect(rateControl(kbps, options)).toEqual({ bitRate: bits, rcMaxRate: bits, rcBufferSize: vbvBits });
    const nvenc = nvencDriver.settings(options);
    expect([nvenc.preset, nvenc.multipass, vaapiDriver(true).settings(options).compression_level]).toEqual(effort);
    expect(nvenc).toMatchObject({ tune: "ull", rc: "cbr", zerolatency: "1", delay: "0", "forced-idr": "1" });
  });

  it("has what the page asked for where that is less", () => {
    const { mode, bitrateKbps } = optionsFor("default-high", { width: 1280, height: 720, fps: 60 });
    expect(mode).toEqual({ width: 1280, height: 720, fps: 60 });
    expect(bitrateKbps).toBe(6_636);
  });

  it("stays at 540p30 on 5 Mbit/s where the page asked for that", () => {
    const seat = seatFor("default-standard", { width: 960, height: 540, fps: 30 });
    const stepping = new RateStepping(rateSteps(seat.mode, bitrateKbpsLeast(seat.mode, seat)));
    for (let nowMs = 0; nowMs <= 10_000; nowMs += 100) stepping.update(5_000, nowMs);
    expect(stepping.mode).toEqual({ width: 960, height: 540, fps: 30 });
    expect(bitrateKbpsFor(seat.mode, seat)).toBeLessThan(5_000);
  });

  it.each(presetId.options)("really encodes at %s by x264", async (preset) => {
    const options = optionsFor(preset);
    const encoder = await x264.open({ ...options, picture: Buffer.alloc(pictureBytes(options.mode), 100) });
    expect((await encoder.encode(0, true)).keyframe).toBe(true);
    await encoder.close();
  });
});

describe("this FFmpeg", () => {
  const words: string[] = [];
  afterAll(() => Log.resetCallback());

  const open = async ({ name }: LibavDriver, settings: Record<string, string>) => {
    Log.setCallback((_level, message) => words.push(message), { maxLevel: AV_LOG_ERROR });
    const codec = Codec.findEncoderByName(name as Parameters<typeof Codec.findEncoderByName>[0])!;
    using context = new CodecContext();
    context.allocContext3(codec);
    const unknown = Object.keys(settings).filter(
      (option) => context.getOption(option, AV_OPT_TYPE_STRING, AV_OPT_SEARCH_CHILDREN) === null,
    );
    using dictionary = Dictionary.fromObject(settings);
    await context.open2(codec, dictionary); // Fails for want of a size or a GPU; options are read before.
    await setImmediate();
    return { unknown, refused: words.splice(0).filter((word) => word.includes("Unable to parse")) };
  };

  it.each(presetId.options)("knows every option and value that our drivers use for %s", async (preset) => {
    for (const driver of drivers)
      expect(await open(driver, { ...driver.settings(optionsFor(preset)) })).toEqual({ unknown: [], refused: [] });
  });

  it("would have said so otherwise", async () => {
    const { unknown, refused } = await open(nvencDriver, { preset: "p9", "no-such-option": "1" });
    expect(unknown).toEqual(["no-such-option"]);
    expect(refused).toHaveLength(1);
  });
});
