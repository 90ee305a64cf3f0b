// The main job, as a person does it: one command, the link, Play; and nothing left afterwards.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Session } from "../../src/contracts/session.js";
import { type Browser, openBrowser, phone, withoutDataChannels } from "../support/browser.js";
import { type RunningHotseat, startUp, until } from "../support/hotseat.js";
import {
  audioEnergy,
  plugGamepad,
  shipMovesWhile,
  shipMovesWith,
  shipPosition,
  shipRests,
  tiltStick,
  watchConnections,
} from "../support/picture.js";
import { endSession, play } from "../support/play.js";
import { newestOf } from "../support/sessions.js";

let hotseat: RunningHotseat;

beforeAll(async () => {
  hotseat = await startUp();
});
afterAll(() => hotseat?.[Symbol.asyncDispose]());

const newest = () => newestOf(hotseat);
const ended = (session: Session) => session.status === "ENDED" || undefined;

describe("a person with a laptop", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
    await watchConnections(browser.page);
    await plugGamepad(browser.page);
  });
  afterAll(() => browser?.[Symbol.asyncDispose]());

  it("opens the link, presses Play, and sees the game", async () => {
    const { page } = browser;
    await page.goto(hotseat.link);
    await page.locator('[data-game="demo"]').waitFor();
    expect(page.url(), "the key leaves the address bar").not.toContain("key=");
    await page.screenshot({ path: "test-output/games.png" });
    await play(page, hotseat.link);
    expect(await newest()).toMatchObject({ status: "ACTIVE", gameId: "demo" });
  });

  it("hears it, after no other gesture than the click on Play", async () => {
    const { page } = browser;
    const before = await audioEnergy(page);
    await until("sound arrives", async () => (await audioEnergy(page)) > before + 1e-4 || undefined);
    expect(await page.locator("#enable-sound").isVisible(), "the browser blocks no sound").toBe(false);
  });

  it("sees the ship go left and right by the arrow keys, and not without", async () => {
    const { page } = browser;
    // A first key starts the round; then the ship rests.
    await page.keyboard.press("ArrowUp");
    const left = await shipMovesWith(page, "ArrowLeft");
    const right = await shipMovesWith(page, "ArrowRight");
    expect(left).toBeLessThan(-0.1);
    expect(right).toBeGreaterThan(0.1);

    const rest = await shipRests(page);
    for (let frame = 0; frame < 30; frame++) {
      const now = await shipPosition(page);
      if (now !== null) expect(Math.abs(now - rest)).toBeLessThan(0.04);
    }
    // For people (README): the game alone, a few seconds in.
    await page.keyboard.down("Space");
    await page.locator(".bar-shown").waitFor({ state: "detached" });
    await shipMovesWith(page, "ArrowLeft");
    await page.screenshot({ path: "test-output/playing.png" });
    await page.keyboard.up("Space");
  });

  it("flies by gamepad", async () => {
    const { page } = browser;
    expect(await shipMovesWhile(page, "the stick", () => tiltStick(page, 1))).toBeGreaterThan(0.1);
    // What it was doing is still on its way to the page.
    await tiltStick(page, 0);
    await shipRests(page);
    expect(await shipMovesWhile(page, "the stick", () => tiltStick(page, -1))).toBeLessThan(-0.1);
    await tiltStick(page, 0);
  });

  it("flies by mouse, the pointer locked by a click on the picture", async () => {
    const { page } = browser;
    let x = 640;
    await page.mouse.click(x, 500);
    await page.waitForFunction(() => document.pointerLockElement?.id === "video");
    const push = (step: number) => () => page.mouse.move((x += step), 500);
    expect(await shipMovesWhile(page, "the mouse", push(20))).toBeGreaterThan(0.1);
    await shipRests(page);
    expect(await shipMovesWhile(page, "the mouse", push(-20))).toBeLessThan(-0.1);
    await page.evaluate(() => document.exitPointerLock());
  });

  it("lets go of everything when the page loses focus", async () => {
    const { page } = browser;
    await page.keyboard.down("ArrowRight");
    await page.evaluate(() => window.dispatchEvent(new Event("blur")));
    expect(await shipRests(page), "it was stopped, not by the picture's edge").toBeLessThan(0.9);
    await page.keyboard.up("ArrowRight");
  });

  it("plays on after a reload, in the same session", async () => {
    const { page } = browser;
    const { sessionId } = await newest();
    await page.reload();
    await page.locator('body[data-phase="playing"]').waitFor({ timeout: 30_000 });
    await until("the ship is seen", async () => (await shipPosition(page)) ?? undefined);
    expect(await newest()).toMatchObject({ sessionId, status: "ACTIVE" });
  });

  it("ends, and its seat is given back", async () => {
    const { page } = browser;
    await page.mouse.move(640, 5);
    await page.locator("#end").click();
    await page.locator('body[data-phase="ended"]').waitFor();
    await page.screenshot({ path: "test-output/ended.png" });
    await until("the session has ended", async () => ended(await newest()));
    const response = await fetch(`${hotseat.url}/api/orchestrator/v1/vm?status=READY`, {
      headers: { authorization: `Bearer ${hotseat.key("read")}` },
    });
    expect(await response.json()).toMatchObject({ vms: [{ units: { used: 0 }, sessions: [] }] });
  });
});

