// What our drivers have in common: an H.264 encoder of libavcodec, its settings a table, its work on libuv's threads.
// The context's numbers (size, rate, buffer) are set here once for all; what each encoder calls by its own name is
// in the driver's file.
import {
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_YUV420P,
  AVCOL_PRI_BT709,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_TRC_BT709,
} from "node-av/constants";
import { Codec, CodecContext, Dictionary, FFmpegError, Frame, Packet } from "node-av/lib";
import { libavWords } from "./libav-words.js";
import {
  type AccessUnit,
  type EncoderDriver,
  EncoderError,
  type EncoderOptions,
  pictureBytes,
  type VideoEncoder,
  videoClockRate,
} from "./video-encoder.js";

/** How pictures get to an encoder that does not read our memory. */
export interface PictureUpload {
  /** The picture as the encoder takes it; ours again after the encode. */
  next(): Promise<Frame>;
  close(): void;
}

export interface LibavDriver extends Pick<EncoderDriver, "name" | "runsOn" | "newBitrateCosts"> {
  /** Its options by its own names (`ffmpeg -h encoder=NAME`), the same for every picture of a session. */
  settings(options: EncoderOptions): Readonly<Record<string, string>>;
  /** Puts what the encoder needs into the context before it opens. None: it reads our pictures as they are. */
  upload?(context: CodecContext, picture: Frame, options: EncoderOptions): PictureUpload;
  /** What a failure to open means, by what FFmpeg said of it; null: nothing that is known. */
  meaning?(words: string): string | null;
}

/** Never by itself: 4.8 h at 60 frames a second. */
const gopFrames = 1 << 20;

/** The encoder's rate control, in its units: bits a second, and bits that may be saved up. */
export function rateControl(bitrateKbps: number, { mode, encoding }: Pick<EncoderOptions, "mode" | "encoding">) {
  const bitsPerSecond = Math.round(bitrateKbps * 1_000);
  return {
    bitRate: BigInt(bitsPerSecond),
    rcMaxRate: BigInt(bitsPerSecond),
    rcBufferSize: Math.round((bitsPerSecond / mode.fps) * vbvFrames(bitrateKbps, encoding.vbvFrames)),
  };
}

/** At low rates one frame's worth would leave nothing but skipped blocks (measured below 1 Mbit/s). */
const vbvFrames = (bitrateKbps: number, wanted: number): number => Math.max(wanted, Math.min(6, 4_000 / bitrateKbps));

export const libavEncoder = (driver: LibavDriver): EncoderDriver => ({
  name: driver.name,
  runsOn: driver.runsOn,
  newBitrateCosts: driver.newBitrateCosts,
  open: (options) => LibavEncoder.open(driver, options),
});

class LibavEncoder implements VideoEncoder {
  readonly #context: CodecContext;
  readonly #options: EncoderOptions;
  readonly #picture: Frame;
  readonly #upload: PictureUpload | null;
  readonly #packet: Packet;
  #inFlight: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(context: CodecContext, options: EncoderOptions, picture: Frame, upload: PictureUpload | null) {
    this.#context = context;
    this.#options = options;
    this.#picture = picture;
    this.#upload = upload;
    this.#packet = new Packet();
    this.#packet.alloc();
  }

  static async open(driver: LibavDriver, options: EncoderOptions & { picture: Buffer }): Promise<LibavEncoder> {
    const { name } = driver;
    const { mode, picture } = options;
    const codec = Codec.findEncoderByName(name as Parameters<typeof Codec.findEncoderByName>[0]);
    if (codec === null) throw new EncoderError(`this FFmpeg has no ${name}`);
    if (picture.length !== pictureBytes(mode)) throw new EncoderError("the picture's memory is not the mode's");
    const words = libavWords();
    const context = new CodecContext();
    const frame = pictureFrame(picture, mode);
    let upload: PictureUpload | null = null;
    try {
      context.allocContext3(codec);
      setUp(context, options);
      upload = driver.upload?.(context, frame, options) ?? null;
      using settings = Dictionary.fromObject({ ...driver.settings(options) });
      const result = await context.open2(codec, settings);
      if (result < 0) throw encoderError(`cannot open ${name}`, result);
      return new LibavEncoder(context, options, frame, upload);
    } catch (error) {
      const said = await words.heard();
      upload?.close();
      frame.free();
      context.freeContext();
      const meaning = driver.meaning?.(said);
      if (meaning != null) throw new EncoderError(said === "" ? meaning : `${meaning}: ${said}`, { cause: error });
      if (said === "" || !(error instanceof EncoderError)) throw error;
      throw new EncoderError(`${error.message}: ${said}`, { cause: error });
    } finally {
      words.stop();
    }
  }

  setBitrate(bitrateKbps: number): void {
    Object.assign(this.#context, rateControl(bitrateKbps, this.#options));
  }

  async encode(timestamp: number, keyframe: boolean): Promise<AccessUnit> {
    if (this.#closed) throw new EncoderError("the encoder is closed");
    const encoding = this.#encode(timestamp, keyframe);
    this.#inFlight = encoding;
    return encoding;
  }

  async #encode(timestamp: number, keyframe: boolean): Promise<AccessUnit> {
    const frame = this.#upload === null ? this.#picture : await this.#upload.next();
    frame.pts = BigInt(timestamp);
    frame.pictType = keyframe ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    const sent = await this.#context.sendFrame(frame);
    if (sent < 0) throw encoderError("cannot encode a frame", sent);
    // avcodec_send_frame has done the work: receiving moves the finished packet, and needs no thread of the pool.
    const received = this.#context.receivePacketSync(this.#packet);
    if (received < 0) throw encoderError("the encoder kept a frame back", received);
    const { data, isKeyframe } = this.#packet;
    this.#packet.unref();
    if (data === null) throw new EncoderError("the encoder made an empty access unit");
    return { bytes: data, keyframe: isKeyframe };
  }

  /** Waits for an encode in flight: freeing a codec context under an operation segfaults. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled([this.#inFlight]);
    this.#context.freeContext();
    this.#packet.free();
    this.#upload?.close();
    this.#picture.free();
  }
}

function setUp(context: CodecContext, options: EncoderOptions): void {
  const { mode, threads, bitrateKbps } = options;
  context.width = mode.width;
  context.height = mode.height;
  context.pixelFormat = AV_PIX_FMT_YUV420P;
  context.timeBase = { num: 1, den: videoClockRate } as CodecContext["timeBase"];
  context.framerate = { num: mode.fps, den: 1 } as CodecContext["framerate"];
  context.gopSize = gopFrames;
  context.maxBFrames = 0;
  context.threadCount = threads;
  context.colorRange = AVCOL_RANGE_MPEG;
  context.colorSpace = AVCOL_SPC_BT709;
  context.colorPrimaries = AVCOL_PRI_BT709;
  context.colorTrc = AVCOL_TRC_BT709;
  Object.assign(context, rateControl(bitrateKbps, options));
}

function pictureFrame(picture: Buffer, { width, height }: EncoderOptions["mode"]): Frame {
  const timeBase = { num: 1, den: videoClockRate };
  const frame = Frame.fromVideoBuffer(picture, { width, height, format: AV_PIX_FMT_YUV420P, timeBase });
  frame.colorSpace = AVCOL_SPC_BT709;
  frame.colorRange = AVCOL_RANGE_MPEG;
  return frame;
}

const encoderError = (what: string, code: number) => new EncoderError(`${what}: ${new FFmpegError(code).message}`);
