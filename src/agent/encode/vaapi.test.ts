import { expect, test, vi } from "vitest";
import { faultyDriver } from "./faulty-encoder.fixture.js";
import { firstToOpen } from "./vaapi.js";
import { pictureBytes } from "./video-encoder.js";
import { x264 } from "./x264.js";

const mode = { width: 320, height: 180, fps: 60 };
const options = {
  mode,
  picture: Buffer.alloc(pictureBytes(mode), 128),
  bitrateKbps: 2_000,
  threads: 1,
  encoding: { effort: "moderate", vbvFrames: 1 },
} as const;

test("which of the two entry points a GPU has is found once, not again at each new bitrate", async () => {
  const lowPower = faultyDriver("low-power", null);
  const opens = { lowPower: vi.spyOn(lowPower, "open"), general: vi.fn(x264.open) };
  const encoder = await firstToOpen(lowPower, { ...x264, open: opens.general }).open(options);
  await encoder.encode(0, true);
  encoder.setBitrate(3_000);
  expect((await encoder.encode(1_500, false)).keyframe).toBe(true);
  expect(opens.lowPower).toHaveBeenCalledTimes(1);
  expect(opens.general.mock.calls.map(([{ bitrateKbps }]) => bitrateKbps)).toEqual([2_000, 3_000]);
  await encoder.close();
});

test("what is no encoder's failure is not taken for one", async () => {
  const broken = { ...x264, open: () => Promise.reject(new TypeError("a mistake of ours")) };
  await expect(firstToOpen(broken, x264).open(options)).rejects.toThrow(TypeError);
});
