// Counts the pictures a page shows, and how long the longest stood still.
import type { Page } from "playwright-core";

export interface Frames {
  /** Since `restart`, or since watching began; a picture that stands still now counts too. */
  seen(): Promise<{ count: number; longestMs: number }>;
  restart(): Promise<void>;
}

interface Watch {
  count: number;
  longestMs: number;
  lastAtMs: number;
}
type Watching = { watch?: Watch };

// A page is watched once, however often it is asked for.
const watched = new WeakSet<Page>();

export async function watchFrames(page: Page): Promise<Frames> {
  const restart = () =>
    page.evaluate(() => {
      Object.assign(window, { watch: { count: 0, longestMs: 0, lastAtMs: performance.now() } });
    });
  await restart();
  if (!watched.has(page)) await page.evaluate(countPictures);
  watched.add(page);
  return {
    restart,
    seen: () =>
      page.evaluate(() => {
        const { count, longestMs, lastAtMs } = (window as Watching).watch!;
        return { count, longestMs: Math.round(Math.max(longestMs, performance.now() - lastAtMs)) };
      }),
  };
}

function countPictures(): void {
  const video = document.querySelector<HTMLVideoElement>("#video")!;
  const shown = (nowMs: number) => {
    const { watch } = window as Watching;
    if (watch === undefined) return;
    watch.count++;
    watch.longestMs = Math.max(watch.longestMs, nowMs - watch.lastAtMs);
    watch.lastAtMs = Math.max(watch.lastAtMs, nowMs);
    video.requestVideoFrameCallback(shown);
  };
  video.requestVideoFrameCallback(shown);
}
