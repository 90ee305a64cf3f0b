// The port of H.264 encoders: a picture in memory goes in, one access unit comes out.
//
// Every driver guarantees: one picture in, its access unit out, none kept back (no B frames, no look-ahead); an access
// unit is an IDR with its parameter sets when asked for, and otherwise only where a new bitrate costs one; constrained
// baseline or main, the profiles that Chromium accepts; work off the event loop; `close` waits for an encode in flight.
// encoder-conformance.test.ts holds each driver that opens on this machine to it.
import type { Encoding, VideoMode } from "../../contracts/catalog.js";

export const videoClockRate = 90_000;

/** The encoder failed: it makes no more pictures. */
export class EncoderError extends Error {
  override name = "EncoderError";
}

export interface AccessUnit {
  readonly bytes: Buffer;
  readonly keyframe: boolean;
}

export interface EncoderOptions {
  readonly mode: VideoMode;
  readonly bitrateKbps: number;
  /** The preset's wishes. */
  readonly encoding: Encoding;
  /** Of the CPU, for an encoder that runs there. */
  readonly threads: number;
}

export interface VideoEncoder {
  /** Takes effect within 15 frames. */
  setBitrate(bitrateKbps: number): void;
  /**
   * Encodes what stands in the picture's memory now. Timestamps (90 kHz) must grow.
   * @throws EncoderError when the encoder refuses the picture, or after `close`.
   */
  encode(timestamp: number, keyframe: boolean): Promise<AccessUnit>;
  close(): Promise<void>;
}

export interface EncoderDriver {
  /** FFmpeg's. */
  readonly name: string;
  /** A part of the GPU made for this, or the CPU, which the game and everything else share. */
  readonly runsOn: "gpu" | "cpu";
  /** What a new bitrate costs besides. */
  readonly newBitrateCosts: "nothing" | "keyframe";
  /**
   * `picture` is the memory every picture is written to: I420, rows packed, `pictureBytes(mode)` long.
   * @throws EncoderError, in words for the operator, where the machine has no such encoder or it takes no more.
   */
  open(options: EncoderOptions & { readonly picture: Buffer }): Promise<VideoEncoder>;
}

export const pictureBytes = ({ width, height }: { width: number; height: number }): number => (width * height * 3) / 2;

/** Sliced threads shorten the time of one frame; beyond four the slices cost more than they gain. */
export const encoderThreads = (cores: number): number => Math.max(1, Math.min(4, cores <= 2 ? cores : cores >> 1));
