// h264_vaapi: the encoders of Intel's and AMD's GPUs on Linux. Pictures are converted to NV12 and copied into the GPU's
// memory, both on libuv's threads.
//
// `low_power` is Intel's fixed-function encoder, faster and without a load on the 3D engine where a GPU has it; AMD's
// drivers offer the other entry point only. The first of the two that opens is taken, for a session's whole encoder.
// Never run: no machine of ours has such a GPU. What was checked is that this FFmpeg knows every option and value, and
// what the probe says where there is no device.
import { existsSync, readdirSync } from "node:fs";
import {
  AV_HWDEVICE_TYPE_VAAPI,
  AV_PIX_FMT_NV12,
  AV_PIX_FMT_VAAPI,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  FF_ENCODER_H264_VAAPI,
} from "node-av/constants";
import {
  type CodecContext,
  FFmpegError,
  Frame,
  HardwareDeviceContext,
  HardwareFramesContext,
  SoftwareScaleContext,
} from "node-av/lib";
import { type LibavDriver, libavEncoder, type PictureUpload } from "./libav-encoder.js";
import { reopenedAtNewBitrate } from "./reopened-encoder.js";
import { type EncoderDriver, EncoderError, type EncoderOptions } from "./video-encoder.js";

const devices = "/dev/dri";
/** Surfaces: one that is encoded, its reference, and one to spare for a driver that frees late. */
const surfaces = 4;

export const vaapiDriver = (lowPower: boolean): LibavDriver => ({
  name: FF_ENCODER_H264_VAAPI,
  runsOn: "gpu",
  // vaapi_encode reads the rate when it opens: a new one is another encoder, which begins with an IDR.
  newBitrateCosts: "keyframe",
  settings: ({ encoding: { effort } }) => ({
    profile: "constrained_baseline",
    rc_mode: "CBR",
    async_depth: "1",
    low_power: lowPower ? "1" : "0",
    compression_level: effort === "least" ? "7" : "4",
    idr_interval: "0",
    sei: "0",
  }),
  upload: (context, picture, options) => new VaapiUpload(context, picture, options),
  meaning: (words) =>
    /No VA display|Failed to initialise VAAPI|vaInitialize/.test(words)
      ? "no VAAPI driver for this GPU"
      : /No usable encoding entrypoint|No usable encoding profile/.test(words)
        ? "this GPU's VAAPI driver does not encode H.264 so"
        : null,
});

/** A new bitrate reopens the one of the two that was taken: the other was found not to work. */
export const firstToOpen = (first: EncoderDriver, second: EncoderDriver): EncoderDriver => {
  const [one, other] = [reopenedAtNewBitrate(first), reopenedAtNewBitrate(second)];
  return {
    ...other,
    open: (options) =>
      one.open(options).catch((error: unknown) => {
        if (!(error instanceof EncoderError)) throw error;
        return other.open(options);
      }),
  };
};

export const vaapi = firstToOpen(libavEncoder(vaapiDriver(true)), libavEncoder(vaapiDriver(false)));

/** The first GPU that VAAPI opens. @throws EncoderError */
function openDevice(): HardwareDeviceContext {
  const nodes = existsSync(devices) ? readdirSync(devices).filter((name) => name.startsWith("renderD")) : [];
  if (nodes.length === 0) throw new EncoderError(`no GPU: ${devices} has no render node`);
  let failed = 0;
  for (const node of nodes.sort()) {
    const device = new HardwareDeviceContext();
    failed = device.create(AV_HWDEVICE_TYPE_VAAPI, `${devices}/${node}`);
    if (failed >= 0) return device;
    device.free();
  }
  throw new EncoderError(`no VAAPI driver for the GPU at ${devices}: ${new FFmpegError(failed).message}`);
}

class VaapiUpload implements PictureUpload {
  readonly #device = openDevice();
  readonly #frames = new HardwareFramesContext();
  readonly #toNv12 = new SoftwareScaleContext();
  readonly #nv12 = new Frame();
  readonly #uploaded = new Frame();
  readonly #picture: Frame;

  constructor(context: CodecContext, picture: Frame, { mode: { width, height } }: EncoderOptions) {
    this.#picture = picture;
    this.#frames.alloc(this.#device);
    Object.assign(this.#frames, { format: AV_PIX_FMT_VAAPI, swFormat: AV_PIX_FMT_NV12, width, height });
    this.#frames.initialPoolSize = surfaces;
    this.#toNv12.allocContext();
    this.#nv12.alloc();
    this.#uploaded.alloc();
    Object.assign(this.#nv12, { format: AV_PIX_FMT_NV12, width, height });
    Object.assign(this.#nv12, { colorSpace: AVCOL_SPC_BT709, colorRange: AVCOL_RANGE_MPEG });
    try {
      check("no surfaces in the GPU's memory", this.#frames.init());
      check("no memory for a picture", this.#nv12.getBuffer());
    } catch (error) {
      this.close();
      throw error;
    }
    context.pixelFormat = AV_PIX_FMT_VAAPI;
    context.hwFramesCtx = this.#frames;
  }

  async next(): Promise<Frame> {
    this.#uploaded.unref();
    check("a picture cannot be made NV12", await this.#toNv12.scaleFrame(this.#nv12, this.#picture));
    check("no free surface in the GPU's memory", this.#frames.getBuffer(this.#uploaded));
    check("a picture cannot be copied to the GPU", await this.#frames.transferData(this.#uploaded, this.#nv12));
    return this.#uploaded;
  }

  close(): void {
    this.#uploaded.free();
    this.#nv12.free();
    this.#toNv12.freeContext();
    this.#frames.free();
    this.#device.free();
  }
}

function check(what: string, result: number): void {
  if (result < 0) throw new EncoderError(`${what}: ${new FFmpegError(result).message}`);
}
