// What a person does: open the link, choose a quality, press Play, and wait for the picture; and End.
import type { Page } from "playwright-core";

/** Resolves when the game's picture moves; with what the page said on the way. */
export async function play(page: Page, link: string, options: { game?: string; quality?: string } = {}): Promise<void> {
  await page.goto(link);
  const card = page.locator(`[data-game="${options.game ?? "demo"}"]`);
  await card.waitFor();
  if (options.quality !== undefined) await page.check(`input[name=quality][value="${options.quality}"]`);
  await card.getByRole("button", { name: "Play" }).click();
  await page.locator('body[data-phase="playing"]').waitFor({ timeout: 60_000 });
  await page.waitForFunction(() => {
    const video = document.querySelector<HTMLVideoElement>("#video");
    return video !== null && video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 5;
  });
}

/** By the bar's button, whether the bar is to be seen or not: a machine that carries one session only has a place again. */
export async function endSession(page: Page): Promise<void> {
  await page.evaluate(() => document.querySelector<HTMLElement>("#end")!.click());
  await page.locator('body[data-phase="ended"]').waitFor();
}
