// A person's hands: four gamepads, a mouse with five buttons, a network that loses packets, a phone; and what happens when
// they look away. The devices are as real as a headless browser has them (test/support/devices.ts).
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GamepadState, InputEvent } from "../../src/contracts/input.js";
import { encodeRumble } from "../../src/contracts/rumble.js";
import { type Browser, openBrowser, phone } from "../support/browser.js";
import {
  effects,
  fakeGamepads,
  lockAs,
  lockByClick,
  loseState,
  machineSays,
  plug,
  recordInput,
  type Sent,
  sent,
  tilt,
  unplug,
  whenSent,
} from "../support/devices.js";
import { type RunningHotseat, startUp, until } from "../support/hotseat.js";
import { shipMovesWhile, shipRests } from "../support/picture.js";
import { endSession, play } from "../support/play.js";

let hotseat: RunningHotseat;

beforeAll(async () => {
  hotseat = await startUp();
});
afterAll(() => hotseat?.[Symbol.asyncDispose]());

const openHelp = async (page: Page) => {
  await page.evaluate(() => document.querySelector<HTMLElement>("#help")!.click());
  await page.locator("#help-dialog[open]").waitFor();
};
const closeHelp = (page: Page) => page.locator("#help-dialog").getByRole("button", { name: "Close" }).click();

type OfKind<Kind extends InputEvent["kind"]> = Sent & { readonly event: Extract<InputEvent, { kind: Kind }> };
const ofKind =
  <Kind extends InputEvent["kind"]>(kind: Kind) =>
  (message: Sent): message is OfKind<Kind> =>
    message.event.kind === kind;

/** The newest state of each gamepad. */
const padsIn = (messages: readonly Sent[]): Record<number, GamepadState> =>
  Object.fromEntries(messages.filter(ofKind("gamepad")).map(({ event }) => [event.index, event]));
const isAtRest = (pad: GamepadState | undefined) => pad?.buttons === 0 && pad.axes.every((axis) => axis === 0);

/** Longer than the pads' polling and the states' rest. */
const frames = (page: Page, count: number) =>
  page.evaluate(async (left) => {
    for (; left > 0; left--) await new Promise((resolve) => requestAnimationFrame(resolve));
  }, count);

