// From a key press in the page to the pixels that show it, in the browser's clock alone; and what the receipts of frames
// say of the same presses.
//
// Measured: headless Chromium on this machine plays the demo game at 720p60 through everything `hotseat up` starts. A
// `keydown` or `keyup` is dispatched at a random moment; the flip of the legend's key cap is seen by reading the video's
// pixels back after each requestVideoFrameCallback, whose time counts. Measured is play: the first seconds, in which game
// and browser start on the same cores, are let go by. Against: the 33 ms (two frame intervals) of the issue. Pixels
// decide; the receipts' median of the same session, as its status tells it, is to be within one frame of theirs. Beside
// it the median of each stage, and the frames a second that came. Repeat: npm run bench -- input-to-picture
import { setTimeout as sleep } from "node:timers/promises";
import { openBrowser } from "../test/support/browser.js";
import { startUp } from "../test/support/hotseat.js";
import { keyFlips } from "../test/support/key-flips.js";
import { play } from "../test/support/play.js";
import { reportedLatency } from "../test/support/stream-status.js";
import { report, round, spread } from "./support/statistics.js";

const smoke = process.argv.includes("--smoke");
const flips = smoke ? 30 : 120;
const settleMs = smoke ? 4_000 : 10_000;
const frameMs = 1000 / 60;

await using hotseat = await startUp();
await using browser = await openBrowser();
await play(browser.page, hotseat.link, { quality: "720p60" });
await sleep(settleMs);

const { times, lost, picture, fps, contrast } = await keyFlips(browser.page, flips);
const { session } = await reportedLatency(hotseat, (latency) => latency.session.inputs >= times.length);
const pixels = spread(times);
const receipts = session.stages.total!;
const difference = round((receipts.p50 - pixels.p50_ms) / frameMs, 2);
report({
  bench: "input-to-picture",
  ...pixels,
  receipts_p50_ms: round(receipts.p50),
  receipts_p95_ms: round(receipts.p95),
  difference_frames: difference,
  stages_p50_ms: Object.fromEntries(Object.entries(session.stages).map(([stage, { p50 }]) => [stage, round(p50)])),
  frames: session.frames,
  skipped: session.skipped,
  presses: times.length,
  lost,
  picture,
  fps: round(fps),
  contrast: round(contrast),
});
