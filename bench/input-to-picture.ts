// From a key press in the page to the pixels that show it, in the browser's clock alone; and what the receipts of frames
// say of the same presses.
//
// Measured: headless Chromium on this machine plays the demo game at 720p60 through everything `hotseat up` starts. A
// `keydown` or `keyup` is dispatched at a random moment; the flip of the legend's key cap is seen by reading the video's
// pixels back after each requestVideoFrameCallback, whose time counts. Measured is play: the first seconds, in which game
// and browser start on the same cores, are let go by; and three sessions one after the other, since each session's frames
// come at a phase of their own within the display's refresh, which alone is worth up to a frame. Against: the 33 ms (two
// frame intervals) of the issue, for all presses together. Pixels decide; the receipts' median of the same session, as its
// status tells it, is to be within one frame of theirs (`difference_frames`, the session that is farthest off). Beside
// them the middle session's median of each stage, and each session's frames a second.
// Repeat: npm run bench -- input-to-picture
import { setTimeout as sleep } from "node:timers/promises";
import { openBrowser } from "../test/support/browser.js";
import { startUp } from "../test/support/hotseat.js";
import { keyFlips } from "../test/support/key-flips.js";
import { endSession, play } from "../test/support/play.js";
import { reportedLatency } from "../test/support/stream-status.js";
import { percentile, report, round, spread } from "./support/statistics.js";

const smoke = process.argv.includes("--smoke");
const sessions = smoke ? 1 : 3;
const flips = smoke ? 30 : 50;
const settleMs = smoke ? 4_000 : 10_000;
const frameMs = 1000 / 60;

await using hotseat = await startUp();
await using browser = await openBrowser();
const measured: Awaited<ReturnType<typeof playOnce>>[] = [];
for (let i = 0; i < sessions; i++) measured.push(await playOnce());

const byReceipts = measured.map(({ latency }) => latency).sort((a, b) => a.stages.total!.p50 - b.stages.total!.p50);
const middle = byReceipts[Math.floor(sessions / 2)]!;
const times = measured.flatMap(({ pixels }) => pixels.times);
const differences = measured.map(
  ({ pixels, latency }) => (latency.stages.total!.p50 - percentile(pixels.times, 50)) / frameMs,
);
report({
  bench: "input-to-picture",
  ...spread(times),
  by_session_p50_ms: measured.map(({ pixels }) => round(percentile(pixels.times, 50))),
  receipts_p50_ms: round(middle.stages.total!.p50),
  receipts_p95_ms: round(middle.stages.total!.p95),
  difference_frames: round(differences.sort((a, b) => Math.abs(b) - Math.abs(a))[0]!, 2),
  stages_p50_ms: Object.fromEntries(Object.entries(middle.stages).map(([stage, { p50 }]) => [stage, round(p50)])),
  frames: middle.frames,
  skipped: middle.skipped,
  presses: times.length,
  lost: measured.reduce((lost, { pixels }) => lost + pixels.lost, 0),
  picture: measured[0]!.pixels.picture,
  fps: measured.map(({ pixels }) => round(pixels.fps)),
  contrast: round(measured[0]!.pixels.contrast),
});

async function playOnce() {
  await play(browser.page, hotseat.link, { quality: "720p60" });
  await sleep(settleMs);
  const pixels = await keyFlips(browser.page, flips);
  const { session: latency } = await reportedLatency(hotseat, ({ session }) => session.inputs >= pixels.times.length);
  await endSession(browser.page);
  return { pixels, latency };
}