describe("a person whose network opens no data channels", () => {
  it("plays over the control WebSocket", async () => {
    await using browser = await openBrowser();
    const { page } = browser;
    await withoutDataChannels(page);
    await play(page, hotseat.link);
    await page.keyboard.press("ArrowUp");
    expect(await shipMovesWith(page, "ArrowLeft")).toBeLessThan(-0.1);
    expect(await shipMovesWith(page, "ArrowRight")).toBeGreaterThan(0.1);
    await endSession(page);
    await until("the session has ended", async () => ended(await newest()));
  });
});

describe("a person with a phone", () => {
  it("plays by touch", async () => {
    await using browser = await openBrowser(phone);
    const { page } = browser;
    await page.goto(hotseat.link);
    await page.locator('[data-game="demo"]').waitFor();
    await page.screenshot({ path: "test-output/games-phone.png" });
    await play(page, hotseat.link);
    await page.screenshot({ path: "test-output/playing-phone.png" });
    const pad = (await page.locator("#pad-directions").boundingBox())!;
    const touch = await browser.context.newCDPSession(page);
    const finger = (type: "touchStart" | "touchEnd", x?: number) =>
      touch.send("Input.dispatchTouchEvent", {
        type,
        touchPoints: x === undefined ? [] : [{ x: pad.x + pad.width * x, y: pad.y + pad.height / 2 }],
      });
    await finger("touchStart", 0.15);
    expect(await shipMovesWhile(page, "a thumb on the left", async () => {})).toBeLessThan(-0.1);
    await finger("touchEnd");
    await finger("touchStart", 0.85);
    expect(await shipMovesWhile(page, "a thumb on the right", async () => {})).toBeGreaterThan(0.1);
    await finger("touchEnd");
    // The bar has gone meanwhile: a tap on the picture brings it back.
    await page.touchscreen.tap(195, 300);
    await page.locator("#end").tap();
    await until("the session has ended", async () => ended(await newest()));
  });
});

describe("Ctrl-C", () => {
  it("ends everything within 5 s, in the middle of play, and leaves no process", async () => {
    await using browser = await openBrowser();
    await play(browser.page, hotseat.link);
    expect(hotseat.processes().length, "database, agent and session processes run").toBeGreaterThan(3);
    const start = performance.now();
    expect(await hotseat.interrupt()).toBe(0);
    expect(performance.now() - start).toBeLessThan(5_000);
    expect(hotseat.processes()).toStrictEqual([]);
  });
});
