// From a key press in the page to the pixels that show it, in the browser's clock alone.
//
// Measured: headless Chromium on this machine plays the demo game at 720p60 through everything `hotseat up` starts. A
// `keydown` or `keyup` is dispatched at a random moment; the flip of the legend's key cap is seen by reading the
// video's pixels back in each requestVideoFrameCallback. Against: the 40 ms (2.4 frame intervals) of the issue.
// Repeat: npm run bench -- input-to-picture
import { capRects } from "../src/agent/games/demo/layout.js";
import { openBrowser } from "../test/support/browser.js";
import { startUp } from "../test/support/hotseat.js";
import { play } from "../test/support/play.js";
import { report, round, spread } from "./support/statistics.js";

const flips = process.argv.includes("--smoke") ? 20 : 120;

await using hotseat = await startUp();
await using browser = await openBrowser();
await play(browser.page, hotseat.link, { quality: "720p60" });

const measured = await browser.page.evaluate(
  async ({ count, rect }) => {
    const video = document.querySelector<HTMLVideoElement>("#video")!;
    const canvas = new OffscreenCanvas(1, 1);
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    const brightness = () => {
      const { videoWidth: w, videoHeight: h } = video;
      // The cap's middle half: its edge is shared with the background.
      const x = (rect.x + rect.width / 4) * w;
      const y = (rect.y + rect.height * 0.7) * h;
      context.drawImage(video, x, y, (rect.width / 2) * w, rect.height * 0.15 * h, 0, 0, 1, 1);
      const [r = 0, g = 0, b = 0] = context.getImageData(0, 0, 1, 1).data;
      return (r + g + b) / 3;
    };
    const nextFrame = () => new Promise<void>((resolve) => video.requestVideoFrameCallback(() => resolve()));
    const press = (down: boolean) =>
      window.dispatchEvent(
        new KeyboardEvent(down ? "keydown" : "keyup", {
          code: "ArrowLeft",
          key: "ArrowLeft",
          bubbles: true,
          cancelable: true,
        }),
      );
    const settle = async (ms: number) => {
      const end = performance.now() + ms;
      while (performance.now() < end) await nextFrame();
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 17));
    };
    // What dark and bright look like here.
    await settle(500);
    const dark = brightness();
    press(true);
    await settle(300);
    const bright = brightness();
    press(false);
    await settle(300);
    const middle = (dark + bright) / 2;
    const times: number[] = [];
    let lost = 0;
    for (let i = 0; i < count; i++) {
      const down = i % 2 === 0;
      await settle(120 + Math.random() * 120);
      const start = performance.now();
      press(down);
      for (;;) {
        await nextFrame();
        if (brightness() > middle === down) {
          times.push(performance.now() - start);
          break;
        }
        if (performance.now() - start > 1_000) {
          lost++;
          break;
        }
      }
    }
    return { dark, bright, times, lost, width: video.videoWidth, height: video.videoHeight };
  },
  { count: flips, rect: capRects.left },
);

if (measured.bright - measured.dark < 40)
  throw new Error(`the key cap cannot be read: ${measured.dark} → ${measured.bright}`);
if (measured.lost > flips / 20) throw new Error(`${measured.lost} of ${flips} presses were never seen`);
report({
  bench: "input-to-picture",
  ...spread(measured.times),
  presses: measured.times.length,
  lost: measured.lost,
  picture: `${measured.width}x${measured.height}`,
  contrast: round(measured.bright - measured.dark),
});
