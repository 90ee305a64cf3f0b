// The way of one frame: game → draw → encode → packetise → send; and the sound's beside it.
//
// Guarantees: frames are drawn on a grid of real time without drift; one that cannot be made in time is skipped, never
// queued; input that arrived before a tick is in that tick's frame; while nobody watches nothing is drawn or encoded
// and the game's time stands still.
//
// One picture, drawn and encoded in turn: drawing the next one early would show older input, and at the modes the
// machine sustains both fit well within a frame (measured at 720p60: 5 ms to encode of 16.7).
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import type { VideoMode } from "../../contracts/catalog.js";
import { OpusEncoder, soundFrameMs, soundFrameSamples } from "../audio/opus-encoder.js";
import { PictureScaler } from "../encode/picture-scaler.js";
import { type RateStep, RateStepping } from "../encode/rate-steps.js";
import {
  type AccessUnit,
  type EncoderDriver,
  type EncoderOptions,
  pictureBytes,
  type VideoEncoder,
  videoClockRate,
} from "../encode/video-encoder.js";
import type { GameSource } from "../games/game-source.js";
import { KeyframeRequests } from "../webrtc/keyframe-requests.js";
import { nextTick, piecesDue } from "./pacing.js";

/** Who gets what the pipeline makes. */
export interface Viewer {
  sendPicture(unit: AccessUnit, timestamp: number, nowMs: number): void;
  sendSound(payload: Buffer, timestamp: number, nowMs: number): void;
}

const keyframeGapMsMin = 250;
const soundBehindMax = 5;
const bitrateStep = 0.03;
/** Node's timers fire up to a millisecond late; the rest of the wait is spent letting input in. */
const timerSlackMs = 1;

type EncoderWishes = Pick<EncoderOptions, "encoding" | "threads">;

export class Pipeline {
  readonly #source: GameSource;
  readonly #picture: Buffer;
  readonly #driver: EncoderDriver;
  /** What every encoder of the session is opened with, beside mode and bitrate. */
  readonly #wishes: EncoderWishes;
  readonly #stepping: RateStepping;
  readonly #sound: OpusEncoder;
  readonly #failed: (error: unknown) => void;
  readonly #keyframes = new KeyframeRequests(keyframeGapMsMin);
  readonly #originMs = performance.now();
  #viewer: Viewer | null = null;
  #broken = false;
  #playing: Promise<void> | null = null;
  #soundTimer: NodeJS.Timeout | null = null;
  #lastTick = -1;
  #soundPieces = 0;
  #gameMs = 0;
  #bitrateKbps: number;
  #encoder: VideoEncoder;
  #scaler: PictureScaler | null = null;
  /** What is encoded now. */
  #mode: VideoMode;

  private constructor(parts: {
    source: GameSource;
    picture: Buffer;
    encoder: VideoEncoder;
    bitrateKbps: number;
    steps: readonly RateStep[];
    driver: EncoderDriver;
    wishes: EncoderWishes;
    sound: OpusEncoder;
    failed: (error: unknown) => void;
  }) {
    this.#source = parts.source;
    this.#picture = parts.picture;
    this.#encoder = parts.encoder;
    this.#bitrateKbps = parts.bitrateKbps;
    this.#stepping = new RateStepping(parts.steps);
    this.#driver = parts.driver;
    this.#wishes = parts.wishes;
    this.#mode = parts.source.mode;
    this.#sound = parts.sound;
    this.#failed = parts.failed;
  }

  /** `failed` is called once, when drawing or encoding broke; the pipeline has stopped then. */
  static async open(options: {
    source: GameSource;
    bitrateKbps: number;
    /** What gives way when the path carries less; the first is the source's own mode. */
    steps: readonly RateStep[];
    driver: EncoderDriver;
    wishes: EncoderWishes;
    failed: (error: unknown) => void;
  }): Promise<Pipeline> {
    const { source, bitrateKbps, steps, driver, wishes, failed } = options;
    const picture = Buffer.alloc(pictureBytes(source.mode));
    const encoder = await driver.open({ ...wishes, mode: source.mode, picture, bitrateKbps });
    const sound = await OpusEncoder.open();
    return new Pipeline({ source, picture, encoder, bitrateKbps, steps, driver, wishes, sound, failed });
  }

