// Which encoders this machine has and what they sustain, found by encoding: each driver is tried in the order of choice,
// its pictures are checked, then moving pictures at 720p go through it flat out for half a second after a warm-up.
//
// Neither a starting database nor a neighbour's burst is the encoder's speed. So on the CPU the time that its threads ran
// counts, not the time that passed: it stays within a fifth beside three busy loops, where half as many frames get done.
// And the best stretch of frames counts; the headroom in video-mode.ts is there for what runs beside it. A machine on
// which none works throws here, before any session is promised to it.
import type { Capabilities, EncoderFinding } from "../../contracts/catalog.js";
import { inTime } from "./in-time.js";
import { verifyEncoder } from "./verify-encoder.js";
import {
  type EncoderDriver,
  EncoderError,
  encoderThreads,
  pictureBytes,
  type VideoEncoder,
  videoClockRate,
} from "./video-encoder.js";
import { sustainedMode } from "./video-mode.js";

const mode = { width: 1280, height: 720, fps: 60 };
const warmUpFrames = 10;
const measureMs = 500;
const stretchFrames = 12;
/** The slowest of the presets' wishes. */
const encoding = { effort: "moderate", vbvFrames: 1 } as const;
const bitrateKbps = 8_000;
/** An encoder that hangs must not keep the next from being tried; the last has the time that the whole probe has. */
const tryMsMax = 5_000;
const detailCharsMax = 500;

/**
 * Takes less than a second for each encoder that works.
 * @throws EncoderError, naming what is wrong with each, when the machine cannot encode.
 */
export async function probe(drivers: readonly EncoderDriver[], cores: number): Promise<Capabilities> {
  const threads = encoderThreads(cores);
  const scene = noisyScene(pictureBytes(mode));
  const encoders: EncoderFinding[] = [];
  for (const driver of drivers) {
    const trying = measure(driver, threads, scene);
    const isLast = driver === drivers.at(-1);
    encoders.push(await finding(driver, isLast ? trying : inTime(trying, tryMsMax, "it did not encode within")));
  }
  const chosen = encoders.find(({ works }) => works);
  if (chosen === undefined)
    throw new EncoderError(`no encoder works: ${encoders.map(({ name, detail }) => `${name}: ${detail}`).join("; ")}`);
  const { name, pixelsPerSecond } = chosen;
  const { runsOn } = drivers.find((driver) => driver.name === name)!;
  const encodersAtOnce = runsOn === "gpu" ? 1 : Math.max(1, cores / threads);
  return {
    encoder: name,
    pixelsPerSecond: pixelsPerSecond!,
    ...sustainedMode(pixelsPerSecond!, { encodersAtOnce, runsOn }),
    encoders,
  };
}

async function finding({ name }: EncoderDriver, measured: Promise<number>): Promise<EncoderFinding> {
  try {
    const pixelsPerSecond = await measured;
    const megapixels = Math.round(pixelsPerSecond / 1e6);
    return { name, works: true, detail: `encodes ${megapixels} million pixels a second`, pixelsPerSecond };
  } catch (error) {
    if (!(error instanceof EncoderError)) throw error;
    return { name, works: false, detail: error.message.slice(0, detailCharsMax), pixelsPerSecond: null };
  }
}

/** Luma pixels a second. @throws EncoderError when it does not encode as it must. */
async function measure(driver: EncoderDriver, threads: number, scene: Buffer): Promise<number> {
  const picture = Buffer.alloc(pictureBytes(mode), 128);
  const luma = mode.width * mode.height;
  const draw = (frame: number) => {
    const from = (frame * 1_282) % (scene.length - picture.length);
    scene.copy(picture, 0, from, from + picture.length);
  };
  const open = () => driver.open({ mode, picture, bitrateKbps, threads, encoding });
  await using(await open(), (encoder) => verifyEncoder(encoder, picture, luma, draw));
  const clock = driver.runsOn === "cpu" ? threadClock(threads) : wallClock;
  return using(await open(), (encoder) => speedOf(encoder, draw, clock));
}

async function using<T>(encoder: VideoEncoder, use: (encoder: VideoEncoder) => Promise<T>): Promise<T> {
  try {
    return await use(encoder);
  } finally {
    await encoder.close();
  }
}

/** Starts to measure; what it answers tells how much time has been spent since, ms. */
type Clock = () => () => number;

const wallClock: Clock = () => {
  const startMs = performance.now();
  return () => performance.now() - startMs;
};

/** Of each of so many threads, which share the work. */
const threadClock =
  (threads: number): Clock =>
  () => {
    const start = process.cpuUsage();
    return () => {
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 1000 / threads;
    };
  };

async function speedOf(encoder: VideoEncoder, draw: (frame: number) => void, clock: Clock): Promise<number> {
  let frames = 0;
  let stretchMs = 0;
  let bestMs = Number.POSITIVE_INFINITY;
  const passedMs = wallClock();
  while (passedMs() < measureMs || bestMs === Number.POSITIVE_INFINITY) {
    draw(frames);
    const spentMs = clock();
    await encoder.encode(frames * (videoClockRate / mode.fps), frames === 0);
    frames++;
    if (frames <= warmUpFrames) continue;
    stretchMs += spentMs();
    if ((frames - warmUpFrames) % stretchFrames !== 0) continue;
    bestMs = Math.min(bestMs, stretchMs);
    stretchMs = 0;
  }
  return Math.round((stretchFrames * mode.width * mode.height * 1000) / bestMs);
}

/** More pixels than a picture has, so that windows of it make a moving picture: soft waves under a little grain. */
function noisyScene(bytes: number): Buffer {
  const scene = Buffer.alloc(bytes + mode.width * 64);
  let grain = 1;
  for (let i = 0; i < scene.length; i++) {
    grain = (grain * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    const row = (i / mode.width) | 0;
    scene[i] = 96 + 40 * Math.sin(row / 24) + (((i % mode.width) >> 5) & 1) * 32 + (grain >> 28);
  }
  return scene;
}
