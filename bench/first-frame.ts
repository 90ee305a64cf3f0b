// From POST /api/session/v1 to the first decoded frame, with a warm VM.
//
// Measured: a page of the installation, holding its cookie, posts the session, connects with the player SDK, and stops
// the clock in the first requestVideoFrameCallback; then it ends the session and goes again when the VM is READY and its
// next spare process is, some 5 s later: that is what warm means. Media, signalling and page share this machine.
// Against: 1,500 ms, then 800 ms, of the issues. Repeat: npm run bench -- first-frame
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openBrowser } from "../test/support/browser.js";
import { startUp, until } from "../test/support/hotseat.js";
import { report, spread } from "./support/statistics.js";

const rounds = process.argv.includes("--smoke") ? 4 : 30;

await using hotseat = await startUp();
await using browser = await openBrowser();
const { page } = browser;
await page.goto(hotseat.link);
await page.locator("#games [data-game]").first().waitFor();

const sparesReady = (vmId: string) =>
  readFileSync(join(hotseat.dataDir, "vms", vmId, "agent.log"), "utf8").split("a spare process is ready").length - 1;

const warm = async (sessions: number) => {
  const response = await fetch(`${hotseat.url}/api/orchestrator/v1/vm?status=READY`, {
    headers: { authorization: `Bearer ${hotseat.key("read")}` },
  });
  const { vms } = (await response.json()) as { vms: { vmId: string }[] };
  return vms.some(({ vmId }) => sparesReady(vmId) > sessions) || undefined;
};

const times: number[] = [];
for (let round = 0; round < rounds; round++) {
  await until("a warm VM", () => warm(round), 60_000);
  times.push(
    await page.evaluate(async () => {
      const { connect } = await import("/assets/player.js" as string);
      const video = document.createElement("video");
      video.muted = true;
      document.body.append(video);
      const start = performance.now();
      const response = await fetch("/api/session/v1", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ gameId: "demo", cap: { width: 1280, height: 720, fps: 60 } }),
      });
      if (response.status !== 201) throw new Error(`the session was answered with ${response.status}`);
      const session = await response.json();
      const player = connect(session, { video });
      const seen = await new Promise<number>((resolve, reject) => {
        video.requestVideoFrameCallback(() => resolve(performance.now() - start));
        player.on("problem", ({ detail }: { detail: string }) => reject(new Error(detail)));
        setTimeout(() => reject(new Error("no frame within 20 s")), 20_000);
      });
      player.close();
      video.remove();
      const ended = await fetch(`/api/session/v1/${session.sessionId}`, { method: "DELETE" });
      if (!ended.ok) throw new Error(`ending was answered with ${ended.status}`);
      return seen;
    }),
  );
}
report({ bench: "first-frame", ...spread(times), rounds: times.length });
