// Whether an encoder's pictures arrive: what it made of a few moving pictures, taken apart and decoded again.
//
// An encoder may open, take pictures and still be of no use: a driver whose pictures are green, a profile that Chromium
// refuses, keyframes without parameter sets, none when asked. All of that is found here, before a session is promised.
import { AV_CODEC_ID_H264 } from "node-av/constants";
import { Codec, CodecContext, FFmpegError, Frame, Packet } from "node-av/lib";
import { nalUnits } from "../webrtc/rtp.js";
import { type AccessUnit, EncoderError, type VideoEncoder, videoClockRate } from "./video-encoder.js";

/** The second keyframe is asked for. */
const keyframesAt = [0, 4];
const pictures = 7;
/** By profile_idc, baseline and main: what Chromium's H.264 offers. */
const profiles = [66, 77];
/** Mean difference of luma, of 219 steps; x264 at the probe's bitrate is below 3. */
const differenceMax = 16;

const nal = { slice: 1, idr: 5, sps: 7, pps: 8 } as const;

/**
 * Encodes pictures that `draw` puts into the encoder's memory, whose luma `picture` begins with.
 * @throws EncoderError, saying what is wrong with them.
 */
export async function verifyEncoder(
  encoder: VideoEncoder,
  picture: Buffer,
  lumaBytes: number,
  draw: (frame: number) => void,
): Promise<void> {
  using decoder = new Decoder();
  for (let frame = 0; frame < pictures; frame++) {
    draw(frame);
    const keyframe = keyframesAt.includes(frame);
    const unit = await encoder.encode(frame * (videoClockRate / 60), keyframe);
    checkUnits(unit, keyframe);
    const luma = decoder.decode(unit);
    if (luma.length !== lumaBytes) throw new EncoderError(`its picture has ${luma.length} pixels of ${lumaBytes}`);
    const difference = meanDifference(luma, picture);
    if (difference > differenceMax)
      throw new EncoderError(`its pictures are not what they were made of: off by ${difference.toFixed(0)} of 219`);
  }
}

function checkUnits({ bytes, keyframe }: AccessUnit, asked: boolean): void {
  const units = nalUnits(bytes);
  const types = units.map(({ start }) => bytes[start]! & 0x1f);
  if (asked !== keyframe || asked !== types.includes(nal.idr))
    throw new EncoderError(asked ? "it makes no keyframe when asked" : "it makes keyframes unasked");
  if (!asked) return;
  if (!types.includes(nal.sps) || !types.includes(nal.pps))
    throw new EncoderError("its keyframes come without parameter sets");
  const profile = bytes[units[types.indexOf(nal.sps)]!.start + 1]!;
  if (!profiles.includes(profile))
    throw new EncoderError(`its profile ${profile} is neither baseline nor main, which is what browsers take`);
}

/** Each of a spread of pixels, which is enough to see a picture by. */
function meanDifference(a: Buffer, b: Buffer): number {
  let [sum, count] = [0, 0];
  for (let i = 0; i < a.length; i += 97, count++) sum += Math.abs(a[i]! - b[i]!);
  return sum / count;
}

class Decoder {
  readonly #context = new CodecContext();
  readonly #packet = new Packet();
  readonly #frame = new Frame();

  constructor() {
    const codec = Codec.findDecoder(AV_CODEC_ID_H264);
    if (codec === null) throw new EncoderError("this FFmpeg cannot decode H.264");
    this.#context.allocContext3(codec);
    this.#context.threadCount = 1;
    this.#packet.alloc();
    this.#frame.alloc();
    check(this.#context.open2Sync(codec));
  }

  /** The picture's luma. */
  decode({ bytes }: AccessUnit): Buffer {
    this.#packet.data = bytes;
    check(this.#context.sendPacketSync(this.#packet));
    this.#packet.unref();
    check(this.#context.receiveFrameSync(this.#frame));
    const { width, height } = this.#frame;
    const luma = this.#frame.toBuffer().subarray(0, width * height);
    this.#frame.unref();
    return luma;
  }

  [Symbol.dispose](): void {
    this.#context.freeContext();
    this.#packet.free();
    this.#frame.free();
  }
}

function check(result: number): void {
  if (result < 0) throw new EncoderError(`what it makes cannot be decoded: ${new FFmpegError(result).message}`);
}
