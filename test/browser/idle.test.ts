// A player who walks away: the seat is not theirs for ever.
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Browser, openBrowser } from "../support/browser.js";
import { type RunningHotseat, startUp } from "../support/hotseat.js";
import { play } from "../support/play.js";
import { sessionsOf } from "../support/sessions.js";

let hotseat: RunningHotseat;
let browser: Browser;
beforeAll(async () => {
  hotseat = await startUp({ settings: { orchestrator: { idleSecondsMax: 2 } } });
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await hotseat?.[Symbol.asyncDispose]();
});

it("ends the session of a player who touches nothing for the configured time, and says so", async () => {
  const { page } = browser;
  await play(page, hotseat.link);
  await page.locator(".overlay-text", { hasText: "Nothing was pressed for a long time" }).waitFor();
  expect(await sessionsOf(hotseat)).toMatchObject([{ status: "ENDED", end: { reason: "idle" } }]);
});
