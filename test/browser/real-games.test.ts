// Real games as a person plays them: chosen in the list, seen in the page, steered by its keys, and gone afterwards.
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GameSummary } from "../../src/contracts/catalog.js";
import { openBrowser, phone } from "../support/browser.js";
import { type RunningHotseat, startUp, until } from "../support/hotseat.js";
import { audioEnergy, watchConnections } from "../support/picture.js";
import { play } from "../support/play.js";
import { newestOf } from "../support/sessions.js";
import { withoutProgram } from "../support/x11-room.js";

let hotseat: RunningHotseat;

beforeAll(async () => {
  hotseat = await startUp();
});
afterAll(() => hotseat?.[Symbol.asyncDispose]());

const newest = () => newestOf(hotseat);

/** The processes of games, by their program's name. */
const gameProcesses = () =>
  hotseat.processes().filter(({ command }) => /Xvfb|pulseaudio|parec|chromium-bsu|neverball/.test(command));

/** Average colour of parts of the newest decoded frame, each [x, y, width, height] in 0–1 of the picture. */
const colours = (page: Page, parts: number[][]) =>
  page.evaluate(async (parts) => {
    const video = document.querySelector<HTMLVideoElement>("#video")!;
    await new Promise<void>((resolve) => video.requestVideoFrameCallback(() => resolve()));
    const [width, height] = [320, 180];
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    context.drawImage(video, 0, 0, width, height);
    return parts.map(([x = 0, y = 0, w = 0, h = 0]) => {
      const { data } = context.getImageData(x * width, y * height, w * width, h * height);
      const sums = [0, 0, 0];
      data.forEach((value, i) => {
        if (i % 4 < 3) sums[i % 4]! += value;
      });
      return sums.map((sum) => (4 * sum) / data.length);
    });
  }, parts);

/** Which line of Chromium B.S.U.'s menu has the blue bar at its left; null: none. */
async function chosenLine(page: Page): Promise<number | null> {
  const lines = [0, 1, 2].map((line) => [0.02, (315 + line * 36.5) / 720, 0.18, 0.014]);
  const blueness = (await colours(page, lines)).map(([r, , b]) => b! - r!);
  const chosen = blueness.findIndex((value) => value > 40);
  return chosen < 0 ? null : chosen;
}

describe("Chromium B.S.U.", () => {
  it("is listed, seen, heard, and does what the keys say; the page ends it, and nothing of it is left", async () => {
    await using browser = await openBrowser();
    const { page } = browser;
    await watchConnections(page);
    await page.goto(hotseat.link);
    await page.locator('[data-game="neverball"]').waitFor();
    await page.screenshot({ path: "test-output/real-games.png", fullPage: true });
    await play(page, hotseat.link, { game: "chromium-bsu", quality: "720p60" });
    const line = (wanted: number) =>
      until(`line ${wanted} of the menu is chosen`, async () => (await chosenLine(page)) === wanted || undefined);
    await line(0);
    await page.keyboard.press("ArrowDown");
    await line(1);
    await page.keyboard.press("ArrowUp");
    await line(0);
    await page.screenshot({ path: "test-output/chromium-bsu-menu.png" });
    await page.keyboard.press("Enter");
    // The energy of the ship, a blue column at the left.
    const energy = [[0.02, 0.65, 0.04, 0.3]];
    await until("the game begins", async () => {
      const [[r = 0, , b = 0] = []] = await colours(page, energy);
      return b - r > 40 || undefined;
    });
    await page.keyboard.down("Space");
    await page.keyboard.down("ArrowLeft");
    const before = await audioEnergy(page);
    await until("it is heard", async () => (await audioEnergy(page)) > before + 1e-4 || undefined);
    await page.screenshot({ path: "test-output/chromium-bsu.png" });
    await page.keyboard.up("ArrowLeft");
    await page.keyboard.up("Space");
    expect(gameProcesses().length).toBeGreaterThan(3);
    await page.mouse.move(640, 5);
    await page.locator("#end").click();
    await until("the session has ended", async () => (await newest()).status === "ENDED" || undefined);
    await until("nothing of the game runs", async () => gameProcesses().length === 0 || undefined);
  });

  it("ends the session with a clear word when it is quit", async () => {
    await using browser = await openBrowser(phone);
    const { page } = browser;
    await page.goto(hotseat.link);
    await page.locator('[data-game="neverball"]').waitFor();
    await page.screenshot({ path: "test-output/real-games-phone.png", fullPage: true });
    await play(page, hotseat.link, { game: "chromium-bsu" });
    await until("the menu is there", async () => (await chosenLine(page)) === 0 || undefined);
    await page.screenshot({ path: "test-output/chromium-bsu-phone.png" });
    // The last line of the menu is the one above the first.
    await page.keyboard.press("ArrowUp");
    await until("another line is chosen", async () => (await chosenLine(page)) === null || undefined);
    await page.keyboard.press("Enter");
    await page.locator('body[data-phase="ended"]').waitFor();
    await page.screenshot({ path: "test-output/chromium-bsu-ended.png" });
    expect(await page.locator("body").textContent()).toContain("Chromium B.S.U. was quit.");
    expect((await newest()).end).toEqual({ reason: "game-exited", detail: "Chromium B.S.U. was quit." });
  });
});

describe("Ctrl-C", () => {
  it("in the middle of a real game leaves no process of it", async () => {
    await using browser = await openBrowser();
    await play(browser.page, hotseat.link, { game: "neverball" });
    expect(gameProcesses().length).toBeGreaterThan(3);
    expect(await hotseat.interrupt()).toBe(0);
    expect(hotseat.processes()).toStrictEqual([]);
  });
});

describe("a machine without the game", () => {
  it("says on its card what is missing, offers no Play, and refuses it to integrators with the same words", async () => {
    await using elsewhere = await startUp({ within: withoutProgram("/usr/games/neverball") });
    const why = "/usr/games/neverball is not there: apt-get install neverball";
    const headers = { authorization: `Bearer ${elsewhere.key("session")}`, "content-type": "application/json" };
    // Before its first machine is ready nobody can know.
    await until("the machine has been looked at", async () => {
      const response = await fetch(`${elsewhere.url}/api/session/v1/games`, { headers });
      const { games } = (await response.json()) as { games: GameSummary[] };
      return games.some(({ unavailable }) => unavailable === why) || undefined;
    });
    await using browser = await openBrowser();
    const { page } = browser;
    await page.goto(elsewhere.link);
    const card = page.locator('[data-game="neverball"]');
    await card.waitFor();
    expect(await card.textContent()).toContain(`Not available here: ${why}.`);
    expect(await card.getByRole("button").count()).toBe(0);
    expect(await page.getByRole("button", { name: "Play" }).count()).toBe(2);
    await page.screenshot({ path: "test-output/game-unavailable.png", fullPage: true });
    const response = await fetch(`${elsewhere.url}/api/session/v1`, {
      method: "POST",
      headers,
      body: JSON.stringify({ gameId: "neverball" }),
    });
    expect([response.status, await response.json()]).toMatchObject([
      409,
      { type: "urn:hotseat:problem:game-unavailable", detail: `Neverball: ${why}.`, retryable: false },
    ]);
  });
});
