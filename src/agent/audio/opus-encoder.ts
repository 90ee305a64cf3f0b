// Opus by libopus through FFmpeg, low-delay, one 20 ms frame at a time: 960 stereo samples in, one packet's payload out.
// Encoding is synchronous: 0.1–0.2 ms a frame, less than the way to a thread and back.
import { AV_CHANNEL_ORDER_NATIVE, AV_SAMPLE_FMT_S16, FF_ENCODER_LIBOPUS } from "node-av/constants";
import { Codec, CodecContext, Dictionary, FFmpegError, Frame, Packet } from "node-av/lib";
import { EncoderError } from "../encode/video-encoder.js";
import { soundFormat } from "../games/game-source.js";

/**
 * WebRTC's usual length. Half of it would be heard 10 ms sooner, but each packet that is sent alone wakes the network
 * stack: 0.15 ms of CPU (measured on loopback), as much as encoding it.
 */
export const soundFrameMs = 20;
/** Samples per channel in one Opus frame; also how far its RTP timestamp moves (RFC 7587 §4.1: always 48 kHz). */
export const soundFrameSamples = (soundFormat.sampleRate * soundFrameMs) / 1000;

const bitrateKbps = 128;
const stereo = { nbChannels: 2, order: AV_CHANNEL_ORDER_NATIVE, mask: 3n };

export class OpusEncoder {
  readonly #context: CodecContext;
  readonly #packet: Packet;
  readonly #frame: Frame;
  readonly #memory = Buffer.alloc(soundFrameSamples * soundFormat.channels * 2);
  /** Where the next 20 ms are to be written, interleaved. */
  readonly samples = new Int16Array(this.#memory.buffer, this.#memory.byteOffset, this.#memory.length / 2);
  #pts = 0n;

  private constructor(context: CodecContext) {
    this.#context = context;
    this.#packet = new Packet();
    this.#packet.alloc();
    this.#frame = Frame.fromAudioBuffer(this.#memory, {
      nbSamples: soundFrameSamples,
      format: AV_SAMPLE_FMT_S16,
      sampleRate: soundFormat.sampleRate,
      channelLayout: stereo,
      timeBase: { num: 1, den: soundFormat.sampleRate },
    });
  }

  static async open(): Promise<OpusEncoder> {
    const codec = Codec.findEncoderByName(FF_ENCODER_LIBOPUS);
    if (codec === null) throw new EncoderError(`this FFmpeg has no ${FF_ENCODER_LIBOPUS}`);
    const context = new CodecContext();
    context.allocContext3(codec);
    context.sampleRate = soundFormat.sampleRate;
    context.sampleFormat = AV_SAMPLE_FMT_S16;
    context.channelLayout = stereo;
    context.bitRate = BigInt(bitrateKbps * 1000);
    using settings = Dictionary.fromObject({
      application: "lowdelay",
      frame_duration: String(soundFrameMs),
      vbr: "constrained",
      compression_level: "5",
    });
    const result = await context.open2(codec, settings);
    if (result < 0) {
      context.freeContext();
      throw new EncoderError(`cannot open the sound encoder: ${new FFmpegError(result).message}`);
    }
    return new OpusEncoder(context);
  }

  /** Encodes what stands in `samples`. */
  encode(): Buffer {
    this.#frame.pts = this.#pts;
    this.#pts += BigInt(soundFrameSamples);
    // Unlike a video frame, a sound frame does not alias its buffer.
    let result = this.#frame.fromBuffer(this.#memory);
    if (result >= 0) result = this.#context.sendFrameSync(this.#frame);
    if (result >= 0) result = this.#context.receivePacketSync(this.#packet);
    if (result < 0) throw new EncoderError(`cannot encode sound: ${new FFmpegError(result).message}`);
    const { data } = this.#packet;
    this.#packet.unref();
    if (data === null) throw new EncoderError("the sound encoder made an empty packet");
    return data;
  }

  close(): void {
    this.#context.freeContext();
    this.#packet.free();
    this.#frame.free();
  }
}
