// Four sessions on one VM: how evenly the agent makes frames when every session wants the cores at once.
//
// Measured: a real agent (supervisor, spare, four session processes) under a control plane that only gives out seats,
// four films of 720p30; one watched by headless Chromium, which decodes and shows it on the same cores, three received
// by WebRTC sinks that do not decode. A frame's moment is its RTP timestamp, which the agent stamps by its own monotonic
// clock when it begins to draw: what is late on the way, or in a receiver, is not in it. In Chromium the stamps are read
// from the encoded frames before its decoder, which may drop some. `p99_interval_ratio` is the p99 of all intervals
// between neighbouring frames, of the four sessions together, over the nominal 33.3 ms; `by_session` each one's, Chromium's
// first; `arrival_p99_ratio` the same by the times when frames were complete at the three sinks,
// which adds encoding, sending and the sinks' own waiting for a core. A session the machine is too slow for steps down to
// smaller pictures (30 a second stay): `stepped_to` names each time, `runs_at` what it began with. Against: 1.5.
// Repeat: npm run bench -- many
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { videoClockRate } from "../src/agent/encode/video-encoder.js";
import type { VideoMode } from "../src/contracts/catalog.js";
import type { FromAgent, ToAgent } from "../src/contracts/signalling.js";
import { openBrowser } from "../test/support/browser.js";
import { cli } from "../test/support/hotseat.js";
import { ControlPlane } from "../test/system/agent-control-plane.js";
import { percentile, report, round } from "./support/statistics.js";
import { type Received, runSink, sinkMode, WebRtcSink } from "./support/webrtc-sink.js";

const mode = { width: 1280, height: 720, fps: 30 };
const periodMs = 1000 / mode.fps;
const smoke = process.argv.includes("--smoke");
/** Until the films are drawn, the spare process is ready again and rates have settled. */
const settleMs = smoke ? 6_000 : 12_000;
const measureMs = smoke ? 6_000 : 30_000;
const sinkCount = 3;
const gameId = process.argv.includes("--demo") ? "demo" : "film";

type Signal = Extract<FromAgent, { type: "signal" }>["message"];
type FromViewer = Extract<ToAgent, { type: "signal" }>["message"];

const sessionPage = readFileSync(
  fileURLToPath(new URL("../../test/browser/fixtures/session-page.html", import.meta.url)),
  "utf8",
);

async function measureAll(): Promise<void> {
  const controlPlane = await ControlPlane.start();
  const agent = spawn(process.execPath, [cli, "agent", "--config", controlPlane.configPath], { stdio: "ignore" });
  const ended = once(agent, "exit");
  const sinks = Array.from({ length: sinkCount }, () => new WebRtcSink());
  try {
    // Who waits for what the agent will say would wait for ever.
    const early = ended.then(([code, signal]) => {
      throw new Error(`the agent ended with ${code ?? signal}`);
    });
    await Promise.race([measure(controlPlane, sinks), early]);
  } finally {
    await Promise.all(sinks.map((sink) => sink[Symbol.asyncDispose]()));
    agent.kill("SIGTERM");
    await ended;
    await controlPlane.remove();
  }
}

async function measure(controlPlane: ControlPlane, sinks: readonly WebRtcSink[]): Promise<void> {
  await controlPlane.until(() => controlPlane.heartbeats > 0 && controlPlane.links > 0);
  await using browser = await openBrowser();
  const watched = await join(controlPlane, "many-0");
  await watch(browser.page, watched);
  for (const [i, sink] of sinks.entries()) await receive(sink, await join(controlPlane, `many-${i + 1}`));
  await sleep(settleMs);
  const inPage = await stampsSeen(browser.page);
  for (const sink of sinks) await sink.received();
  await sleep(measureMs);
  const atSinks = await Promise.all(sinks.map((sink) => sink.received()));
  const stamps = (await stampsSeen(browser.page)).slice(inPage.length);
  const steppedTo = controlPlane.said.flatMap((said) => (said.type === "stream" ? said.stream.mode : []));
  summarise(watched.runsAt, stamps, atSinks, steppedTo);
}

