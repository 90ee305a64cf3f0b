// libx264: in software, on every machine. `ultrafast` whatever the preset wishes: the next slower one is not real time at
// 1080p60 on four slow cores (veryfast measured), and the CPU is the game's first.
import { FF_ENCODER_LIBX264 } from "node-av/constants";
import { type LibavDriver, libavEncoder } from "./libav-encoder.js";

/**
 * No finer: nobody sees it. A quiet scene that fills its bitrate with invisible detail costs three times the bytes and half
 * as much again of the encoder's time (the demo game at 720p60: 11.2 against 3.3 KB a frame, 5.8 against 4.0 ms).
 */
const quantiserMin = 18;

export const x264Driver: LibavDriver = {
  name: FF_ENCODER_LIBX264,
  runsOn: "cpu",
  newBitrateCosts: "nothing",
  settings: () => ({
    preset: "ultrafast",
    tune: "zerolatency",
    profile: "baseline",
    "forced-idr": "1",
    "x264-params": `sliced-threads=1:scenecut=0:qpmin=${quantiserMin}`,
  }),
};

export const x264 = libavEncoder(x264Driver);
