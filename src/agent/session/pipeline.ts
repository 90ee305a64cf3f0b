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
import type { FrameReceipt } from "../../contracts/receipts.js";
import { OpusEncoder, soundFrameMs, soundFrameSamples } from "../audio/opus-encoder.js";
import { SoundProtection } from "../audio/sound-protection.js";
import { worthNewBitrate } from "../encode/bitrate-changes.js";
import { type Load, MachineLoad } from "../encode/machine-load.js";
import { PictureScaler } from "../encode/picture-scaler.js";
import { type RateStep, RateStepping } from "../encode/rate-steps.js";
import { type Replacement, SessionEncoder } from "../encode/session-encoder.js";
import {
  type AccessUnit,
  type EncoderDriver,
  type EncoderOptions,
  pictureBytes,
  videoClockRate,
} from "../encode/video-encoder.js";
import type { GameSource } from "../games/game-source.js";
import { KeyframeRequests, keyframeGapMsMin } from "../webrtc/keyframe-requests.js";
import { FrameInputs } from "./frame-inputs.js";
import { nextTick, piecesDue } from "./pacing.js";

/** Who gets what the pipeline makes. */
export interface Viewer {
  /** Whether a frame made now would get through. */
  hasRoom(nowMs: number): boolean;
  /** Answers false when it was left out: the path has no room any more. */
  sendPicture(unit: AccessUnit, timestamp: number, nowMs: number): boolean;
  /**
   * Of the picture just made, which was encoded at `encodedMs`: until its last packet has left it is being sent. Also of
   * one that was left out: the next picture shows its inputs.
   */
  sendReceipt(receipt: Omit<FrameReceipt, "sendUs">, encodedMs: number): void;
  sendSound(payload: Buffer, timestamp: number, nowMs: number): void;
}

const soundBehindMax = 5;
/** Node's timers fire up to a millisecond late; the rest of the wait is spent letting input in. */
const timerSlackMs = 1;

/** One that may be used, and the most it sustains. */
export interface KnownEncoder {
  readonly driver: EncoderDriver;
  readonly sustains: VideoMode;
}

/** What runs now. */
export interface Running {
  readonly mode: VideoMode;
  readonly encoder: string;
  /** Why it is not the first mode, or not the first encoder, in words; null: it is. */
  readonly why: string | null;
}

interface PipelineOptions {
  readonly source: GameSource;
  readonly bitrateKbps: number;
  /** What gives way when the path carries less, or the machine is too slow; the first is the source's own mode. */
  readonly steps: readonly RateStep[];
  /** The first choice first. */
  readonly encoders: readonly KnownEncoder[];
  /** What each of them is opened with, beside mode and bitrate. */
  readonly wishes: Pick<EncoderOptions, "encoding" | "threads">;
  /** Another encoder, or another mode. */
  readonly changed: (running: Running) => void;
  /** Called once, when drawing or the last encoder broke; the pipeline has stopped then. */
  readonly failed: (error: unknown) => void;
}

export class Pipeline {
  readonly #options: PipelineOptions;
  readonly #source: GameSource;
  readonly #picture: Buffer;
  readonly #stepping: RateStepping;
  readonly #load = new MachineLoad();
  readonly #protection = new SoundProtection();
  #sound: OpusEncoder;
  #changingSound: Promise<void> = Promise.resolve();
  readonly #keyframes = new KeyframeRequests(keyframeGapMsMin);
  readonly #originMs = performance.now();
  readonly #inputs = new FrameInputs();
  #viewer: Viewer | null = null;
  #broken = false;
  #playing: Promise<void> | null = null;
  #soundTimer: NodeJS.Timeout | null = null;
  #lastTick = -1;
  /** Frames since the last receipt. */
  #leftOut = { skipped: 0, heldBack: 0 };
  #soundPieces = 0;
  #gameMs = 0;
  #bitrateKbps: number;
  #bitrateAtMs = 0;
  #encoder: SessionEncoder;
  #scaler: PictureScaler | null = null;
  /** What is encoded now. */
  #mode: VideoMode;
  #replacement: Replacement | null = null;
  /** The last time the machine was too slow. */
  #slow: { load: Load; budgetMs: number } | null = null;
  /** What the path carried when it moved the picture last. */
  #pathKbps: number;

  private constructor(options: PipelineOptions, picture: Buffer, sound: OpusEncoder, encoder: SessionEncoder) {
    this.#options = options;
    this.#source = options.source;
    this.#picture = picture;
    this.#sound = sound;
    this.#encoder = encoder;
    this.#bitrateKbps = this.#pathKbps = options.bitrateKbps;
    this.#stepping = new RateStepping(options.steps);
    this.#mode = options.source.mode;
  }

