// What this machine's encoder sustains, found by encoding: moving pictures at 720p, flat out, for half a second after a
// warm-up. The best stretch of frames counts: what slows the others down (a starting database, a neighbour's burst) is
// not the encoder's speed, and the headroom in video-mode.ts is there for what runs beside it. A machine whose encoder
// does not work throws here, before any session is promised to it.
import type { Capabilities } from "../../contracts/catalog.js";
import { encoderThreads, pictureBytes, videoClockRate } from "./video-encoder.js";
import { sustainedMode } from "./video-mode.js";
import { x264 } from "./x264.js";

const mode = { width: 1280, height: 720, fps: 60 };
const warmUpFrames = 10;
const measureMs = 500;
const stretchFrames = 12;
const bitrateKbps = 8_000;
const encoding = { effort: "moderate", vbvFrames: 1 } as const;

/** Takes less than a second. @throws EncoderError when the machine cannot encode. */
export async function probe(cores: number): Promise<Capabilities> {
  const picture = Buffer.alloc(pictureBytes(mode));
  const threads = encoderThreads(cores);
  const encoder = await x264.open({ mode, picture, bitrateKbps, threads, encoding });
  try {
    const scene = noisyScene(picture.length);
    let frames = 0;
    let encodingMs = 0;
    let stretchMs = 0;
    let bestMs = Number.POSITIVE_INFINITY;
    while (encodingMs < measureMs || bestMs === Number.POSITIVE_INFINITY) {
      const from = (frames * 1_282) % (scene.length - picture.length);
      scene.copy(picture, 0, from, from + picture.length);
      const startMs = performance.now();
      await encoder.encode(frames * (videoClockRate / mode.fps), frames === 0);
      frames++;
      if (frames <= warmUpFrames) continue;
      const frameMs = performance.now() - startMs;
      encodingMs += frameMs;
      stretchMs += frameMs;
      if ((frames - warmUpFrames) % stretchFrames !== 0) continue;
      bestMs = Math.min(bestMs, stretchMs);
      stretchMs = 0;
    }
    const pixelsPerSecond = Math.round((stretchFrames * mode.width * mode.height * 1000) / bestMs);
    const encodersAtOnce = Math.max(1, cores / threads);
    return { encoder: x264.name, pixelsPerSecond, ...sustainedMode(pixelsPerSecond, encodersAtOnce) };
  } finally {
    await encoder.close();
  }
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
