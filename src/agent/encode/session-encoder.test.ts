import { describe, expect, it } from "vitest";
import { nalUnits } from "../webrtc/rtp.js";
import { faultyDriver } from "./faulty-encoder.fixture.js";
import { type Replacement, SessionEncoder } from "./session-encoder.js";
import { type AccessUnit, type EncoderDriver, EncoderError, pictureBytes } from "./video-encoder.js";
import { x264 } from "./x264.js";

const mode = { width: 320, height: 180, fps: 60 };

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