function summarise(
  runsAt: VideoMode,
  inPage: readonly number[],
  atSinks: readonly Received[],
  steppedTo: readonly VideoMode[],
): void {
  const between = (times: readonly number[]) => times.slice(1).map((time, i) => time - times[i]!);
  const intervals = [
    between(inPage).map((ticks) => (ticks >>> 0) / (videoClockRate / 1000)),
    ...atSinks.map(({ frames }) => between(frames.map(({ atMs }) => atMs))),
  ];
  const ratio = (values: readonly number[], p: number) => round(percentile(values, p) / periodMs, 2);
  const all = intervals.flat();
  const arrivals = atSinks.flatMap(({ frames }) => between(frames.map(({ cameMs }) => cameMs)));
  report({
    bench: "many",
    p99_interval_ratio: ratio(all, 99),
    p95_interval_ratio: ratio(all, 95),
    p50_interval_ratio: ratio(all, 50),
    by_session: intervals.map((values) => ratio(values, 99)),
    arrival_p99_ratio: ratio(arrivals, 99),
    frames: all.length,
    skipped: round(Math.max(0, 1 - (all.length * periodMs) / (measureMs * intervals.length)), 3),
    runs_at: inWords(runsAt),
    stepped_to: steppedTo.map(inWords),
    lost_packets: atSinks.reduce((sum, { lost }) => sum + lost, 0),
    game: gameId,
  });
}

const inWords = ({ width, height, fps }: VideoMode) => `${width}x${height}@${fps}`;

/** A player's way to the agent, once it was let in. */
interface Joined {
  /** 720p30, or what the probe says the machine sustains of it. */
  readonly runsAt: VideoMode;
  tell(signal: FromViewer): void;
  hear(listener: (signal: Signal) => void): void;
  /** Resolves when media flows. */
  connected(): Promise<unknown>;
}

/** Gives the VM another seat, and joins it. */
async function join(controlPlane: ControlPlane, sessionId: string): Promise<Joined> {
  controlPlane.seats.push({
    sessionId,
    gameId,
    presetId: "default-standard",
    mode,
    title: "Film",
    pointer: "relative",
    bitrateKbpsMin: 1_000,
    bitrateKbpsMax: 15_000,
    idleMs: 3_600_000,
  });
  const { connectionId, answer } = await controlPlane.join(sessionId, { jti: randomUUID() });
  if (answer.type !== "joined") throw new Error(`${sessionId} was refused: ${answer.detail}`);
  const { fps } = answer.stream.mode;
  if (fps !== mode.fps) throw new Error(`the probe found this machine too slow for 30 frames a second: ${fps}`);
  let heard = controlPlane.said.length;
  return {
    runsAt: answer.stream.mode,
    tell: (message) => controlPlane.tell({ type: "signal", sessionId, connectionId, message }),
    hear: (listener) =>
      void controlPlane.until(() => {
        for (const said of controlPlane.said.slice(heard))
          if (said.type === "signal" && said.connectionId === connectionId) listener(said.message);
        heard = controlPlane.said.length;
        return false;
      }),
    connected: () =>
      controlPlane.hear(
        (said) => (said.type === "session" && said.sessionId === sessionId && said.state === "connected") || undefined,
      ),
  };
}

async function receive(sink: WebRtcSink, { tell, hear, connected }: Joined): Promise<void> {
  hear((signal) => sink.receive(signal));
  sink.carry(tell);
  await connected();
}

async function watch(page: Page, { tell, hear, connected }: Joined): Promise<void> {
  await page.route("http://localhost/**", (route) => route.fulfill({ contentType: "text/html", body: sessionPage }));
  await page.exposeFunction("toAgent", tell);
  hear((signal) => void page.evaluate((message) => (window as never as Watching).fromAgent(message), signal));
  await page.addInitScript(collectStamps);
  await page.goto("http://localhost/");
  await page.getByRole("button").click();
  await connected();
}

// In the page, which is the fixture of the browser tests.
interface Watching {
  fromAgent(signal: unknown): Promise<void>;
  stamps: number[];
}

/** The RTP timestamps of encoded frames, which only a transform in a worker sees, set before the first one comes. */
function collectStamps(): void {
  const source = `onrtctransform = ({ transformer }) => {
    const stamp = new TransformStream({
      transform(frame, controller) {
        postMessage(frame.getMetadata().rtpTimestamp);
        controller.enqueue(frame);
      },
    });
    transformer.readable.pipeThrough(stamp).pipeTo(transformer.writable);
  }`;
  const stamps: number[] = [];
  (window as never as Watching).stamps = stamps;
  const { addTransceiver } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.addTransceiver = function (kind, init) {
    const transceiver = addTransceiver.call(this, kind, init);
    if (kind !== "video") return transceiver;
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    worker.onmessage = ({ data }) => stamps.push(data);
    transceiver.receiver.transform = new RTCRtpScriptTransform(worker, {});
    return transceiver;
  };
}

const stampsSeen = (page: Page) => page.evaluate(() => (window as never as Watching).stamps);

if (process.argv[2] === sinkMode) await runSink();
else await measureAll();
process.exit(0);
