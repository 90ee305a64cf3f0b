// What a page has measured from inputs to the pictures that show them: said to ingest every 5 s, and told on by it.
//
// It is the player's word: bounded, shown and counted, and nothing is ever decided by it.
import * as z from "zod";

export const latencyLimits = {
  /** Between two reports of a page. */
  reportMs: 5_000,
  /** One that comes sooner after the one before is not looked at. */
  reportMsMin: 1_000,
  /** What "recent" is. */
  recentMs: 10_000,
} as const;

/**
 * Where the time from an input to its picture goes. `total`: all of it, by the page's clock. `network`: there and back,
 * and whatever else no stage names. `wait`: for the machine's next frame. `draw` (or capture), `encode`, `send` (until
 * the frame's last packet has left). `decode`, and `present`: in the browser besides decoding, until it is shown.
 */
export const latencyStages = ["total", "network", "wait", "draw", "encode", "send", "decode", "present"] as const;
export const latencyStage = z.enum(latencyStages);
export type LatencyStage = z.infer<typeof latencyStage>;

const ms = z.number().min(0).max(60_000);
const count = z.int().min(0).max(1_000_000_000);

export const percentiles = z.strictObject({ p50: ms, p95: ms, p99: ms }).meta({ id: "Percentiles" });
export type Percentiles = z.infer<typeof percentiles>;

export const stagePercentiles = z.partialRecord(latencyStage, percentiles);
export type StagePercentiles = z.infer<typeof stagePercentiles>;

/** Of some stretch of time. */
const measured = {
  inputs: count.describe("Inputs followed to their picture"),
  frames: count.describe("Frames shown whose receipts came"),
  skipped: count.describe("Frames the machine left out, because it could not make them in time"),
  heldBack: count.describe("Frames the machine left out, because the path had no room for them"),
  stages: stagePercentiles.describe(
    `By stage (${latencyStages.map((stage) => `\`${stage}\``).join(", ")}): p50, p95 and p99 in ms; one never seen is left out`,
  ),
};

export const recentLatency = z
  .strictObject({
    ...measured,
    fps: z.int().min(1).max(255).describe("Frames a second the machine aims at"),
    jitterMs: ms.describe("How much later than the quickest frames the others arrive: p95"),
    rttMs: ms.nullable().describe("To the machine and back by ICE's checks, to compare; null: unknown"),
    lossRatio: z.number().min(0).max(1).describe("Packets lost of all"),
  })
  .meta({ id: "RecentLatency" });
export type RecentLatency = z.infer<typeof recentLatency>;

export const sessionLatency = z.strictObject(measured).meta({ id: "SessionLatency" });
export type SessionLatency = z.infer<typeof sessionLatency>;

export const latencyReport = z.strictObject({
  control: z.enum(["data-channel", "websocket"]).nullable().describe("The way input takes; null: none yet"),
  recent: recentLatency
    .nullable()
    .describe("The last 10 s; null: no frame shown has a receipt, as where data channels do not open"),
  session: sessionLatency.describe("Since the page was loaded"),
});
export type LatencyReport = z.infer<typeof latencyReport>;
