// What a player and an operator are told of the time between a key and its picture: by receipts of frames, in Chromium.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { latencyStages } from "../../src/contracts/latency.js";
import { type Browser, openBrowser, withoutDataChannels } from "../support/browser.js";
import { type RunningHotseat, startUp, until } from "../support/hotseat.js";
import { keyFlips } from "../support/key-flips.js";
import { endSession, play } from "../support/play.js";
import { reportedLatency } from "../support/stream-status.js";

let hotseat: RunningHotseat;
beforeAll(async () => {
  hotseat = await startUp();
});
afterAll(() => hotseat?.[Symbol.asyncDispose]());

describe("a person who presses keys", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openBrowser();
    await play(browser.page, hotseat.link, { quality: "720p60" });
  });
  afterAll(async () => {
    // The machine may have one seat only.
    if (browser !== undefined) await endSession(browser.page);
    await browser?.[Symbol.asyncDispose]();
  });

  it("has the receipts agree with the pixels, within a frame and a tenth", async () => {
    const flips = 16;
    const { times } = await keyFlips(browser.page, flips);
    const { session, control, recent } = await reportedLatency(hotseat, (latency) => latency.session.inputs >= flips);
    expect(control).toBe("data-channel");
    const [pixels] = [...times].sort((a, b) => a - b).slice(times.length / 2);
    const { total, ...parts } = session.stages;
    // A busy machine shows a frame late now and then, and both wait for it.
    const frameMs = 1000 / recent!.fps;
    expect(Math.abs(total!.p50 - pixels!)).toBeLessThan(frameMs + 0.1 * pixels!);
    expect(Object.keys(parts).sort()).toEqual(latencyStages.filter((stage) => stage !== "total").sort());
    for (const { p50 } of Object.values(parts)) expect(p50).toBeLessThan(total!.p50);
    expect(session.frames).toBeGreaterThan(60);
  });

  it("sees where the time goes, by Ctrl + Shift + L, and the game does not hear of that", async () => {
    const { page } = browser;
    const panel = page.locator("#latency");
    expect(await panel.isVisible()).toBe(false);
    await page.keyboard.press("Control+Shift+L");
    await page.keyboard.press("ArrowLeft", { delay: 50 });
    const shown = await until("figures", async () => {
      const cell = (stage: string) => panel.locator(`[data-stage="${stage}"] [data-percentile="p50"]`).textContent();
      const [total, encode] = [Number(await cell("total")), Number(await cell("encode"))];
      return total > 0 && encode > 0 ? { total, encode } : undefined;
    });
    expect(shown.encode).toBeLessThan(shown.total);
    expect(await panel.getByTestId("verdict").textContent()).toMatch(/^[A-Z].+\.$/);
    await page.screenshot({ path: "test-output/latency.png" });
    const button = page.locator("#show-latency");
    expect(await button.getAttribute("aria-pressed")).toBe("true");
    await page.mouse.move(640, 5);
    await button.click();
    expect(await panel.isVisible()).toBe(false);
    expect(await button.getAttribute("aria-pressed")).toBe("false");
  });

  it("is told of at the session's status, with a verdict, and counted in the metrics", async () => {
    const { verdict, ageMs, recent } = await reportedLatency(hotseat, (latency) => latency.recent !== null);
    expect(verdict.detail).toMatch(/\d|all well/);
    expect(ageMs).toBeLessThan(30_000);
    expect(recent!.stages.encode!.p95).toBeGreaterThan(0);
    const headers = { authorization: `Bearer ${hotseat.key("read")}` };
    const metrics = await (await fetch(`${hotseat.url}/metrics`, { headers })).text();
    expect(metrics).toMatch(/^hotseat_streaming_latency_seconds_count\{stage="total",percentile="95"[^}]*\} [1-9]/m);
    expect(metrics).toMatch(
      new RegExp(`^hotseat_streaming_latency_verdicts_total\\{verdict="${verdict.kind}"[^}]*\\} [1-9]`, "m"),
    );
  });
});

describe("a person whose network opens no data channels", () => {
  it("is told that nothing is measured, and so is the operator", async () => {
    await using browser = await openBrowser();
    const { page } = browser;
    await withoutDataChannels(page);
    await play(page, hotseat.link);
    await page.keyboard.press("Control+Shift+L");
    await until("the page says so", async () => {
      const said = await page.getByTestId("verdict").textContent();
      return said === "Nothing is measured: input goes by WebSocket, receipts need a data channel." || undefined;
    });
    expect(await page.locator("#latency table").isVisible()).toBe(false);
    const { verdict, recent } = await reportedLatency(hotseat, ({ control }) => control === "websocket");
    expect([verdict.kind, recent]).toEqual(["not-measured", null]);
  });
});
