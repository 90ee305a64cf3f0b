// What a player sees when the network turns bad: a path of 20 Mbit/s, 30 ms there and back, whose queue holds 200 ms and
// drops at its tail, in user space between Chromium and the agent's session process (test/support/udp-relay.ts).
//
// The game is noise at 720p60 that fills the 16 Mbit/s it may have. In turn: 20 → 5 → 20 Mbit/s, 1 and 5 % loss, 50 ms
// of jitter, 5 s of darkness. Measured at the relay: from the drop until what the agent sends stays under the capacity,
// and from the return until nine tenths of the rate before are back; in the page, by requestVideoFrameCallback: the
// longest time without a new picture after the drop, under loss and jitter, and from the end of the darkness to the next
// picture. Against: 1,000, 300 and 1,000 ms and 10 s, of the issue. Repeat: npm run bench -- impairment
import { type ChildProcess, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type FromChild, fromChild, type ToChildInput } from "../src/agent/session/protocol.js";
import { openBrowser } from "../test/support/browser.js";
import { until } from "../test/support/hotseat.js";
import { type Path, UdpRelay, withoutCandidates } from "../test/support/udp-relay.js";
import { runGrainSession } from "./support/grain-session.js";
import { report, round } from "./support/statistics.js";

if (process.argv.includes("--session")) {
  await runGrainSession();
  process.exit(0);
}

const smoke = process.argv.includes("--smoke");
const phaseMs = smoke ? 4_000 : 12_000;
const mode = { width: 1280, height: 720, fps: 60 };
const clear: Path = { kbps: 20_000, queueMs: 200, lossShare: 0, jitterMs: 0, dark: false };
const wideKbps = 16_000;
const narrowKbps = 5_000;

const page = readFileSync(
  fileURLToPath(new URL("../../test/browser/fixtures/session-page.html", import.meta.url)),
  "utf8",
);
const seat = {
  sessionId: "impaired",
  gameId: "grain",
  presetId: "default-standard" as const,
  title: "Grain",
  pointer: "absolute" as const,
  mode,
  bitrateKbpsMin: wideKbps,
  bitrateKbpsMax: wideKbps,
  idleMs: 3_600_000,
};

function startSession(): { child: ChildProcess; tell: (message: ToChildInput) => void; heard: FromChild[] } {
  const child = fork(fileURLToPath(import.meta.url), ["--session"], {
    serialization: "advanced",
    env: { UV_THREADPOOL_SIZE: "8" },
  });
  const heard: FromChild[] = [];
  child.on("message", (raw) => heard.push(fromChild.parse(raw)));
  return { child, tell: (message) => child.send(message), heard };
}

await using relay = await UdpRelay.open({ oneWayMs: 15, path: clear });
await using browser = await openBrowser();
const session = startSession();
const { page: tab } = browser;
await tab.route("http://localhost/**", (route) => route.fulfill({ contentType: "text/html", body: page }));
await tab.exposeFunction("toAgent", (message: { type: "offer"; sdp: string } | { type: "candidate" }) => {
  // Without the browser's candidates the agent knows only who knocks: the relay.
  if (message.type === "offer") session.tell({ ...message, connectionId: "one", sdp: withoutCandidates(message.sdp) });
});
const say = (message: unknown) => tab.evaluate((signal) => (globalThis as never as Page).fromAgent(signal), message);
session.child.on("message", (raw) => {
  const message = fromChild.parse(raw);
  if (message.type === "answer") void say({ ...message, sdp: withoutCandidates(message.sdp) });
  if (message.type !== "candidate") return;
  const candidate = relay.disguise(message.candidate.candidate);
  if (candidate !== null) void say({ ...message, candidate: { ...message.candidate, candidate } });
});
interface Page {
  fromAgent(message: unknown): Promise<void>;
  frames: number[];
}

