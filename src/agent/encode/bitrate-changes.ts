// When an encoder is told a new bitrate. A change too small to see is not worth restarting its rate control; where each
// costs a keyframe, a burst several frames long, only what the path cannot carry is worth one at once.
import type { EncoderDriver } from "./video-encoder.js";

const stepMin = 0.03;
const withKeyframe = { downMin: 0.1, upMin: 0.2, upMsMin: 3_000 } as const;

export function worthNewBitrate(
  nowKbps: number,
  wantedKbps: number,
  costs: EncoderDriver["newBitrateCosts"],
  sinceLastMs: number,
): boolean {
  const change = wantedKbps / nowKbps - 1;
  if (costs === "nothing") return Math.abs(change) >= stepMin;
  return change <= -withKeyframe.downMin || (change >= withKeyframe.upMin && sinceLastMs >= withKeyframe.upMsMin);
}