describe("a person with a laptop", () => {
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    browser = await openBrowser();
    page = browser.page;
    await fakeGamepads(page);
    await recordInput(page);
    await page.addInitScript(() => {
      const { keyboard } = navigator as never as { keyboard: { lock(): Promise<void>; unlock(): void } };
      const calls: string[] = [];
      Object.assign(window, { keyboardCalls: calls });
      const { lock, unlock } = keyboard;
      keyboard.lock = () => {
        calls.push("lock");
        return lock.call(keyboard);
      };
      keyboard.unlock = () => {
        calls.push("unlock");
        unlock.call(keyboard);
      };
    });
    await play(page, hotseat.link);
  });
  afterAll(() => browser?.[Symbol.asyncDispose]());

  it("plays with four gamepads at once, which come and go in mid-play", async () => {
    for (const index of [0, 1]) await plug(page, index);
    await tilt(page, 0, -1);
    await whenSent(page, "two pads", (messages) => padsIn(messages)[0]?.axes[0] === -1 && padsIn(messages)[1]);
    await tilt(page, 0, 0);
    for (const index of [2, 3]) await plug(page, index);
    for (const index of [0, 1, 2, 3]) await tilt(page, index, (index - 1.5) / 2);
    const four = await whenSent(page, "four pads", (messages) => {
      const pads = padsIn(messages);
      return (
        [0, 1, 2, 3].every((index) => Math.abs((pads[index]?.axes[0] ?? 9) - (index - 1.5) / 2) < 1e-3) || undefined
      );
    });
    expect(four).toBe(true);
    await unplug(page, 1);
    await whenSent(page, "the unplugged pad at rest", (messages) => isAtRest(padsIn(messages)[1]) || undefined);
    for (const index of [0, 2, 3]) await tilt(page, index, 0);
    await shipRests(page);
    expect(await shipMovesWhile(page, "the fourth pad", () => tilt(page, 3, 1))).toBeGreaterThan(0.1);
    await tilt(page, 3, 0);
    expect((await sent(page)).filter(ofKind("gamepad")).some(({ channel }) => channel === "state")).toBe(true);
  });

  it("feels the game in the gamepad that is meant, unless vibration is switched off", async () => {
    const rumble = { index: 2, strong: 1, weak: 0.2, durationMs: 300 };
    // The game rumbles, too, when something is hit: for other times.
    const felt = async () => (await effects(page)).filter(({ duration }) => duration === rumble.durationMs);
    await machineSays(page, encodeRumble(rumble));
    expect(await felt()).toEqual([
      { pad: 2, type: "dual-rumble", duration: 300, strongMagnitude: 1, weakMagnitude: 0.2 },
    ]);
    await openHelp(page);
    await page.locator("#rumble-setting").uncheck();
    await page.screenshot({ path: "test-output/help.png" });
    await closeHelp(page);
    await machineSays(page, encodeRumble(rumble));
    expect(await felt()).toHaveLength(1);
    await openHelp(page);
    await page.locator("#rumble-setting").check();
    await closeHelp(page);
    await machineSays(page, encodeRumble(rumble));
    expect(await felt()).toHaveLength(2);
  });

  it("keeps its place in the help while the figures in it change", async () => {
    await openHelp(page);
    const setting = page.locator("#rumble-setting");
    await setting.focus();
    const figures = () => page.locator("#stats").getAttribute("data-bitrate-kbps");
    for (let event = 0; event < 2; event++) {
      const before = await figures();
      await until("the next figures", async () => (await figures()) !== before || undefined);
    }
    expect(await setting.evaluate((element) => element === document.activeElement)).toBe(true);
    await closeHelp(page);
  });

  it("has every pixel of the mouse counted once, however it is read", async () => {
    await page.mouse.click(640, 500);
    await page.waitForFunction(() => document.pointerLockElement?.id === "video");
    const counts = (messages: Sent[]) => messages.filter(ofKind("mouse-motion"));
    const start = counts(await sent(page)).at(-1)!.event;
    for (let step = 1; step <= 40; step++) await page.mouse.move(640 + step * 7, 500 + step * 2);
    const rested = await whenSent(page, "the mouse at rest", (messages) => {
      const last = counts(messages).at(-1)!;
      return last.channel === "input" && last.event.x !== start.x ? last.event : undefined;
    });
    expect({ x: rested.x - start.x, y: rested.y - start.y }).toEqual({ x: 280, y: 80 });
    await openHelp(page);
    await page.getByText(/its motion (as your hand|with the system)/).waitFor();
    await closeHelp(page);
  });

  it("is told whether the system's acceleration is in the motion, by what this browser does", async () => {
    await lockAs(page, "unadjusted");
    expect(await lockByClick(page)).toEqual([{ unadjustedMovement: true }]);
    await openHelp(page);
    await page.getByText("Unadjusted: the game has its motion as your hand makes it").waitFor();
    await closeHelp(page);
    await lockAs(page, "refuses unadjusted");
    expect(await lockByClick(page)).toEqual([{ unadjustedMovement: true }, null]);
    await openHelp(page);
    await page.getByText("with the system's acceleration: this browser cannot").waitFor();
    await closeHelp(page);
    await lockAs(page, "unadjusted");
    await lockByClick(page);
    await lockAs(page, "ignores options");
    await lockByClick(page);
    await openHelp(page);
    await page.getByText("with the system's acceleration: this browser cannot").waitFor();
    await closeHelp(page);
    await lockAs(page, "itself");
  });

  it("still steers by mouse when every unreliable packet is lost: what it came to rest at arrives", async () => {
    await loseState(page, true);
    await page.mouse.click(640, 500);
    await page.waitForFunction(() => document.pointerLockElement?.id === "video");
    // The way to where the click was made is motion, too.
    await shipRests(page);
    let x = 640;
    const pushed = await shipMovesWhile(page, "the mouse", async () => {
      for (let step = 0; step < 5; step++) await page.mouse.move((x += 8), 500);
      await whenSent(page, "its rest", (messages) => messages.at(-1)?.channel === "input" || undefined);
    });
    expect(pushed).toBeGreaterThan(0.1);
    await loseState(page, false);
  });

  it("has five buttons, with the place of each press, and none of them leaves the page", async () => {
    const url = page.url();
    const mouse = await browser.context.newCDPSession(page);
    const before = (await sent(page)).length;
    for (const button of ["left", "middle", "right", "back", "forward"] as const)
      for (const type of ["mousePressed", "mouseReleased"] as const)
        await mouse.send("Input.dispatchMouseEvent", { type, button, x: 700, y: 500, clickCount: 1 });
    const pressed = await whenSent(page, "ten changes of buttons", (messages) => {
      const buttons = messages.slice(before).filter(ofKind("motion-button"));
      return buttons.length < 10 ? undefined : buttons;
    });
    expect(pressed.map(({ event }) => [event.button, event.down])).toEqual(
      [0, 1, 2, 3, 4].flatMap((button) => [
        [button, true],
        [button, false],
      ]),
    );
    await page.evaluate(() => document.exitPointerLock());
    expect(page.url()).toBe(url);
    expect(await page.locator('body[data-phase="playing"]').count()).toBe(1);
  });

  it("has Escape in full screen, for as long as that lasts, and is told how to leave it", async () => {
    const calls = () => page.evaluate(() => (window as never as { keyboardCalls: string[] }).keyboardCalls);
    await page.mouse.move(640, 5);
    await page.locator("#fullscreen").click();
    await page.waitForFunction(() => document.fullscreenElement?.id === "stage");
    await until("the keyboard is locked", async () => (await calls()).includes("lock") || undefined);
    await openHelp(page);
    await page.getByText("Hold it to leave full screen.").waitFor();
    await closeHelp(page);
    await page.evaluate(() => document.exitFullscreen());
    await until("it is unlocked", async () => (await calls()).at(-1) === "unlock" || undefined);
    await openHelp(page);
    await page.getByText("Shows the bar, lets the mouse go, leaves full screen.").waitFor();
    await closeHelp(page);
  });

  it("holds nothing in a page that is hidden, and holds again what is still held when it is back", async () => {
    const hide = (hidden: boolean) =>
      page.evaluate((now) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => now });
        document.dispatchEvent(new Event("visibilitychange"));
      }, hidden);
    await tilt(page, 0, 0.5);
    await whenSent(page, "the stick", (messages) => (padsIn(messages)[0]?.axes[0] ?? 0) > 0.4 || undefined);
    await page.keyboard.down("ArrowLeft");
    await hide(true);
    const left = await whenSent(page, "a reset", (messages) =>
      messages.at(-1)?.event.kind === "reset" ? messages.length : undefined,
    );
    await tilt(page, 0, 1);
    await frames(page, 10);
    expect((await sent(page)).slice(left)).toEqual([]);
    await hide(false);
    await whenSent(page, "the stick again", (messages) => padsIn(messages.slice(left))[0]?.axes[0] === 1 || undefined);
    await tilt(page, 0, 0);
    await page.keyboard.up("ArrowLeft");
  });

  it("leaves nothing held behind when the page goes away", async () => {
    const before = (await sent(page)).length;
    await page.keyboard.down("ArrowLeft");
    const since = async () => (await sent(page)).slice(before).map(({ event }) => event.kind);
    await until("the page sends the key", async () => (await since()).includes("key") || undefined);
    await page.evaluate(() => window.dispatchEvent(new PageTransitionEvent("pagehide")));
    // The pads, which are at rest, are told again.
    expect((await since()).filter((kind) => kind !== "gamepad").at(-1)).toBe("reset");
    await page.keyboard.up("ArrowLeft");
    await endSession(page);
  });
});

