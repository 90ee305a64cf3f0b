// libx264: in software, on every machine. `ultrafast` whatever the preset wishes: the next slower one is not real time at
// 1080p60 on four slow cores (veryfast measured), and the CPU is the game's first.
import { FF_ENCODER_LIBX264 } from "node-av/constants";
import { type LibavDriver, libavEncoder } from "./libav-encoder.js";

export const x264Driver: LibavDriver = {
  name: FF_ENCODER_LIBX264,
  runsOn: "cpu",
  newBitrateCosts: "nothing",
  settings: () => ({
    preset: "ultrafast",
    tune: "zerolatency",
    profile: "baseline",
    "forced-idr": "1",
    "x264-params": "sliced-threads=1:scenecut=0",
  }),
};

export const x264 = libavEncoder(x264Driver);