await tab.goto("http://localhost/");
const capabilities = { encoder: "libx264", pixelsPerSecond: 1e9, sustains: mode, sessionsMax: 1 };
session.tell({ type: "start", seat, capabilities, network: { bindAddress: "127.0.0.1" } });
await until("the session", () => session.heard.find(({ type }) => type === "started"));
session.tell({ type: "connect", connectionId: "one", iceServers: [] });
await tab.getByRole("button").click();
await until("media", () => session.heard.find((message) => message.type === "state" && message.state === "connected"));
await tab.evaluate(() => {
  const video = document.querySelector("video")!;
  const seen = ((globalThis as never as Page).frames = [] as number[]);
  const look = () => {
    seen.push(performance.timeOrigin + performance.now());
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
});

/** The times of new pictures, in this process's clock. */
const pictures = async () =>
  (await tab.evaluate(() => (globalThis as never as Page).frames)).map((ms) => ms - performance.timeOrigin);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The path is so for a while; answers when that began. */
async function phase(change: Partial<Path>, ms = phaseMs): Promise<number> {
  const sinceMs = performance.now();
  relay.path = { ...clear, ...change };
  await pause(ms);
  return sinceMs;
}

const slotMs = 100;
/** What the agent sent from then on, kbit/s, by slots. */
function rates(fromMs: number, toMs: number): number[] {
  const slots = new Array<number>(Math.max(0, Math.floor((toMs - fromMs) / slotMs))).fill(0);
  for (const { atMs, bytes } of relay.sent) {
    const slot = Math.floor((atMs - fromMs) / slotMs);
    if (slot >= 0 && slot < slots.length) slots[slot]! += (bytes * 8) / slotMs;
  }
  return slots;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const windowSlots = 5;
/** Averages over half a second, by the slot they begin with: one large frame is no rate. */
const smoothed = (values: readonly number[]) =>
  values.slice(0, 1 - windowSlots).map((_, i) => mean(values.slice(i, i + windowSlots)));
/** A rate is only known at the end of its half second. */
const knownMs = (window: number): number => (window + windowSlots) * slotMs;

async function longestGap(fromMs: number, toMs: number): Promise<number> {
  const times = (await pictures()).filter((ms) => ms >= fromMs && ms <= toMs);
  return Math.max(...[fromMs, ...times].map((ms, i, all) => (all[i + 1] ?? toMs) - ms));
}

await phase({}, phaseMs);
const startedMs = await phase({}, 3_000);
const beforeKbps = mean(rates(startedMs, performance.now()));
const dropMs = await phase({ kbps: narrowKbps });
const riseMs = await phase({});
const endMs = performance.now();

const afterDrop = smoothed(rates(dropMs, riseMs));
const reaction = afterDrop.findIndex((kbps, i) =>
  afterDrop.slice(i, i + 5).every((next) => next <= narrowKbps && kbps <= narrowKbps),
);
const afterRise = smoothed(rates(riseMs, endMs));
const back = afterRise.findIndex((kbps) => kbps >= 0.9 * beforeKbps);
const gaps: Record<string, number> = {
  drop: await longestGap(dropMs, riseMs),
  return: await longestGap(riseMs, endMs),
};
for (const lossShare of [0.01, 0.05]) {
  const sinceMs = await phase({ lossShare });
  gaps[`loss ${lossShare * 100} %`] = await longestGap(sinceMs, performance.now());
}
const jitterMs = await phase({ jitterMs: 50 });
gaps["jitter 50 ms"] = await longestGap(jitterMs, performance.now());
await phase({}, 2_000);
await phase({ dark: true }, 5_000);
const lightMs = await phase({}, phaseMs);
const firstPicture = (await pictures()).find((ms) => ms > lightMs);

for (const [what, ms] of Object.entries(gaps))
  console.log(`longest time without a new picture, ${what}: ${round(ms)} ms`);
report({
  bench: "impairment",
  drop_reaction_ms: reaction < 0 ? null : knownMs(reaction),
  longest_freeze_ms: round(Math.max(...Object.values(gaps))),
  blackout_recovery_ms: firstPicture === undefined ? null : round(firstPicture - lightMs),
  recovery_90_s: back < 0 ? null : round(knownMs(back) / 1000),
  before_kbps: Math.round(beforeKbps),
  narrow_kbps: Math.round(mean(rates(dropMs + 3_000, riseMs))),
});
session.tell({ type: "stop" });
