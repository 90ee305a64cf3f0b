// What latency figures mean, in words with the numbers behind them. Pure, and the same for the page, the operator's
// status and the metrics: no words of the player's are ever repeated.
//
// The suspects stand with causes before their symptoms (an encoder over its budget makes the machine skip frames), and
// the first that is over its limit is named.
import * as z from "zod";
import type { LatencyReport, RecentLatency } from "./latency.js";

export const verdictLimits = {
  /** Fewer frames, or fewer made at all, say nothing yet. */
  framesMin: 30,
  encodeOfFrameMax: 1,
  drawOfFrameMax: 0.5,
  skippedRatioMax: 0.02,
  heldBackRatioMax: 0.02,
  lossRatioMax: 0.02,
  jitterMsMax: 20,
  sendOfFrameMax: 0.5,
  networkMsMax: 60,
  decodeOfFrameMax: 0.8,
  presentOfFrameMax: 3,
} as const;

export const verdictKind = z.enum([
  "all-well",
  "not-measured",
  "encoder",
  "drawing",
  "skipped-frames",
  "network-rate",
  "network-loss",
  "network-jitter",
  "network-pace",
  "network-delay",
  "decoding",
  "presenting",
]);
export type VerdictKind = z.infer<typeof verdictKind>;

export const verdict = z
  .object({ kind: verdictKind, detail: z.string().describe("For people, with the numbers behind it") })
  .meta({ id: "LatencyVerdict" });
export type Verdict = z.infer<typeof verdict>;

interface Suspect {
  readonly kind: VerdictKind;
  /** What it comes to, and from where on that is too much. */
  readonly judge: (recent: RecentLatency, frameMs: number) => readonly [value: number, max: number];
  readonly words: (recent: RecentLatency, frameMs: number) => string;
}

const p95 = ({ stages }: RecentLatency, stage: keyof RecentLatency["stages"]) => stages[stage]?.p95 ?? 0;
const ofAll = (count: number, { frames, skipped, heldBack }: RecentLatency) => count / (frames + skipped + heldBack);

const limits = verdictLimits;
const suspects: readonly Suspect[] = [
  {
    kind: "encoder",
    judge: (recent, frameMs) => [p95(recent, "encode"), limits.encodeOfFrameMax * frameMs],
    words: (recent, frameMs) => `encoder over budget: ${number(p95(recent, "encode"))} ms of ${number(frameMs)}`,
  },
  {
    kind: "drawing",
    judge: (recent, frameMs) => [p95(recent, "draw"), limits.drawOfFrameMax * frameMs],
    words: (recent, frameMs) =>
      `the machine draws or captures too slowly: ${number(p95(recent, "draw"))} ms of ${number(frameMs)}`,
  },
  {
    kind: "skipped-frames",
    judge: (recent) => [ofAll(recent.skipped, recent), limits.skippedRatioMax],
    words: (recent) => `the machine skips frames: ${percent(ofAll(recent.skipped, recent))} of ${recent.fps} a second`,
  },
  {
    kind: "network-rate",
    judge: (recent) => [ofAll(recent.heldBack, recent), limits.heldBackRatioMax],
    words: (recent) =>
      `network: no room for ${percent(ofAll(recent.heldBack, recent))} of ${recent.fps} frames a second`,
  },
  {
    kind: "network-loss",
    judge: ({ lossRatio }) => [lossRatio, limits.lossRatioMax],
    words: ({ lossRatio }) => `network: ${percent(lossRatio)} of the packets are lost`,
  },
  {
    kind: "network-jitter",
    judge: ({ jitterMs }) => [jitterMs, limits.jitterMsMax],
    words: ({ jitterMs }) => `network: ${number(jitterMs)} ms of jitter`,
  },
  {
    kind: "network-pace",
    judge: (recent, frameMs) => [p95(recent, "send"), limits.sendOfFrameMax * frameMs],
    words: (recent, frameMs) =>
      `network: a frame takes ${number(p95(recent, "send"))} ms of ${number(frameMs)} to send`,
  },
  {
    kind: "network-delay",
    judge: ({ stages }) => [stages.network?.p50 ?? 0, limits.networkMsMax],
    words: ({ stages, rttMs }) =>
      `network: ${number(stages.network?.p50 ?? 0)} ms there and back${rttMs === null ? "" : `, ${number(rttMs)} of them the bare path`}`,
  },
  {
    kind: "decoding",
    judge: (recent, frameMs) => [p95(recent, "decode"), limits.decodeOfFrameMax * frameMs],
    words: (recent) => `the browser decodes too slowly: ${number(p95(recent, "decode"))} ms a frame`,
  },
  {
    kind: "presenting",
    judge: (recent, frameMs) => [p95(recent, "present"), limits.presentOfFrameMax * frameMs],
    words: (recent) => `the browser shows frames late: ${number(p95(recent, "present"))} ms besides decoding`,
  },
];

export function verdictOf({ recent, control }: Pick<LatencyReport, "recent" | "control">): Verdict {
  if (recent === null) {
    const why =
      control === "websocket"
        ? "input goes by WebSocket, receipts need a data channel"
        : "no frame shown has a receipt";
    return { kind: "not-measured", detail: `nothing is measured: ${why}` };
  }
  if (recent.frames + recent.skipped + recent.heldBack < limits.framesMin)
    return { kind: "not-measured", detail: `too little was seen yet: ${recent.frames} frames` };
  const frameMs = 1000 / recent.fps;
  for (const { kind, judge, words } of suspects) {
    const [value, max] = judge(recent, frameMs);
    if (value > max) return { kind, detail: words(recent, frameMs) };
  }
  const total = recent.stages.total;
  return {
    kind: "all-well",
    detail: total === undefined ? "all well" : `all well: ${number(total.p50)} ms from input to picture`,
  };
}

const number = (value: number): string => (value < 100 ? String(Number(value.toFixed(1))) : value.toFixed(0));
const percent = (ratio: number): string => `${number(ratio * 100)} %`;
