// H.264 by x264 through FFmpeg, for one session at one size and rate: I420 pictures in, Annex B access units out.
//
// Guarantees: one access unit per picture, at once (no look-ahead, no B frames); constrained baseline, BT.709 limited
// range; one GOP without end, an IDR exactly when asked for; the event loop is never blocked, because encoding runs in
// libuv's pool. A new size or rate needs a new encoder (6–10 ms).
//
// One picture is encoded at a time: the caller awaits `encode` and may then write the next picture into the same
// memory, which the encoder reads in place. Closing waits for an encode in flight: freeing a codec context under an
// operation segfaults.
import {
  AV_LOG_ERROR,
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_YUV420P,
  AVCOL_PRI_BT709,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_TRC_BT709,
  FF_ENCODER_LIBX264,
} from "node-av/constants";
import { Codec, CodecContext, Dictionary, FFmpegError, Frame, Log, Packet } from "node-av/lib";
import type { VideoMode } from "../../contracts/catalog.js";

export const videoEncoderName = FF_ENCODER_LIBX264;
export const videoClockRate = 90_000;

/** The encoder failed; the stream cannot go on. */
export class EncoderError extends Error {
  override name = "EncoderError";
}

export interface AccessUnit {
  readonly bytes: Buffer;
  readonly keyframe: boolean;
}

export const pictureBytes = ({ width, height }: { width: number; height: number }): number => (width * height * 3) / 2;

/** Sliced threads shorten the time of one frame; beyond four the slices cost more than they gain. */
export const encoderThreads = (cores: number): number => Math.max(1, Math.min(4, cores <= 2 ? cores : cores >> 1));

/**
 * How many frames' worth of bits the rate control may save up. One keeps keyframes as small as the frames around them,
 * so that they arrive as soon; at low rates that would leave nothing but skipped blocks (measured below 1 Mbit/s).
 */
const vbvFrames = (bitrateKbps: number): number => Math.max(1, Math.min(6, 4_000 / bitrateKbps));

export class VideoEncoder {
  readonly #context: CodecContext;
  readonly #frame: Frame;
  readonly #packet: Packet;
  readonly #fps: number;
  #inFlight: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(context: CodecContext, frame: Frame, fps: number) {
    this.#context = context;
    this.#frame = frame;
    this.#fps = fps;
    this.#packet = new Packet();
    this.#packet.alloc();
  }

  /** `picture` is the memory every picture is written to: I420, rows packed, `pictureBytes(mode)` long. */
  static async open(options: {
    mode: VideoMode;
    picture: Buffer;
    bitrateKbps: number;
    threads: number;
  }): Promise<VideoEncoder> {
    const { mode, picture } = options;
    // Otherwise every encoder writes its statistics to stderr.
    Log.setLevel(AV_LOG_ERROR);
    const codec = Codec.findEncoderByName(videoEncoderName);
    if (codec === null) throw new EncoderError(`this FFmpeg has no ${videoEncoderName}`);
    const context = new CodecContext();
    context.allocContext3(codec);
    context.width = mode.width;
    context.height = mode.height;
    context.pixelFormat = AV_PIX_FMT_YUV420P;
    context.timeBase = { num: 1, den: videoClockRate } as CodecContext["timeBase"];
    context.framerate = { num: mode.fps, den: 1 } as CodecContext["framerate"];
    context.gopSize = 1 << 20;
    context.maxBFrames = 0;
    context.threadCount = options.threads;
    context.colorRange = AVCOL_RANGE_MPEG;
    context.colorSpace = AVCOL_SPC_BT709;
    context.colorPrimaries = AVCOL_PRI_BT709;
    context.colorTrc = AVCOL_TRC_BT709;
    applyBitrate(context, options.bitrateKbps, mode.fps);
    using settings = Dictionary.fromObject({
      preset: "ultrafast",
      tune: "zerolatency",
      profile: "baseline",
      "forced-idr": "1",
      "x264-params": "sliced-threads=1:scenecut=0",
    });
    const frame = Frame.fromVideoBuffer(picture, {
      width: mode.width,
      height: mode.height,
      format: AV_PIX_FMT_YUV420P,
      timeBase: { num: 1, den: videoClockRate },
    });
    const result = await context.open2(codec, settings);
    if (result < 0) {
      frame.free();
      context.freeContext();
      throw encoderError("cannot open the encoder", result);
    }
    return new VideoEncoder(context, frame, mode.fps);
  }

  /** Takes effect within 15 frames, without a keyframe. */
  setBitrate(bitrateKbps: number): void {
    applyBitrate(this.#context, bitrateKbps, this.#fps);
  }

  /**
   * Encodes what stands in the picture's memory now. Timestamps (90 kHz) must grow.
   * @throws EncoderError when x264 refuses the picture, or after `close`.
   */
  async encode(timestamp: number, keyframe: boolean): Promise<AccessUnit> {
    if (this.#closed) throw new EncoderError("the encoder is closed");
    const encoding = this.#encode(timestamp, keyframe);
    this.#inFlight = encoding;
    return encoding;
  }

  async #encode(timestamp: number, keyframe: boolean): Promise<AccessUnit> {
    this.#frame.pts = BigInt(timestamp);
    this.#frame.pictType = keyframe ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    const sent = await this.#context.sendFrame(this.#frame);
    if (sent < 0) throw encoderError("cannot encode a frame", sent);
    // avcodec_send_frame has done the work: receiving moves the finished packet, and needs no thread of the pool.
    const received = this.#context.receivePacketSync(this.#packet);
    if (received < 0) throw encoderError("the encoder kept a frame back", received);
    const { data, isKeyframe } = this.#packet;
    this.#packet.unref();
    if (data === null) throw new EncoderError("the encoder made an empty access unit");
    return { bytes: data, keyframe: isKeyframe };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled([this.#inFlight]);
    this.#context.freeContext();
    this.#packet.free();
    this.#frame.free();
  }
}

function applyBitrate(context: CodecContext, bitrateKbps: number, fps: number): void {
  const bitsPerSecond = Math.round(bitrateKbps * 1_000);
  context.bitRate = BigInt(bitsPerSecond);
  context.rcMaxRate = BigInt(bitsPerSecond);
  context.rcBufferSize = Math.round((bitsPerSecond / fps) * vbvFrames(bitrateKbps));
}

const encoderError = (what: string, code: number) => new EncoderError(`${what}: ${new FFmpegError(code).message}`);
