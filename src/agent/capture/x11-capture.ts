// Pictures of an X display: grabbed through MIT-SHM by FFmpeg's x11grab, converted to I420 (BT.709, limited range).
//
// A grab is one request of the X server, which serves them one after another: what the game presents in one request is
// never seen half. Measured at 720p on two cores: 0.2 ms to grab and 1.0 to convert at rest; 2.1 ms of CPU a frame beside
// a game on a loaded machine. Both run in libuv's pool, one picture at a time. x11grab paces itself by its frame rate: it
// is set beyond any that is asked for, the pipeline's grid decides.
import { AV_LOG_ERROR, AV_PIX_FMT_YUV420P, AVCOL_RANGE_MPEG, AVCOL_SPC_BT709 } from "node-av/constants";
import {
  Codec,
  CodecContext,
  Dictionary,
  FFmpegError,
  FormatContext,
  Frame,
  InputFormat,
  Log,
  Packet,
  SoftwareScaleContext,
} from "node-av/lib";

/** The display cannot be captured, or no longer. */
export class CaptureError extends Error {
  override name = "CaptureError";
}

const grabsPerSecondMax = 1_000;

interface Size {
  readonly width: number;
  readonly height: number;
}

export class X11Capture {
  readonly #size: Size;
  readonly #input: FormatContext;
  readonly #unpack: CodecContext;
  readonly #convert = new SoftwareScaleContext();
  readonly #packet = new Packet();
  readonly #grabbed = new Frame();
  #target: { readonly picture: Uint8Array; readonly frame: Frame } | null = null;
  #inFlight: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(size: Size, input: FormatContext, unpack: CodecContext) {
    this.#size = size;
    this.#input = input;
    this.#unpack = unpack;
    this.#convert.allocContext();
    this.#packet.alloc();
    this.#grabbed.alloc();
  }

  /** The upper left part of the display, of this size. @throws CaptureError */
  static async open(display: string, size: Size): Promise<X11Capture> {
    Log.setLevel(AV_LOG_ERROR);
    const device = InputFormat.findInputFormat("x11grab");
    if (device === null) throw new CaptureError("this FFmpeg has no x11grab");
    const input = new FormatContext();
    using settings = Dictionary.fromObject({
      video_size: `${size.width}x${size.height}`,
      framerate: String(grabsPerSecondMax),
      // The pointer as the game wants it seen: one that hides it hides it here too.
      draw_mouse: "1",
    });
    check(await input.openInput(display, device, settings), `cannot open display ${display}`);
    const { codecpar } = input.streams[0]!;
    const unpack = new CodecContext();
    const codec = Codec.findDecoder(codecpar.codecId);
    if (codec === null) throw new CaptureError("this FFmpeg does not unpack raw pictures");
    unpack.allocContext3(codec);
    check(unpack.parametersToContext(codecpar), "the display's pictures are of an unknown kind");
    check(await unpack.open2(codec, null), "the display's pictures cannot be unpacked");
    return new X11Capture(size, input, unpack);
  }

  /** Fills `picture` (I420, rows packed) with what the display shows now. @throws CaptureError */
  async grab(picture: Uint8Array): Promise<void> {
    if (this.#closed) throw new CaptureError("the capture is closed");
    const grabbing = this.#grab(picture);
    this.#inFlight = grabbing;
    return grabbing;
  }

  /** Waits for a grab in flight: freeing what it uses would crash. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled([this.#inFlight]);
    await this.#input.closeInput();
    this.#unpack.freeContext();
    this.#convert.freeContext();
    this.#target?.frame.free();
    this.#packet.free();
    this.#grabbed.free();
  }

  async #grab(picture: Uint8Array): Promise<void> {
    check(await this.#input.readFrame(this.#packet), "cannot read the display");
    const sent = this.#unpack.sendPacketSync(this.#packet);
    this.#packet.unref();
    check(sent, "cannot unpack a picture");
    check(this.#unpack.receiveFrameSync(this.#grabbed), "cannot unpack a picture");
    const converted = await this.#convert.scaleFrame(this.#frameOver(picture), this.#grabbed);
    this.#grabbed.unref();
    check(converted, "cannot convert a picture");
  }

  /** A frame that is the picture's memory: what is written to it needs no copying. */
  #frameOver(picture: Uint8Array): Frame {
    if (this.#target?.picture === picture) return this.#target.frame;
    this.#target?.frame.free();
    const memory = Buffer.from(picture.buffer, picture.byteOffset, picture.byteLength);
    const frame = Frame.fromVideoBuffer(memory, {
      ...this.#size,
      format: AV_PIX_FMT_YUV420P,
      timeBase: { num: 1, den: grabsPerSecondMax },
    });
    frame.colorSpace = AVCOL_SPC_BT709;
    frame.colorRange = AVCOL_RANGE_MPEG;
    this.#target = { picture, frame };
    return frame;
  }
}

function check(result: number, what: string): void {
  if (result < 0) throw new CaptureError(`${what}: ${new FFmpegError(result).message}`);
}
