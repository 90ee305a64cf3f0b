// Opus by libopus through FFmpeg, one 20 ms frame at a time: 960 stereo samples in, one packet's payload out. Encoding is
// synchronous: 0.1–0.2 ms a frame, less than the way to a thread and back.
//
// In-band FEC, a coarse copy of the frame before in each packet (RFC 6716 §2.1.7), exists only where SILK codes the lower
// 8 kHz. Low-delay Opus is CELT alone and has none, whatever the options say (measured: no copy in 150 packets); and at
// 128 kbit/s libopus takes SILK only when told of 8 % of loss or more. So protection is another encoder: hybrid, 4 ms
// later, music a little coarser, and of sound that SILK's voice detection finds inactive it makes no copy: 52 of 150
// packets of struck chords had one, 89 of 150 of noise in bursts.
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
const settings = {
  clean: { application: "lowdelay" },
  protected: { application: "audio", fec: "1", packet_loss: "10" },
} as const;
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

  /** `protected`: with in-band FEC, for a path that loses packets. */
  static async open(protection: keyof typeof settings): Promise<OpusEncoder> {
    const codec = Codec.findEncoderByName(FF_ENCODER_LIBOPUS);
    if (codec === null) throw new EncoderError(`this FFmpeg has no ${FF_ENCODER_LIBOPUS}`);
    const context = new CodecContext();
    context.allocContext3(codec);
    context.sampleRate = soundFormat.sampleRate;
    context.sampleFormat = AV_SAMPLE_FMT_S16;
    context.channelLayout = stereo;
    context.bitRate = BigInt(bitrateKbps * 1000);
    using options = Dictionary.fromObject({
      ...settings[protection],
      frame_duration: String(soundFrameMs),
      vbr: "constrained",
      compression_level: "5",
    });
    const result = await context.open2(codec, options);
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
