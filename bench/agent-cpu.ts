// What streaming costs beyond encoding: CPU of the agent's processes per frame, over that of the encoder alone.
//
// Measured: the supervisor and its session processes (user + system time, /proc/<pid>/stat) while they stream the film,
// 120 prerecorded I420 frames, at 720p60 to headless Chromium over WebRTC. Against: a process that does nothing but
// encode the same frames with the same encoder, settings and pace (60 a second; flat out the same frames cost a third
// less CPU, caches warm, and the comparison would be of two machines). Interleaved; the median of the rounds' ratios.
// Beside it `draw_ms`: what drawing the demo game costs a frame. Repeat: npm run bench -- agent-cpu
import { spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { encoderThreads, pictureBytes, VideoEncoder, videoClockRate } from "../src/agent/encode/video-encoder.js";
import { bitrateKbpsFor } from "../src/agent/encode/video-mode.js";
import { games } from "../src/agent/games/games.js";
import { openBrowser } from "../test/support/browser.js";
import { type RunningHotseat, startUp, until } from "../test/support/hotseat.js";
import { cpuMsOf } from "./support/cpu.js";
import { percentile, report, round } from "./support/statistics.js";

const mode = { width: 1280, height: 720, fps: 60 };
const smoke = process.argv.includes("--smoke");
const rounds = smoke ? 1 : 5;
const settleMs = 4_000;
const measureMs = smoke ? 2_000 : 6_000;

interface Cost {
  readonly cpuMs: number;
  readonly frames: number;
}

if (process.argv.includes("--encoder-alone")) report({ ...(await encodeAlone()) });
else if (process.argv.includes("--draw")) report({ ...(await drawAlone()) });
else await compare();

async function compare(): Promise<void> {
  await using hotseat = await startUp();
  await until(
    "a machine",
    async () => (await vms(hotseat)).some(({ status }) => status === "READY") || undefined,
    60_000,
  );
  await using browser = await openBrowser();
  const { page } = browser;
  await page.goto(hotseat.link);
  await page.locator("#games [data-game]").first().waitFor();
  const ratios: number[] = [];
  const costs: { agent: number; encoder: number }[] = [];
  for (let i = 0; i < rounds; i++) {
    await page.evaluate(watchFilm, mode);
    await sleep(settleMs);
    const agent = await streamCost(hotseat, () => page.evaluate(framesDecoded));
    await page.evaluate(stopWatching);
    const encoder = await measuredApart<Cost>("--encoder-alone");
    const perFrame = { agent: agent.cpuMs / agent.frames, encoder: encoder.cpuMs / encoder.frames };
    costs.push(perFrame);
    ratios.push(perFrame.agent / perFrame.encoder);
  }
  const { drawMs } = await measuredApart<{ drawMs: number }>("--draw");
  report({
    bench: "agent-cpu",
    ratio: round(percentile(ratios, 50), 2),
    ratios: ratios.map((ratio) => round(ratio, 2)),
    agent_ms_per_frame: round(
      percentile(
        costs.map(({ agent }) => agent),
        50,
      ),
      2,
    ),
    encoder_ms_per_frame: round(
      percentile(
        costs.map(({ encoder }) => encoder),
        50,
      ),
      2,
    ),
    draw_ms: round(drawMs, 2),
  });
}

/** CPU of everything that runs for the VM, while its frames are counted where they are shown. */
async function streamCost(hotseat: RunningHotseat, frames: () => Promise<number>): Promise<Cost> {
  const pids = hotseat
    .processes()
    .filter(({ command }) => / agent --config |agent\/session\/main/.test(command))
    .map(({ pid }) => pid);
  if (pids.length < 2) throw new Error("the agent's processes are not found");
  const before = { cpuMs: cpuMsOf(pids), frames: await frames() };
  await sleep(measureMs);
  const cost = { cpuMs: cpuMsOf(pids) - before.cpuMs, frames: (await frames()) - before.frames };
  const expected = (mode.fps * measureMs) / 1000;
  if (cost.frames < expected * 0.9)
    throw new Error(`only ${cost.frames} of ${expected} frames arrived: the machine is too busy`);
  return cost;
}

/** Runs one of this file's other modes in a process of its own. */
async function measuredApart<T>(mode: string): Promise<T> {
  const args = [fileURLToPath(import.meta.url), mode, ...(smoke ? ["--smoke"] : [])];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, UV_THREADPOOL_SIZE: "8" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk) => (text += chunk));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${mode} exited with ${code}`);
  return JSON.parse(text);
}

async function encodeAlone(): Promise<Cost> {
  const film = await games.film!.open({ mode, seed: 1 });
  const picture = Buffer.alloc(pictureBytes(mode));
  const bounds = { mode, bitrateKbpsMin: 8_000, bitrateKbpsMax: 15_000 };
  const encoder = await VideoEncoder.open({
    mode,
    picture,
    bitrateKbps: bitrateKbpsFor(mode, bounds),
    threads: encoderThreads(availableParallelism()),
  });
  const periodMs = 1000 / mode.fps;
  const warmUp = mode.fps;
  const count = Math.round((measureMs / 1000) * mode.fps);
  let start = process.cpuUsage();
  const originMs = performance.now();
  for (let frame = 0; frame < warmUp + count; frame++) {
    if (frame === warmUp) start = process.cpuUsage();
    await sleep(Math.max(0, originMs + frame * periodMs - performance.now()));
    await film.draw(picture, 0);
    await encoder.encode(Math.round(frame * (videoClockRate / mode.fps)), frame === 0);
  }
  const { user, system } = process.cpuUsage(start);
  await encoder.close();
  return { cpuMs: (user + system) / 1000, frames: count };
}

async function drawAlone(): Promise<{ drawMs: number }> {
  const game = await games.demo!.open({ mode, seed: 7 });
  const picture = Buffer.alloc(pictureBytes(mode));
  const times: number[] = [];
  game.input({ kind: "key", code: "Space", down: true });
  for (let frame = 0; frame < 1_200; frame++) {
    if (frame % 45 === 0) game.input({ kind: "key", code: "ArrowLeft", down: frame % 90 === 0 });
    const start = performance.now();
    await game.draw(picture, (frame * 1000) / mode.fps);
    if (frame >= 300) times.push(performance.now() - start);
  }
  await game.close();
  return { drawMs: percentile(times, 50) };
}

async function vms(hotseat: RunningHotseat): Promise<{ status: string }[]> {
  const response = await fetch(`${hotseat.url}/api/orchestrator/v1/vm`, {
    headers: { authorization: `Bearer ${hotseat.key("read")}` },
  });
  return ((await response.json()) as { vms: { status: string }[] }).vms;
}

// In the page.
type Watching = { sessionId: string; player: { close(): void }; video: HTMLVideoElement };

async function watchFilm(cap: typeof mode): Promise<void> {
  const { connect } = await import("/assets/player.js" as string);
  const response = await fetch("/api/session/v1", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ gameId: "film", cap }),
  });
  const session = await response.json();
  const video = document.createElement("video");
  video.muted = true;
  document.body.append(video);
  const player = connect(session, { video });
  await new Promise<void>((resolve, reject) => {
    player.on("problem", ({ detail }: { detail: string }) => reject(new Error(detail)));
    video.requestVideoFrameCallback(() => resolve());
  });
  Object.assign(window, { watching: { sessionId: session.sessionId, player, video } satisfies Watching });
}

function framesDecoded(): number {
  return (window as unknown as { watching: Watching }).watching.video.getVideoPlaybackQuality().totalVideoFrames;
}

async function stopWatching(): Promise<void> {
  const { sessionId, player, video } = (window as unknown as { watching: Watching }).watching;
  player.close();
  video.remove();
  await fetch(`/api/session/v1/${sessionId}`, { method: "DELETE" });
}
