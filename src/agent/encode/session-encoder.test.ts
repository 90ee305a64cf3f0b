import { afterEach, describe, expect, it, vi } from "vitest";
import { nalUnits } from "../webrtc/rtp.js";
import { faultyDriver } from "./faulty-encoder.fixture.js";
import { type Replacement, SessionEncoder } from "./session-encoder.js";
import { type AccessUnit, type EncoderDriver, EncoderError, pictureBytes } from "./video-encoder.js";
import { x264 } from "./x264.js";

const mode = { width: 320, height: 180, fps: 60 };

afterEach(() => void vi.useRealTimers());

async function opened(drivers: readonly EncoderDriver[]) {
  const replacements: Replacement[] = [];
  const picture = Buffer.alloc(pictureBytes(mode), 128);
  const wishes = { threads: 1, encoding: { effort: "moderate", vbvFrames: 1 } } as const;
  const encoder = await SessionEncoder.open(drivers, { ...wishes, mode, picture, bitrateKbps: 2_000 }, (replacement) =>
    replacements.push(replacement),
  );
  let pictures = 0;
  const next = () => encoder.encode(pictures++ * 1_500, false);
  return { encoder, next, replacements };
}

const hasIdr = ({ bytes }: AccessUnit) => nalUnits(bytes).some(({ start }) => (bytes[start]! & 0x1f) === 5);

describe("a session's encoder", () => {
  it.each(["throws", "hangs"] as const)(
    "that %s is replaced by the next, which encodes the same picture",
    async (how) => {
      const { encoder, next, replacements } = await opened([faultyDriver("broken", { at: 3, how }), x264]);
      const units: AccessUnit[] = [];
      for (let i = 0; i < 6; i++) units.push(await next());
      expect(units.map(hasIdr)).toEqual([true, false, false, true, false, false]);
      expect(replacements).toEqual([
        {
          failed: "broken",
          because: how === "hangs" ? "it made no picture for 1 s" : "the device was lost",
          by: x264,
        },
      ]);
      expect(encoder.driver).toBe(x264);
      await encoder.close();
    },
  );

  it("that hangs in opening is replaced after 5 s, and closed if it opens after all", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    let open = () => {};
    const opens = new Promise<void>((resolve) => {
      open = resolve;
    });
    const closed = vi.fn();
    const stuck: EncoderDriver = {
      ...x264,
      name: "stuck",
      open: async (options) => {
        await opens;
        const late = await x264.open(options);
        return { ...late, close: () => late.close().then(closed) };
      },
    };
    const opening = opened([stuck, x264]);
    await vi.advanceTimersByTimeAsync(5_000);
    const { encoder, next, replacements } = await opening;
    expect(replacements).toEqual([{ failed: "stuck", because: "it did not open within 5 s", by: x264 }]);
    expect(hasIdr(await next())).toBe(true);
    open();
    vi.useRealTimers();
    await vi.waitFor(() => expect(closed).toHaveBeenCalledOnce());
    await encoder.close();
  });

  it("that is the last has longer to open: after it there is no session", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const slow: EncoderDriver = {
      ...x264,
      open: async (options) => {
        await new Promise((resolve) => setTimeout(resolve, 9_000));
        return x264.open(options);
      },
    };
    const opening = opened([slow]);
    await vi.advanceTimersByTimeAsync(9_000);
    const { encoder, next } = await opening;
    expect(hasIdr(await next())).toBe(true);
    await encoder.close();
  });

  it("has the bitrate that came while it opened", async () => {
    const bitrates: number[] = [];
    const heard: number[] = [];
    let arrives = () => {};
    const driver: EncoderDriver = {
      ...x264,
      open: async (options) => {
        bitrates.push(options.bitrateKbps);
        arrives();
        const opened = await x264.open(options);
        return {
          setBitrate: (kbps) => {
            heard.push(kbps);
            opened.setBitrate(kbps);
          },
          encode: (timestamp, keyframe) => opened.encode(timestamp, keyframe),
          close: () => opened.close(),
        };
      },
    };
    const { encoder } = await opened([driver]);
    arrives = () => encoder.setBitrate(3_000);
    await encoder.change({ mode, picture: Buffer.alloc(pictureBytes(mode), 128) });
    expect({ bitrates, heard }).toEqual({ bitrates: [2_000, 2_000], heard: [3_000] });
    await encoder.close();
  });

  it("is the first that opens", async () => {
    const { encoder, next, replacements } = await opened([
      faultyDriver("absent", null),
      faultyDriver("gone", null),
      x264,
    ]);
    expect(hasIdr(await next())).toBe(true);
    expect(replacements.map(({ failed, because }) => [failed, because])).toEqual([
      ["absent", "no such device"],
      ["gone", "no such device"],
    ]);
    await encoder.close();
  });

  it("does not go back to one that failed, also for another size", async () => {
    const { encoder, next, replacements } = await opened([faultyDriver("broken", { at: 0, how: "throws" }), x264]);
    await next();
    const smaller = { width: 160, height: 90, fps: 30 };
    await encoder.change({ mode: smaller, picture: Buffer.alloc(pictureBytes(smaller), 128) });
    expect(hasIdr(await next())).toBe(true);
    expect(replacements).toHaveLength(1);
    await encoder.close();
  });

  it("throws when the last one fails, in opening or later", async () => {
    const { encoder, next } = await opened([
      faultyDriver("one", { at: 1, how: "throws" }),
      faultyDriver("two", { at: 1, how: "throws" }),
    ]);
    await next();
    await next();
    await expect(next()).rejects.toThrow(new EncoderError("the device was lost"));
    await encoder.close();
    await expect(opened([faultyDriver("absent", null)])).rejects.toThrow("no such device");
  });
});
