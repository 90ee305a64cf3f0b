// What the player sees of the stream, from two WebRTC statistics reports (W3C webrtc-stats). Pure.

import type { PlayerStats } from "./api.js";

/** The counters a rate needs the previous value of. */
export interface StatsSample {
  readonly atMs: number;
  readonly frames: number;
  readonly bytes: number;
  readonly received: number;
  readonly lost: number;
  readonly width: number;
  readonly height: number;
  readonly rttMs: number | null;
  readonly audioEnergy: number;
}

/** `reports`: the values of an RTCStatsReport. */
export function sample(reports: Iterable<Record<string, unknown>>, atMs: number): StatsSample {
  const all = [...reports];
  const number = (report: Record<string, unknown> | undefined, name: string) =>
    typeof report?.[name] === "number" ? report[name] : 0;
  const inbound = (kind: string) => all.find((report) => report.type === "inbound-rtp" && report.kind === kind);
  const video = inbound("video");
  const audio = inbound("audio");
  const pair = all.find((report) => report.type === "candidate-pair" && report.nominated && report.state !== "failed");
  return {
    atMs,
    frames: number(video, "framesDecoded"),
    bytes: number(video, "bytesReceived") + number(audio, "bytesReceived"),
    received: number(video, "packetsReceived"),
    lost: number(video, "packetsLost"),
    width: number(video, "frameWidth"),
    height: number(video, "frameHeight"),
    rttMs: typeof pair?.currentRoundTripTime === "number" ? pair.currentRoundTripTime * 1000 : null,
    audioEnergy: number(audio, "totalAudioEnergy"),
  };
}

/** What one connection's path gives: the latency is measured across them. */
export type PathRates = Omit<PlayerStats, "latency" | "verdict">;

/** Rates between two samples of one connection; null without time between them, or when the counters started anew. */
export function rates(before: StatsSample, after: StatsSample): PathRates | null {
  const seconds = (after.atMs - before.atMs) / 1000;
  if (seconds <= 0 || after.bytes < before.bytes || after.frames < before.frames) return null;
  const lost = Math.max(0, after.lost - before.lost);
  const expected = lost + Math.max(0, after.received - before.received);
  return {
    width: after.width,
    height: after.height,
    fps: (after.frames - before.frames) / seconds,
    bitrateKbps: ((after.bytes - before.bytes) * 8) / 1000 / seconds,
    rttMs: after.rttMs,
    lossRatio: expected === 0 ? 0 : lost / expected,
    audioEnergy: after.audioEnergy,
  };
}
