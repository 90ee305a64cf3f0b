// What every encoder promises (video-encoder.ts), held against each that opens on this machine. Those that do not are named.
import { describe, expect, it } from "vitest";
import { nalUnits } from "../webrtc/rtp.js";
import { encoderDrivers } from "./encoders.js";
import { reopenedAtNewBitrate } from "./reopened-encoder.js";
import { type EncoderDriver, EncoderError, encoderThreads, pictureBytes } from "./video-encoder.js";
import { x264 } from "./x264.js";

const mode = { width: 640, height: 360, fps: 60 };
const frameTicks = 1_500;

/** Grain that moves, so that frames cost bits. */
function drawGrain(picture: Buffer, frame: number): void {
  let grain = frame * 7_919 + 1;
  for (let i = 0; i < picture.length; i++) {
    grain = (grain * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    picture[i] = 100 + (grain >> 26);
  }
}

const open = (driver: EncoderDriver, picture: Buffer, bitrateKbps: number) =>
  driver.open({ mode, picture, bitrateKbps, threads: 2, encoding: { effort: "moderate", vbvFrames: 1 } });

async function opened(driver: EncoderDriver, bitrateKbps = 4_000) {
  const picture = Buffer.alloc(pictureBytes(mode), 128);
  const encoder = await open(driver, picture, bitrateKbps);
  let frame = 0;
  const next = (keyframe = false) => {
    drawGrain(picture, frame);
    return encoder.encode(frame++ * frameTicks, keyframe);
  };
  return { encoder, next };
}

/** Why it is not on this machine; null: it is. */
async function missing(driver: EncoderDriver): Promise<string | null> {
  try {
    await (await open(driver, Buffer.alloc(pictureBytes(mode)), 1_000)).close();
    return null;
  } catch (error) {
    if (!(error instanceof EncoderError)) throw error;
    return error.message;
  }
}

const candidates = [
  ...encoderDrivers.map((driver) => ({ name: driver.name, driver })),
  { name: "libx264, opened anew at each bitrate", driver: reopenedAtNewBitrate(x264) },
];
const found: ((typeof candidates)[number] & { why: string | null })[] = [];
// In turn: what FFmpeg says of one is not to be heard with the next.
for (const each of candidates) found.push({ ...each, why: await missing(each.driver) });
for (const { name, why } of found) if (why !== null) console.warn(`${name} was not tried: ${why}`);

const nalTypes = (bytes: Buffer) => nalUnits(bytes).map(({ start }) => bytes[start]! & 0x1f);

describe.each(found)("$name", ({ driver, why }) => {
  if (why !== null) {
    it("is not to be had on this machine, and says why in the same words each time it is asked", async () => {
      await expect(open(driver, Buffer.alloc(pictureBytes(mode)), 1_000)).rejects.toThrow(new EncoderError(why));
    });
    return;
  }

  it("makes the very next access unit an IDR with its parameter sets when asked, and no other", async () => {
    const { encoder, next } = await opened(driver);
    const keyframes: boolean[] = [];
    for (let i = 0; i < 12; i++) {
      const { bytes, keyframe } = await next(i === 7);
      keyframes.push(keyframe);
      expect(nalTypes(bytes).includes(5)).toBe(keyframe);
      if (keyframe) expect(nalTypes(bytes)).toEqual(expect.arrayContaining([7, 8]));
    }
    expect(keyframes.flatMap((keyframe, i) => (keyframe ? [i] : []))).toEqual([0, 7]);
    await encoder.close();
  });

  it("is constrained baseline", async () => {
    const { encoder, next } = await opened(driver);
    const { bytes } = await next();
    const sps = nalUnits(bytes).find(({ start }) => (bytes[start]! & 0x1f) === 7)!;
    const [profile, constraints] = [bytes[sps.start + 1], bytes[sps.start + 2]!];
    expect(profile).toBe(66);
    expect(constraints & 0x40).not.toBe(0);
    await encoder.close();
  });

  it("follows a new bitrate within 15 frames, with a keyframe only where it says so", async () => {
    const { encoder, next } = await opened(driver, 6_000);
    const keyframes: boolean[] = [];
    const kbps = async (frames: number) => {
      let bytes = 0;
      for (let i = 0; i < frames; i++) {
        const unit = await next();
        bytes += unit.bytes.length;
        keyframes.push(unit.keyframe);
      }
      return (bytes * 8 * mode.fps) / frames / 1000;
    };
    await kbps(20);
    expect(await kbps(20)).toBeGreaterThan(4_500);
    encoder.setBitrate(2_000);
    await kbps(15);
    expect(await kbps(20)).toBeLessThan(2_600);
    encoder.setBitrate(6_000);
    await kbps(15);
    expect(await kbps(20)).toBeGreaterThan(4_500);
    const expected = driver.newBitrateCosts === "nothing" ? [0] : [0, 40, 75];
    expect(keyframes.flatMap((keyframe, i) => (keyframe ? [i] : []))).toEqual(expected);
    await encoder.close();
  });

  it("encodes off the event loop: its promise settles in a later turn", async () => {
    const { encoder, next } = await opened(driver);
    let settled = false;
    const encoding = next().then(() => {
      settled = true;
    });
    for (let i = 0; i < 50; i++) await null;
    expect(settled).toBe(false);
    await encoding;
    await encoder.close();
  });

  it("closes with an encode in flight, and refuses to encode afterwards", async () => {
    const { encoder, next } = await opened(driver);
    const inFlight = next();
    await Promise.all([encoder.close(), encoder.close()]);
    expect((await inFlight).keyframe).toBe(true);
    await expect(next()).rejects.toThrow(EncoderError);
  });
});

it("uses all cores of a small machine and some of a large one", () => {
  expect([1, 2, 4, 8, 64].map(encoderThreads)).toEqual([1, 2, 2, 4, 4]);
});
