// An encoder that breaks while somebody plays, in a whole installation: the picture goes on, and the page says why.
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Vm } from "../../src/contracts/orchestrator.js";
import { type Browser, openBrowser } from "../support/browser.js";
import { type RunningHotseat, startUp } from "../support/hotseat.js";
import { play } from "../support/play.js";

const root = join(import.meta.dirname, "../..");
const copy = join(root, "test-output", `agent-${process.pid}`);

/** x264 under another name, whose device is lost at a picture that the probe does not reach. */
const encoders = `
import { EncoderError } from "./video-encoder.js";
import { x264 } from "./x264.js";

const breaking = {
  ...x264,
  name: "h264_breaking",
  async open(options) {
    const encoder = await x264.open(options);
    let pictures = 0;
    return {
      setBitrate: (kbps) => encoder.setBitrate(kbps),
      close: () => encoder.close(),
      async encode(timestamp, keyframe) {
        if (++pictures > 500) throw new EncoderError("the device was lost");
        return encoder.encode(timestamp, keyframe);
      },
    };
  },
};
export const encoderDrivers = [breaking, x264];
`;

let hotseat: RunningHotseat;
let browser: Browser;
beforeAll(async () => {
  cpSync(join(root, "dist"), join(copy, "dist"), { recursive: true });
  cpSync(join(root, "package.json"), join(copy, "package.json"));
  writeFileSync(join(copy, "dist/agent/encode/encoders.js"), encoders);
  const agentCommand = [process.execPath, join(copy, "dist/cli/main.js"), "agent", "--config"];
  hotseat = await startUp({ settings: { orchestrator: { agentCommand } } });
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await hotseat?.[Symbol.asyncDispose]();
  rmSync(copy, { recursive: true, force: true });
});

it("an encoder that breaks in mid-session is replaced, and page and operator can see it", async () => {
  const { page } = browser;
  await play(page, hotseat.link);
  const response = await fetch(`${hotseat.url}/api/orchestrator/v1/vm`, {
    headers: { authorization: `Bearer ${hotseat.key("operate")}` },
  });
  const { vms } = (await response.json()) as { vms: Vm[] };
  expect(vms[0]!.capabilities).toMatchObject({
    encoder: "h264_breaking",
    encoders: [
      { name: "h264_breaking", works: true },
      { name: "libx264", works: true },
    ],
  });
  const help = page.locator("#help-dialog");
  const why = page.locator("#bar", { hasText: "h264_breaking failed (the device was lost)" });
  await why.waitFor({ state: "attached" });
  const frames = () =>
    page.evaluate(() => document.querySelector<HTMLVideoElement>("#video")!.getVideoPlaybackQuality().totalVideoFrames);
  const before = await frames();
  await page.waitForFunction(
    (count) =>
      document.querySelector<HTMLVideoElement>("#video")!.getVideoPlaybackQuality().totalVideoFrames > count + 30,
    before,
  );
  await page.evaluate(() => document.querySelector<HTMLElement>("#help")!.click());
  expect(await help.textContent()).toContain("H.264 by libx264");
  expect(await page.locator("body").getAttribute("data-phase")).toBe("playing");
});
