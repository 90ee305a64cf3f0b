// A tenant that has all the sessions it may have: the player hears it in words, and plays once a place is free.
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Browser, openBrowser } from "../support/browser.js";
import { type RunningHotseat, startUp } from "../support/hotseat.js";
import { play } from "../support/play.js";
import { sessionsOf } from "../support/sessions.js";

let hotseat: RunningHotseat;
let browser: Browser;
beforeAll(async () => {
  hotseat = await startUp({ settings: { tenants: { local: { sessionsMax: 1 } } } });
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await hotseat?.[Symbol.asyncDispose]();
});

it("says that all places are taken, and Try again plays when somebody has left", async () => {
  const { context, page } = browser;
  await play(page, hotseat.link);
  const second = await context.newPage();
  await second.goto(hotseat.link);
  await second.locator('[data-game="demo"]').getByRole("button", { name: "Play" }).click();
  await second.getByRole("heading", { name: "All places are taken" }).waitFor();
  expect(await second.locator(".overlay-text").textContent()).toContain("Try again when somebody has left");
  await second.screenshot({ path: "test-output/quota.png" });

  const live = (await sessionsOf(hotseat)).filter(({ status }) => status === "ACTIVE");
  expect(live).toHaveLength(1);
  const headers = { authorization: `Bearer ${hotseat.key("operate")}` };
  await fetch(`${hotseat.url}/api/session/v1/${live[0]!.sessionId}`, { method: "DELETE", headers });
  await second.getByRole("button", { name: "Try again" }).click();
  await second.locator('body[data-phase="playing"]').waitFor({ timeout: 60_000 });
});
