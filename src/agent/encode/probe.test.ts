import { describe, expect, it, vi } from "vitest";
import { encoderDrivers } from "./encoders.js";
import { faultyDriver } from "./faulty-encoder.fixture.js";
import { probe } from "./probe.js";
import { type EncoderDriver, pictureBytes } from "./video-encoder.js";
import { x264 } from "./x264.js";

/** x264 but for how it is opened. */
const changed = (name: string, open: EncoderDriver["open"]): EncoderDriver => ({ ...x264, name, open });

describe("the probe", () => {
  it("tries every encoder in the order of choice, takes the first that works, and reports a mode it has the pixels for", async () => {
    const found = await probe(encoderDrivers, 2);
    expect(found.encoders!.map(({ name }) => name)).toEqual(["h264_nvenc", "h264_vaapi", "libx264"]);
    expect(found.encoders!.at(-1)).toMatchObject({ works: true });
    const chosen = found.encoders!.find(({ works }) => works)!;
    expect(found).toMatchObject({ encoder: chosen.name, pixelsPerSecond: chosen.pixelsPerSecond });
    expect(found.pixelsPerSecond).toBeGreaterThan(10e6);
    expect(found.sustains.width * found.sustains.height * found.sustains.fps).toBeLessThan(found.pixelsPerSecond);
    for (const { works, detail, pixelsPerSecond } of found.encoders!) {
      expect(pixelsPerSecond === null).toBe(!works);
      expect(detail).toMatch(works ? /^encodes \d+ million pixels a second$/ : /^no |^this |^the /);
    }
  });

  it("takes no encoder that opens but is of no use, and says what is wrong with it", async () => {
    const blind = changed("blind", (options) =>
      x264.open({ ...options, picture: Buffer.alloc(pictureBytes(options.mode), 40) }),
    );
    const eager = changed("eager", async (options) => {
      const encoder = await x264.open(options);
      return {
        setBitrate: (kbps) => encoder.setBitrate(kbps),
        encode: (timestamp) => encoder.encode(timestamp, true),
        close: () => encoder.close(),
      };
    });
    const deaf = changed("deaf", async (options) => {
      const encoder = await x264.open(options);
      return {
        setBitrate: (kbps) => encoder.setBitrate(kbps),
        encode: (timestamp) => encoder.encode(timestamp, false),
        close: () => encoder.close(),
      };
    });
    const torn = changed("torn", async (options) => {
      const encoder = await x264.open(options);
      return {
        setBitrate: (kbps) => encoder.setBitrate(kbps),
        encode: async (timestamp, keyframe) => {
          const unit = await encoder.encode(timestamp, keyframe);
          return keyframe ? unit : { ...unit, bytes: unit.bytes.subarray(0, 5) };
        },
        close: () => encoder.close(),
      };
    });
    const lost = faultyDriver("lost", { at: 3, how: "throws" });
    const { encoder, encoders } = await probe([blind, eager, deaf, torn, lost, x264], 2);
    expect(encoder).toBe("libx264");
    expect(encoders!.map(({ works, detail }) => (works ? null : detail))).toEqual([
      expect.stringMatching(/^its pictures are not what they were made of: off by \d+ of 219$/),
      "it makes keyframes unasked",
      "it makes no keyframe when asked",
      expect.stringContaining("cannot be decoded"),
      "the device was lost",
      null,
    ]);
  });

  it("does not wait for one that hangs", async () => {
    const { encoders } = await probe([faultyDriver("stuck", { at: 2, how: "hangs" }), x264], 2);
    expect(encoders![0]).toMatchObject({ works: false, detail: "it did not encode within 5 s" });
  });

  it("waits for the last one also where the machine is busy: without it there is none", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const open = vi.fn(x264.open).mockImplementationOnce(async (options) => {
      await new Promise((resolve) => setTimeout(resolve, 20_000));
      return x264.open(options);
    });
    const probing = probe([faultyDriver("absent", null), changed("late", open)], 2);
    await vi.waitFor(() => expect(open).toHaveBeenCalled());
    await vi.advanceTimersByTimeAsync(20_000);
    vi.useRealTimers();
    expect(await probing).toMatchObject({ encoder: "late" });
  });

  it("throws when none works, naming each and why", async () => {
    await expect(probe([faultyDriver("one", null), faultyDriver("two", null)], 2)).rejects.toThrow(
      "no encoder works: one: no such device; two: no such device",
    );
  });
});
