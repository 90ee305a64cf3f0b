// For tests: x264 that goes wrong on cue, a real encoder until then.
import { setTimeout as sleep } from "node:timers/promises";
import { type EncoderDriver, EncoderError, type VideoEncoder } from "./video-encoder.js";
import { x264 } from "./x264.js";

export interface Fault {
  /** Which picture of an encoder it befalls, from 0; those before it are as x264 makes them. */
  readonly at: number;
  readonly how: "throws" | "hangs";
}

/** `fault` null: it never opens. */
export function faultyDriver(name: string, fault: Fault | null): EncoderDriver {
  return {
    ...x264,
    name,
    open: async (options) => {
      if (fault === null) throw new EncoderError("no such device");
      return breakingAt(await x264.open(options), fault);
    },
  };
}

function breakingAt(encoder: VideoEncoder, { at, how }: Fault): VideoEncoder {
  let pictures = 0;
  return {
    setBitrate: (kbps) => encoder.setBitrate(kbps),
    encode: async (timestamp, keyframe) => {
      if (pictures++ < at) return encoder.encode(timestamp, keyframe);
      if (how === "throws") throw new EncoderError("the device was lost");
      return new Promise(() => {});
    },
    close: () => encoder.close(),
  };
}

/** Takes so much longer for each picture while `slow` says so. */
export const slowDriver = (name: string, slow: () => number): EncoderDriver => ({
  ...x264,
  name,
  open: async (options) => {
    const encoder = await x264.open(options);
    return {
      setBitrate: (kbps) => encoder.setBitrate(kbps),
      encode: async (timestamp, keyframe) => {
        await sleep(slow());
        return encoder.encode(timestamp, keyframe);
      },
      close: () => encoder.close(),
    };
  },
});
