import { expect, test } from "vitest";
import { rates, sample } from "./statistics.js";

const report = (frames: number, bytes: number, received: number, lost: number) => [
  {
    type: "inbound-rtp",
    kind: "video",
    framesDecoded: frames,
    bytesReceived: bytes,
    packetsReceived: received,
    packetsLost: lost,
    frameWidth: 1280,
    frameHeight: 720,
  },
  { type: "inbound-rtp", kind: "audio", bytesReceived: 0, totalAudioEnergy: 0.25 },
  { type: "candidate-pair", nominated: false, state: "succeeded", currentRoundTripTime: 9 },
  { type: "candidate-pair", nominated: true, state: "succeeded", currentRoundTripTime: 0.012 },
];

test("rates are what changed between two samples, over the time between them", () => {
  const before = sample(report(100, 1_000_000, 1_000, 10), 5_000);
  const after = sample(report(220, 2_500_000, 1_090, 20), 7_000);
  expect(rates(before, after)).toEqual({
    width: 1280,
    height: 720,
    fps: 60,
    bitrateKbps: 6_000,
    rttMs: 12,
    lossRatio: 0.1,
    audioEnergy: 0.25,
  });
});

test("counters that started anew, or no time in between, give no rates", () => {
  const before = sample(report(100, 1_000_000, 1_000, 10), 5_000);
  expect(rates(before, sample(report(3, 9_000, 10, 0), 6_000))).toBeNull();
  expect(rates(before, before)).toBeNull();
});

test("an empty report is zeros and an unknown round-trip time", () => {
  expect(sample([], 0)).toMatchObject({ frames: 0, bytes: 0, rttMs: null, audioEnergy: 0 });
});