describe("a person with a phone", () => {
  it("has a pad as the game wants it, in reach of both thumbs, held either way, that vibrates only where that is wanted", async () => {
    await using browser = await openBrowser(phone);
    const { page } = browser;
    await recordInput(page);
    await page.addInitScript(() => {
      const buzzes: unknown[] = [];
      Object.assign(window, { buzzes });
      navigator.vibrate = (pattern) => buzzes.push(pattern) > 0;
    });
    await play(page, hotseat.link);
    await page.screenshot({ path: "test-output/pad-portrait.png" });

    const vibrates = async (wanted: boolean) => {
      await openHelp(page);
      await page.locator("#rumble-setting").setChecked(wanted);
      await closeHelp(page);
    };
    await vibrates(false);

    const touch = await browser.context.newCDPSession(page);
    const centre = async (selector: string, across = 0.5) => {
      const box = (await page.locator(selector).boundingBox())!;
      expect(Math.min(box.width, box.height), `${selector} is no smaller than a fingertip`).toBeGreaterThanOrEqual(44);
      return { x: box.x + box.width * across, y: box.y + box.height / 2 };
    };
    const fire = '.pad-button[data-key="Space"]';
    const fingers = async (type: "touchStart" | "touchEnd", points: { x: number; y: number }[]) =>
      touch.send("Input.dispatchTouchEvent", { type, touchPoints: points.map((point, id) => ({ ...point, id })) });

    for (const orientation of ["portrait", "landscape"] as const) {
      if (orientation === "landscape") {
        await page.setViewportSize({ width: 844, height: 390 });
        await page.screenshot({ path: "test-output/pad-landscape.png" });
      }
      const before = (await sent(page)).length;
      const left = await centre("#pad-directions", 0.15);
      const right = await centre(fire);
      await fingers("touchStart", [left]);
      await fingers("touchStart", [left, right]);
      const keys = () =>
        whenSent(page, "both keys", (messages) => {
          const pressed = messages.slice(before).filter(ofKind("key"));
          return pressed.length < 2 ? undefined : pressed.map(({ event }) => `${event.code} ${event.down}`);
        });
      expect(await keys(), `both thumbs, ${orientation}`).toEqual(["ArrowLeft true", "Space true"]);
      await fingers("touchEnd", []);
      await whenSent(page, "both let go", (messages) =>
        messages.slice(before).filter(({ event }) => event.kind === "key" && !event.down).length === 2
          ? true
          : undefined,
      );
    }

    const buzzes = () => page.evaluate(() => (window as never as { buzzes: number[] }).buzzes);
    await machineSays(page, encodeRumble({ index: 0, strong: 0.5, weak: 0.2, durationMs: 200 }));
    expect(await buzzes(), "vibration is switched off").toEqual([]);
    await vibrates(true);
    await machineSays(page, encodeRumble({ index: 0, strong: 0.5, weak: 0.2, durationMs: 200 }));
    expect(Math.abs((await buzzes()).at(-1)! - 100)).toBeLessThan(2);
    await endSession(page);
  });
});
