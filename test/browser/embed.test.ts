// An integrator's page, of another origin: its backend made the session, the page plays it with the SDK and nothing else.
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { CreatedSession } from "../../src/contracts/session.js";
import { openBrowser } from "../support/browser.js";
import { type RunningHotseat, startUp } from "../support/hotseat.js";

let hotseat: RunningHotseat;
let site: Server;
let session: CreatedSession;

const key = () => ({ authorization: `Bearer ${hotseat.key("session")}` });

/** The studio's backend: a session for whoever opens the page. */
async function servePage(): Promise<string> {
  const response = await fetch(`${hotseat.url}/api/session/v1`, {
    method: "POST",
    headers: { ...key(), "content-type": "application/json" },
    body: JSON.stringify({ gameId: "demo", cap: { width: 640, height: 360, fps: 30 } }),
  });
  session = (await response.json()) as CreatedSession;
  return `<!doctype html><title>A studio</title><link rel=icon href=data:,><video muted playsinline></video>
    <script type=module>
      import { connect } from "${hotseat.url}/assets/player.js";
      const player = connect(${JSON.stringify(session)}, { video: document.querySelector("video") });
      player.on("ended", ({ reason }) => { document.body.dataset.ended = reason; });
    </script>`;
}

beforeAll(async () => {
  site = createServer(async (_request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(await servePage());
  }).listen(0, "127.0.0.1");
  await once(site, "listening");
  hotseat = await startUp({ args: ["--allow-origin", origin()] });
});
afterAll(async () => {
  site?.close();
  await hotseat?.[Symbol.asyncDispose]();
});

const origin = () => `http://localhost:${(site.address() as AddressInfo).port}`;

it("plays a session in a page of another site, and is told of its end", async () => {
  await using browser = await openBrowser();
  const { page } = browser;
  await page.goto(origin());
  await page.waitForFunction(() => document.querySelector("video")!.getVideoPlaybackQuality().totalVideoFrames > 10);
  expect(await page.evaluate(() => document.querySelector("video")!.videoWidth)).toBe(640);

  const ended = await fetch(`${hotseat.url}/api/session/v1/${session.sessionId}`, { method: "DELETE", headers: key() });
  expect(ended.status).toBe(200);
  await page.locator('body[data-ended="ended-by-request"]').waitFor();
});