  /** From the next frame on, which is a keyframe, everything goes to this viewer and to no other. */
  playFor(viewer: Viewer): void {
    if (this.#broken) return;
    this.#viewer = viewer;
    this.#keyframes.requestNow();
    this.#playing ??= this.#play();
    if (this.#soundTimer === null) this.#playSound();
  }

  /** The game stands still until the next `playFor`. */
  pause(): void {
    this.#viewer = null;
    this.#source.rest?.();
  }

  requestKeyframe(): void {
    this.#keyframes.request();
  }

  /**
   * The path carries so much. Takes effect within 15 frames; changes too small to see are not worth the restart of the
   * encoder's rate control. What is too little for the picture changes the picture, from the next frame on.
   */
  setBitrate(kbps: number): void {
    this.#stepping.update(kbps, performance.now());
    if (Math.abs(kbps - this.#bitrateKbps) < bitrateStep * this.#bitrateKbps) return;
    this.#bitrateKbps = kbps;
    this.#encoder.setBitrate(kbps);
  }

  async close(): Promise<void> {
    this.pause();
    if (this.#soundTimer !== null) clearTimeout(this.#soundTimer);
    await this.#playing;
    await this.#encoder.close();
    await this.#scaler?.close();
    this.#sound.close();
  }

  async #play(): Promise<void> {
    try {
      let lastMs = performance.now();
      while (this.#viewer !== null) lastMs = await this.#playFrame(lastMs);
    } catch (error) {
      this.#fail(error);
    }
    this.#playing = null;
  }

  /** The next frame on the grid; answers when it was drawn. */
  async #playFrame(lastMs: number): Promise<number> {
    if (this.#stepping.mode !== this.#mode) await this.#changeMode(this.#stepping.mode);
    const grid = { originMs: this.#originMs, periodMs: 1000 / this.#mode.fps };
    const tick = nextTick(grid, this.#lastTick, performance.now());
    await waitUntil(tick.dueMs);
    this.#lastTick = tick.index;
    const nowMs = performance.now();
    this.#gameMs += nowMs - lastMs;
    await this.#source.draw(this.#picture, this.#gameMs);
    await this.#scaler?.scale();
    const timestamp = Math.round(((nowMs - this.#originMs) * videoClockRate) / 1000);
    const viewer = this.#viewer;
    const unit = await this.#encoder.encode(timestamp, this.#keyframes.take(nowMs));
    // Who came in meanwhile could not decode it: theirs begins with the next frame, a keyframe.
    if (viewer === this.#viewer) viewer?.sendPicture(unit, timestamp, performance.now());
    return nowMs;
  }

  /** Another size or rate is another encoder (6–10 ms), and begins with a keyframe. */
  async #changeMode(mode: VideoMode): Promise<void> {
    const whole = mode.width === this.#source.mode.width && mode.height === this.#source.mode.height;
    const scaler = whole ? null : new PictureScaler(this.#picture, this.#source.mode, mode);
    const picture = scaler?.picture ?? this.#picture;
    const [encoderBefore, scalerBefore] = [this.#encoder, this.#scaler];
    this.#encoder = await this.#driver.open({ ...this.#wishes, mode, picture, bitrateKbps: this.#bitrateKbps });
    this.#scaler = scaler;
    this.#mode = mode;
    this.#lastTick = Math.floor(((performance.now() - this.#originMs) * mode.fps) / 1000);
    this.#keyframes.requestNow();
    await encoderBefore.close();
    await scalerBefore?.close();
  }

  #playSound(): void {
    this.#soundTimer = null;
    if (this.#viewer === null) return;
    const grid = { originMs: this.#originMs, periodMs: soundFrameMs };
    const nowMs = performance.now();
    const { pieces, skipped } = piecesDue(grid, this.#soundPieces, nowMs, soundBehindMax);
    this.#soundPieces += skipped;
    try {
      for (let i = 0; i < pieces; i++) {
        this.#source.sound(this.#sound.samples);
        this.#viewer.sendSound(this.#sound.encode(), this.#soundPieces * soundFrameSamples, nowMs);
        this.#soundPieces++;
      }
    } catch (error) {
      this.#fail(error);
      return;
    }
    const dueMs = grid.originMs + (this.#soundPieces + 1) * grid.periodMs;
    this.#soundTimer = setTimeout(() => this.#playSound(), Math.max(0, dueMs - nowMs));
  }

  #fail(error: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#viewer = null;
    this.#failed(error);
  }
}

/** Returns at `dueMs`, having given input that has arrived by then its turn on the event loop. */
async function waitUntil(dueMs: number): Promise<void> {
  const waitMs = dueMs - performance.now();
  if (waitMs > timerSlackMs) await sleep(Math.floor(waitMs - timerSlackMs / 2));
  await setImmediate();
}
