// A picture made smaller, for a path that carries less: I420 in, I420 out, by swscale in libuv's pool. One at a time.
import { AV_PIX_FMT_YUV420P, AVCOL_RANGE_MPEG, AVCOL_SPC_BT709 } from "node-av/constants";
import { Frame, SoftwareScaleContext } from "node-av/lib";
import { EncoderError, pictureBytes, videoClockRate } from "./video-encoder.js";

interface Size {
  readonly width: number;
  readonly height: number;
}

export class PictureScaler {
  /** What `scale` writes. */
  readonly picture: Buffer;
  readonly #context = new SoftwareScaleContext();
  readonly #from: Frame;
  readonly #to: Frame;
  #inFlight: Promise<unknown> = Promise.resolve();

  /** `source`: the memory every picture of the source is in. */
  constructor(source: Buffer, from: Size, to: Size) {
    this.picture = Buffer.alloc(pictureBytes(to));
    this.#from = frameOver(source, from);
    this.#to = frameOver(this.picture, to);
    this.#context.allocContext();
  }

  /** @throws EncoderError */
  async scale(): Promise<void> {
    const scaling = this.#context.scaleFrame(this.#to, this.#from);
    this.#inFlight = scaling;
    if ((await scaling) < 0) throw new EncoderError("a picture cannot be made smaller");
  }

  /** Waits for a picture in flight: freeing what it uses would crash. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#inFlight]);
    this.#context.freeContext();
    this.#from.free();
    this.#to.free();
  }
}

function frameOver(memory: Buffer, { width, height }: Size): Frame {
  const timeBase = { num: 1, den: videoClockRate };
  const frame = Frame.fromVideoBuffer(memory, { width, height, format: AV_PIX_FMT_YUV420P, timeBase });
  frame.colorSpace = AVCOL_SPC_BT709;
  frame.colorRange = AVCOL_RANGE_MPEG;
  return frame;
}
