// The encoders there are, the first choice first: a GPU's own leaves the CPU to the game, and NVIDIA's before VAAPI, which
// on an NVIDIA machine would be the graphics of its processor.
import { nvenc } from "./nvenc.js";
import { vaapi } from "./vaapi.js";
import type { EncoderDriver } from "./video-encoder.js";
import { x264 } from "./x264.js";

export const encoderDrivers: readonly EncoderDriver[] = [nvenc, vaapi, x264];