  static async open(options: PipelineOptions): Promise<Pipeline> {
    const { source, bitrateKbps, encoders, wishes } = options;
    const picture = Buffer.alloc(pictureBytes(source.mode));
    // One that does not open is replaced before there is a pipeline to hear of it.
    const early: Replacement[] = [];
    let hear = (replacement: Replacement) => void early.push(replacement);
    const encoder = await SessionEncoder.open(
      encoders.map(({ driver }) => driver),
      { ...wishes, mode: source.mode, picture, bitrateKbps },
      (replacement) => hear(replacement),
    );
    const pipeline = new Pipeline(options, picture, await OpusEncoder.open("clean"), encoder);
    hear = (replacement) => {
      pipeline.#replaced(replacement);
      options.changed(pipeline.running);
    };
    for (const replacement of early) pipeline.#replaced(replacement);
    return pipeline;
  }

  /** From the next frame on, which is a keyframe, everything goes to this viewer and to no other. */
  playFor(viewer: Viewer): void {
    if (this.#broken) return;
    this.#viewer = viewer;
    this.#inputs.restart();
    this.#keyframes.requestNow();
    this.#load.start();
    this.#playing ??= this.#play();
    if (this.#soundTimer === null) this.#playSound();
  }

  /** The game stands still until the next `playFor`. */
  pause(): void {
    this.#viewer = null;
    this.#source.rest?.();
  }

  /** For the receipts: an input has been given to the game. */
  inputArrived(seq: number, nowMs: number): void {
    this.#inputs.arrived(seq, nowMs);
  }

  requestKeyframe(): void {
    this.#keyframes.request();
  }

  /** The path carries so much. What is too little for the picture changes the picture, from the next frame on. */
  setBitrate(kbps: number): void {
    const nowMs = performance.now();
    if (this.#stepping.update(kbps, nowMs)) this.#pathKbps = kbps;
    const sinceMs = nowMs - this.#bitrateAtMs;
    if (!worthNewBitrate(this.#bitrateKbps, kbps, this.#encoder.driver.newBitrateCosts, sinceMs)) return;
    this.#bitrateKbps = kbps;
    this.#bitrateAtMs = nowMs;
    this.#encoder.setBitrate(kbps);
  }

  /** The receiver has lost so much of the sound since it reported last. */
  soundLost(share: number): void {
    if (this.#protection.update(share, performance.now()))
      this.#changingSound = this.#changingSound.then(() => this.#changeSound()).catch((error) => this.#fail(error));
  }

  /** What runs now. */
  get running(): Running {
    return { mode: this.#mode, encoder: this.#encoder.driver.name, why: this.#why() };
  }

  async close(): Promise<void> {
    this.pause();
    if (this.#soundTimer !== null) clearTimeout(this.#soundTimer);
    await this.#playing;
    await this.#changingSound;
    await this.#encoder.close();
    await this.#scaler?.close();
    this.#sound.close();
  }

  async #play(): Promise<void> {
    try {
      let lastMs = performance.now();
      // What was due while nobody watched was not skipped.
      this.#lastTick = this.#tickAt(lastMs);
      this.#leftOut = { skipped: 0, heldBack: 0 };
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
    const askedMs = performance.now();
    const tick = nextTick(grid, this.#lastTick, askedMs);
    this.#leftOut.skipped += tick.index - this.#lastTick - 1;
    await waitUntil(tick.dueMs);
    this.#lastTick = tick.index;
    const nowMs = performance.now();
    // The path is full: this frame would be lost, or late; the game's time goes on, into the next one.
    if (this.#viewer?.hasRoom(nowMs) === false) {
      this.#leftOut.heldBack++;
      return lastMs;
    }
    this.#gameMs += nowMs - lastMs;
    const inputs = this.#inputs.take(nowMs);
    await this.#source.draw(this.#picture, this.#gameMs);
    await this.#scaler?.scale();
    const timestamp = Math.round(((nowMs - this.#originMs) * videoClockRate) / 1000);
    const viewer = this.#viewer;
    const drawnMs = performance.now();
    const unit = await this.#encoder.encode(timestamp, this.#keyframes.take(nowMs));
    const encodedMs = performance.now();
    // Who came in meanwhile could not decode it: theirs begins with the next frame, a keyframe.
    if (viewer === this.#viewer && viewer !== null) {
      const sent = viewer.sendPicture(unit, timestamp, encodedMs);
      const made = { drawUs: (drawnMs - nowMs) * 1000, encodeUs: (encodedMs - drawnMs) * 1000 };
      this.#sendReceipt(viewer, unit, { ...inputs, ...made, rtpTimestamp: timestamp >>> 0 }, encodedMs);
      if (!sent) this.#leftOut.heldBack++;
    }
    const late = tick.dueMs <= askedMs;
    this.#measure({ late, workMs: encodedMs - nowMs, encodeMs: encodedMs - drawnMs }, encodedMs);
    return nowMs;
  }

  #measure(frame: Parameters<MachineLoad["frame"]>[0], nowMs: number): void {
    const load = this.#load.frame(frame, nowMs);
    // Where the path has just changed the mode, this was another one's.
    if (load === null || this.#stepping.mode !== this.#mode) return;
    if (load.overloaded) this.#slow = { load, budgetMs: 1000 / this.#mode.fps };
    this.#stepping.load(load, nowMs);
  }

  #sendReceipt(
    viewer: Viewer,
    unit: AccessUnit,
    frame: Pick<FrameReceipt, "rtpTimestamp" | "newestInput" | "inputs" | "drawUs" | "encodeUs">,
    encodedMs: number,
  ): void {
    const { keyframe, bytes } = unit;
    const aims = { fps: this.#mode.fps, bitrateKbps: this.#bitrateKbps };
    viewer.sendReceipt({ ...frame, ...this.#leftOut, ...aims, keyframe, bytes: bytes.length }, encodedMs);
    this.#leftOut = { skipped: 0, heldBack: 0 };
  }

  #tickAt(nowMs: number): number {
    return Math.floor(((nowMs - this.#originMs) * this.#mode.fps) / 1000);
  }

  /** Another size or rate is another encoder (6–10 ms), and begins with a keyframe. */
  async #changeMode(mode: VideoMode): Promise<void> {
    const whole = mode.width === this.#source.mode.width && mode.height === this.#source.mode.height;
    const scaler = whole ? null : new PictureScaler(this.#picture, this.#source.mode, mode);
    const scalerBefore = this.#scaler;
    await this.#encoder.change({ mode, picture: scaler?.picture ?? this.#picture });
    this.#scaler = scaler;
    this.#mode = mode;
    this.#lastTick = this.#tickAt(performance.now());
    this.#keyframes.requestNow();
    this.#load.reset();
    await scalerBefore?.close();
    this.#options.changed(this.running);
  }

  /** Its first picture, the one the other failed at, is an IDR by itself; its own speed may ask for another mode. */
  #replaced(replacement: Replacement): void {
    this.#replacement = replacement;
    const known = this.#options.encoders.find(({ driver }) => driver === replacement.by)!;
    this.#slow = null;
    this.#load.reset();
    this.#stepping.sustains(known.sustains, performance.now());
  }

  #why(): string | null {
    const { heldBy } = this.#stepping;
    const why = [
      this.#replacement && `${this.#replacement.failed} failed (${this.#replacement.because})`,
      heldBy === "path" && `the network carries ${(this.#pathKbps / 1000).toFixed(1)} Mbit/s`,
      heldBy === "machine" && tooSlow(this.#slow, this.#encoder.driver.name),
    ].filter((reason) => typeof reason === "string");
    return why.length === 0 ? null : why.join("; ");
  }

  async #changeSound(): Promise<void> {
    const before = this.#sound;
    this.#sound = await OpusEncoder.open(this.#protection.on ? "protected" : "clean");
    before.close();
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
    this.#options.failed(error);
  }
}

/** Returns at `dueMs`, having given input that has arrived by then its turn on the event loop. */
async function waitUntil(dueMs: number): Promise<void> {
  const waitMs = dueMs - performance.now();
  if (waitMs > timerSlackMs) await sleep(Math.floor(waitMs - timerSlackMs / 2));
  await setImmediate();
}

/** In words for the player. */
function tooSlow(slow: { load: Load; budgetMs: number } | null, encoder: string): string {
  if (slow === null) return `${encoder} sustains no more on this machine`;
  const { workMs, encodeMs } = slow.load;
  const of = `a frame of ${slow.budgetMs.toFixed(1)}`;
  if (workMs < slow.budgetMs * 0.8) return `other programs on this machine leave too little time for ${of} ms`;
  if (encodeMs < workMs / 2) return `this machine takes ${workMs.toFixed(0)} ms to draw and encode ${of}`;
  return `this machine's encoder takes ${encodeMs.toFixed(0)} ms ${of}`;
}
