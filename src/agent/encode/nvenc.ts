// h264_nvenc: NVIDIA's encoder, a part of the GPU beside its 3D engine. It reads our I420 as it is.
//
// The settings are those NVIDIA recommends for cloud gaming (NVENC Video Encoder API Programming Guide, "Recommended NVENC
// Settings"): ultra-low-latency tuning, CBR with a buffer of about one frame, no B frames, no look-ahead, infinite GOP.
// Never run: no machine of ours has such a GPU. What was checked is that this FFmpeg knows every option and value, and
// what the probe says where the driver is missing.
import { FF_ENCODER_H264_NVENC } from "node-av/constants";
import { type LibavDriver, libavEncoder } from "./libav-encoder.js";

export const nvencDriver: LibavDriver = {
  name: FF_ENCODER_H264_NVENC,
  runsOn: "gpu",
  // libavcodec reconfigures it in place, but asks for a reset and an IDR with it (reconfig_encoder in nvenc.c).
  newBitrateCosts: "keyframe",
  settings: ({ encoding: { effort } }) => ({
    tune: "ull",
    ...(effort === "least"
      ? { preset: "p1", multipass: "disabled" }
      : // A first pass over a quarter of the pixels is what keeps frames to a buffer this small without a poor top half.
        { preset: "p4", multipass: "qres", "spatial-aq": "1" }),
    profile: "baseline",
    rc: "cbr",
    zerolatency: "1",
    delay: "0",
    surfaces: "1",
    "rc-lookahead": "0",
    "no-scenecut": "1",
    "forced-idr": "1",
  }),
  meaning: (words) =>
    /libcuda|libnvidia-encode/.test(words)
      ? "no NVIDIA driver"
      : /No capable devices|no CUDA-capable device|CUDA_ERROR_NO_DEVICE/.test(words)
        ? "no NVIDIA GPU that encodes H.264"
        : /out of memory|incompatible client key|OpenEncodeSessionEx failed/.test(words)
          ? "the NVIDIA GPU takes no more encoders"
          : null,
};

export const nvenc = libavEncoder(nvencDriver);
