// From a key press in the page to the pixels that show it, in the page's clock: the demo game's legend lights up the cap
// of a key that is held.
import type { Page } from "playwright-core";
import { capRects } from "../../src/agent/games/demo/layout.js";

export interface KeyFlips {
  /** From each `keydown` or `keyup` that was seen to the showing of the frame whose pixels tell of it, ms. */
  readonly times: readonly number[];
  /** Never seen within a second. */
  readonly lost: number;
  readonly picture: string;
  /** Frames that came, a second, all the while. */
  readonly fps: number;
  /** Of a held and a free cap, of 219. */
  readonly contrast: number;
}

/**
 * Presses and lets go of a key, at random moments, and reads the video's pixels back in each requestVideoFrameCallback.
 * @throws Error when the cap cannot be read, or too many presses were never seen
 */
export async function keyFlips(page: Page, count: number): Promise<KeyFlips> {
  const { dark, bright, ...measured } = await page.evaluate(flipInPage, { count, rect: capRects.left });
  const contrast = bright - dark;
  if (contrast < 40) throw new Error(`the key cap cannot be read: ${dark} → ${bright}`);
  if (measured.lost > count / 20) throw new Error(`${measured.lost} of ${count} presses were never seen`);
  return { ...measured, contrast };
}

async function flipInPage({ count, rect }: { count: number; rect: typeof capRects.left }) {
  const video = document.querySelector<HTMLVideoElement>("#video")!;
  const { videoWidth, videoHeight } = video;
  const even = (size: number) => 2 * Math.round(size / 2);
  // The cap's middle half: its edge is shared with the background.
  const area = {
    x: even((rect.x + rect.width / 4) * videoWidth),
    y: even((rect.y + rect.height * 0.7) * videoHeight),
    width: even((rect.width / 2) * videoWidth),
    height: even(rect.height * 0.15 * videoHeight),
  };
  const samples = new Uint8Array(area.width * area.height * 2);
  /** Mean luma. Of the decoded frame as it is: by a canvas it would take 9 ms, and keep the page from its work. */
  const brightness = async () => {
    const frame = new VideoFrame(video);
    if (frame.format !== "I420") throw new Error(`the browser decodes to ${frame.format}, not I420`);
    await frame.copyTo(samples, { rect: area });
    frame.close();
    const luma = samples.subarray(0, area.width * area.height);
    return luma.reduce((sum, code) => sum + code, 0) / luma.length;
  };
  /** Answers when it was shown: what reading its pixels takes does not count. */
  const nextFrame = () =>
    new Promise<number>((resolve) => video.requestVideoFrameCallback(() => resolve(performance.now())));
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
  const dark = await brightness();
  press(true);
  await settle(300);
  const bright = await brightness();
  press(false);
  await settle(300);
  const middle = (dark + bright) / 2;
  const came = () => ({ frames: video.getVideoPlaybackQuality().totalVideoFrames, ms: performance.now() });
  const before = came();
  const times: number[] = [];
  let lost = 0;
  for (let i = 0; i < count; i++) {
    const down = i % 2 === 0;
    await settle(120 + Math.random() * 120);
    const start = performance.now();
    press(down);
    for (;;) {
      const shown = await nextFrame();
      if ((await brightness()) > middle === down) {
        times.push(shown - start);
        break;
      }
      if (shown - start > 1_000) {
        lost++;
        break;
      }
    }
  }
  const after = came();
  const fps = ((after.frames - before.frames) * 1000) / (after.ms - before.ms);
  return { dark, bright, times, lost, picture: `${videoWidth}x${videoHeight}`, fps };
}
