// A player in a full house: one machine, and others before them.
import { afterAll, beforeAll, expect, it } from "vitest";
import { orchestratorRoutes } from "../../src/contracts/orchestrator.js";
import { type CreatedSession, type Session, sessionRoutes } from "../../src/contracts/session.js";
import { createClient, type RouteClient } from "../../src/platform/client.js";
import { type Browser, openBrowser } from "../support/browser.js";
import { type RunningHotseat, startUp } from "../support/hotseat.js";

let hotseat: RunningHotseat;
let browser: Browser;
let integrator: RouteClient;
beforeAll(async () => {
  hotseat = await startUp({
    settings: {
      orchestrator: { localSeats: 1, budget: { vmsMax: 1 }, waitSecondsMax: 10 },
      session: { joinMs: 600_000 },
      streaming: { renewMs: 1_000 },
    },
  });
  browser = await openBrowser();
  integrator = createClient({ baseUrl: hotseat.url, bearer: hotseat.key("session") });
});
afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await hotseat?.[Symbol.asyncDispose]();
});

const create = async (): Promise<CreatedSession> =>
  (await integrator.call(sessionRoutes.createSession, { body: { gameId: "demo" } })).body;
const get = async ({ sessionId }: Session): Promise<Session> =>
  (await integrator.call(sessionRoutes.getSession, { params: { sessionId } })).body;
const end = ({ sessionId }: Session) => integrator.call(sessionRoutes.endSession, { params: { sessionId } });
const becomes = (session: Session, status: Session["status"]) =>
  expect.poll(async () => (await get(session)).status, { timeout: 60_000 }).toBe(status);

it("shows the place in line and the expected time as they change, keeps the place while the page is open, then plays", async () => {
  const { page } = browser;
  // Somebody plays for a while: how long is learnt when the seat is given back.
  const before = await create();
  await becomes(before, "READY");
  const readyAt = Date.parse((await get(before)).readyAt!);
  await expect.poll(() => Date.now() - readyAt, { timeout: 20_000 }).toBeGreaterThan(11_000);
  const capacity = async () =>
    (await integrator.call(orchestratorRoutes.regionCapacity, { params: { region: "us-east-1" } })).body;
  // As many as the machine has found itself to carry.
  const { totalSessions } = await capacity();
  await end(before);
  const playing: CreatedSession[] = [];
  while (playing.length < totalSessions) {
    playing.push(await create());
    await becomes(playing.at(-1)!, "READY");
  }
  await expect.poll(async () => (await capacity()).queueSeconds, { timeout: 20_000 }).toBeGreaterThan(0);

  const gone = await create();
  await page.goto(hotseat.link);
  await page.locator('[data-game="demo"]').getByRole("button", { name: "Play" }).click();
  const second = page.getByText(/You are number 2 in line\. About \d+ seconds to go\./);
  // Reading the one before keeps it waiting until the page has come.
  await expect
    .poll(async () => ((await get(gone)).status === "QUEUED" ? second.count() : -1), { timeout: 30_000 })
    .toBeGreaterThan(0);
  // Now nobody waits for it any more: it leaves by itself.
  await page
    .getByText(/You are next in line\. About \d+ seconds to go\./)
    .first()
    .waitFor({ timeout: 30_000 });
  // In the list, for reading it alone would renew it.
  const listed = async () => (await integrator.call(sessionRoutes.listSessions, { query: {} })).body.sessions;
  const abandoned = async () => (await listed()).find(({ sessionId }) => sessionId === gone.sessionId)?.end?.reason;
  await expect.poll(abandoned, { timeout: 10_000 }).toBe("wait-abandoned");
  const mine = (await listed()).find(({ status }) => status === "QUEUED")!;
  const waited = () => Date.now() - Date.parse(mine.createdAt);
  await expect.poll(waited, { timeout: 30_000 }).toBeGreaterThan(21_000);
  await page.getByText("You are next in line.").first().waitFor();
  for (const session of playing) await end(session);
  await page.locator('body[data-phase="playing"]').waitFor({ timeout: 60_000 });
});
