// The real child process of a session and a real browser, with nothing between them but this test, which carries their
// signalling: what the media side promises to a player.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FromChild, fromChild, type ToChildInput } from "../../src/agent/session/protocol.js";
import { encodeInput, type InputEvent } from "../../src/contracts/input.js";
import { decodeRumble, rumbleMsMax } from "../../src/contracts/rumble.js";
import { UdpRelay, withoutCandidates } from "../support/udp-relay.js";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(import.meta.dirname, "fixtures/session-page.html"), "utf8");
const mode = { width: 1280, height: 720, fps: 60 };
const capabilities = { encoder: "libx264", pixelsPerSecond: 2e8, sustains: mode, sessionsMax: 1 };
const seat = (gameId: string) => ({
  sessionId: "session-1",
  gameId,
  presetId: "default-standard" as const,
  mode: { width: 1920, height: 1080, fps: 60 },
  title: "Signal",
  pointer: "relative" as const,
  bitrateKbpsMin: 8_000,
  bitrateKbpsMax: 15_000,
  idleMs: 600_000,
});

class Child {
  readonly process: ChildProcess;
  readonly heard: FromChild[] = [];
  readonly #waiting: ((message: FromChild) => void)[] = [];

  constructor(file: string) {
    this.process = fork(join(root, file), {
      serialization: "advanced",
      execArgv: [],
      env: { UV_THREADPOOL_SIZE: "8" },
    });
    this.process.on("message", (raw) => {
      const message = fromChild.parse(raw);
      this.heard.push(message);
      for (const listener of [...this.#waiting]) listener(message);
    });
  }

  tell(message: ToChildInput): void {
    this.process.send(message);
  }

  listen(listener: (message: FromChild) => void): void {
    this.#waiting.push(listener);
  }

  /** The first message that matches, heard already or to come. */
  hears<M extends FromChild>(matches: (message: FromChild) => message is M): Promise<M> {
    const already = this.heard.find(matches);
    if (already !== undefined) return Promise.resolve(already);
    return new Promise((resolve) => this.listen((message) => matches(message) && resolve(message)));
  }

  async exit(): Promise<number | null> {
    const { exitCode, signalCode } = this.process;
    if (exitCode === null && signalCode === null) await once(this.process, "exit");
    return this.process.exitCode;
  }

  async end(): Promise<void> {
    if (this.process.connected) this.tell({ type: "stop" });
    await this.exit();
  }
}

const ofType =
  <T extends FromChild["type"]>(type: T) =>
  (message: FromChild): message is FromChild & { type: T } =>
    message.type === type;
const state =
  (name: string, connectionId?: string) =>
  (message: FromChild): message is FromChild & { type: "state" } =>
    message.type === "state" &&
    message.state === name &&
    (connectionId ?? message.connectionId) === message.connectionId;

let browser: BrowserContext;
let profile: string;

beforeAll(async () => {
  profile = mkdtempSync(join(tmpdir(), "hotseat-browser-"));
  browser = await chromium.launchPersistentContext(profile, {
    executablePath: "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
    viewport: { width: 800, height: 500 },
  });
  await browser.route("http://localhost/**", (route) => route.fulfill({ contentType: "text/html", body: page }));
});

afterAll(async () => {
  await browser?.close();
  rmSync(profile, { recursive: true, force: true });
});

/** A page that plays the session after one click; `relay`: over that path. */
async function play(child: Child, connectionId: string, relay?: UdpRelay): Promise<Page> {
  const tab = await browser.newPage();
  await tab.exposeFunction(
    "toAgent",
    (message: { type: "offer"; sdp: string } | { type: "candidate"; candidate: never }) => {
      const { sdp } = message.type === "offer" ? message : { sdp: "" };
      if (relay === undefined) child.tell({ ...message, connectionId });
      else if (message.type === "offer") child.tell({ type: "offer", sdp: withoutCandidates(sdp), connectionId });
    },
  );
  const tell = (signal: unknown) =>
    tab
      .evaluate((said) => (globalThis as never as { fromAgent(m: unknown): void }).fromAgent(said), signal)
      .catch(() => {});
  child.listen((message) => {
    if (message.type === "answer" && message.connectionId === connectionId)
      void tell(relay === undefined ? message : { ...message, sdp: withoutCandidates(message.sdp) });
    if (message.type !== "candidate" || message.connectionId !== connectionId) return;
    const candidate = relay === undefined ? message.candidate.candidate : relay.disguise(message.candidate.candidate);
    if (candidate !== null) void tell({ ...message, candidate: { ...message.candidate, candidate } });
  });
  await tab.goto("http://localhost/");
  child.tell({ type: "connect", connectionId, iceServers: [] });
  await tab.getByRole("button").click();
  await child.hears(state("connected", connectionId));
  return tab;
}

let seq = 0;
const send = (tab: Page, channel: "input" | "state", event: InputEvent) =>
  tab.evaluate(`send("${channel}", [${encodeInput({ seq: ++seq, event }).join()}])`);
const space = (down: boolean): InputEvent => ({ kind: "key", code: "Space", down });
const halvesAre = (tab: Page, left: number, right: number) => tab.evaluate<number>(`halvesWhen(${left}, ${right})`);

interface Stats {
  video: {
    keyFramesDecoded: number;
    framesDecoded: number;
    frameWidth: number;
    pliCount: number;
    framesPerSecond: number;
  };
  audio: {
    totalAudioEnergy: number;
    concealmentEvents: number;
    fecPacketsReceived: number;
    fecPacketsDiscarded: number;
  };
}
const stats = (tab: Page) => tab.evaluate<Stats>("stats()");
async function until<T>(read: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await read();
    if (holds(value)) return value;
  }
}

describe("a session's process", () => {
  const child = new Child("test/browser/fixtures/signal-game.js");
  afterAll(() => child.end());
  let tab: Page;
  /** What it said last that it runs at: a machine that others keep busy steps down. */
  const told = () => child.heard.flatMap((message) => ("stream" in message ? [message.stream.mode.width] : [])).at(-1);

  it("starts at what the machine sustains, and says why that is below what was asked", async () => {
    await child.hears(ofType("prepared"));
    child.tell({ type: "start", seat: { ...seat("signal"), idleMs: 1_500 }, capabilities });
    const { stream } = await child.hears(ofType("started"));
    expect(stream).toMatchObject({ title: "Signal", mode, asked: { width: 1920 }, encoder: "libx264" });
    expect(stream.why).toMatch("1280×720");
  });

  it("shows its picture and plays its sound after one click", async () => {
    tab = await play(child, "first-player");
    const { video, audio } = await until(
      () => stats(tab),
      ({ video, audio }) => (video?.framesDecoded ?? 0) > 60 && (audio?.totalAudioEnergy ?? 0) > 0.01,
    );
    expect([1280, told()]).toContain(video.frameWidth);
    expect(audio.concealmentEvents).toBeLessThan(20);
  });

  it("hands input of both data channels and of the control socket to the game", async () => {
    await halvesAre(tab, 0, 0);
    await send(tab, "input", space(true));
    await halvesAre(tab, 255, 0);
    await send(tab, "state", { kind: "mouse-position", x: 1, y: 0 });
    await halvesAre(tab, 255, 255);
    child.tell({ type: "control", input: encodeInput({ seq: ++seq, event: space(false) }) });
    await halvesAre(tab, 0, 255);
  });

  it("tells the page what its gamepad is to be felt doing, bounded", async () => {
    await send(tab, "input", { kind: "key", code: "KeyR", down: true });
    const bytes = await tab.evaluate<number[]>("rtc.heard");
    expect(decodeRumble(Uint8Array.from(bytes))).toEqual({ index: 1, strong: 1, weak: 0.2, durationMs: rumbleMsMax });
  });

  it("answers a PLI with a keyframe, and sends none unasked", async () => {
    const before = await stats(tab);
    const later = await until(
      () => stats(tab),
      ({ video }) => video.framesDecoded > before.video.framesDecoded + 60,
    );
    // A machine that others keep busy may have stepped down meanwhile, which costs one; the browser may have asked itself.
    const changes = child.heard.filter(({ type }) => type === "stream").length;
    const asked = later.video.pliCount - before.video.pliCount;
    expect(later.video.keyFramesDecoded).toBeLessThanOrEqual(before.video.keyFramesDecoded + changes + asked);
    await tab.evaluate("askForKeyframe()");
    await until(
      () => stats(tab),
      ({ video: { keyFramesDecoded, pliCount } }) =>
        keyFramesDecoded > later.video.keyFramesDecoded && pliCount > later.video.pliCount,
    );
  });

  it("lets a newer connection take over, and releases what the older one held", async () => {
    await send(tab, "input", space(true));
    await halvesAre(tab, 255, 255);
    const second = await play(child, "second-player");
    await halvesAre(second, 0, 255);
    await until(
      () => tab.evaluate<string>("rtc.input.readyState"),
      (channel) => channel === "closed",
    );
    await tab.close();
    tab = second;
  });

  it("says at once when the page closes its connection", async () => {
    await tab.evaluate("rtc.connection.close()");
    await child.hears(state("disconnected", "second-player"));
    await tab.close();
  });

  it("takes the player back, and reports when they leave for good, and when they do nothing", async () => {
    tab = await play(child, "third-player");
    await child.hears(state("idle", "third-player"));
    child.tell({ type: "disconnect", connectionId: "third-player", bye: true });
    await child.hears(state("left", "third-player"));
    await tab.close();
  });

  it("releases what a player held who is not heard of any more", async () => {
    const silent = await play(child, "silent-player");
    await send(silent, "input", space(true));
    await halvesAre(silent, 255, 255);
    const died = new Promise((resolve) => silent.once("crash", resolve));
    await Promise.all([died, silent.goto("chrome://crash").catch(() => {})]);
    const { detail } = await child.hears(state("disconnected", "silent-player"));
    expect(detail).toMatch(/nothing heard|network path is gone|connection is/);
    await silent.close();
    tab = await play(child, "after-silence");
    await halvesAre(tab, 0, 255);
    await tab.close();
  });

  it("refuses an offer that cannot be answered, and goes on", async () => {
    child.tell({ type: "connect", connectionId: "odd-browser", iceServers: [] });
    child.tell({ type: "offer", connectionId: "odd-browser", sdp: "v=0\r\n" });
    const refused = await child.hears(ofType("refused"));
    expect(refused).toMatchObject({ reason: "bad-offer", detail: "the offer asks for no video" });
  });

  it("tells that the game is over, and ends by itself", async () => {
    tab = await play(child, "last-player");
    await send(tab, "input", { kind: "key", code: "Escape", down: true });
    const over = await child.hears(state("game-exited"));
    expect(over.detail).toBe("the game was left");
    expect(await child.exit()).toBe(0);
    await tab.close();
  });
});

describe("a session's encoder", () => {
  const small = { width: 640, height: 360, fps: 60 };
  const encoding = (name: string) => ({ name, works: true, detail: "named by the test", pixelsPerSecond: 2e8 });
  const started = async (...names: string[]) => {
    const child = new Child("test/browser/fixtures/signal-game.js");
    const encoders = [...names, "libx264"].map(encoding);
    child.tell({
      type: "start",
      seat: seat("signal"),
      capabilities: { ...capabilities, sustains: small, encoder: names[0]!, encoders },
    });
    expect((await child.hears(ofType("started"))).stream).toMatchObject({ mode: small, encoder: names[0] });
    return child;
  };

  it("that breaks while a player watches is replaced by the next: the picture goes on, and the player is told", async () => {
    const child = await started("breaking");
    const tab = await play(child, "watching");
    await halvesAre(tab, 0, 0);
    await send(tab, "input", space(true));
    await halvesAre(tab, 255, 0);
    const decoded = async () => (await stats(tab)).video?.framesDecoded ?? 0;
    const before = await decoded();
    const { stream } = await child.hears(ofType("stream"));
    expect(stream.encoder).toBe("libx264");
    expect(stream.why).toContain("breaking failed (the device was lost)");
    await until(decoded, (frames) => frames > before + 60);
    expect(child.heard.filter(ofType("state")).map(({ state }) => state)).toEqual(["connected"]);
    await tab.close();
    await child.end();
  });

  it("that takes longer than a frame has makes the picture slower, and says so in figures", async () => {
    const child = await started("slow");
    const tab = await play(child, "watching");
    const { stream } = await child.hears(ofType("stream"));
    expect(stream.mode.fps).toBe(30);
    expect(stream.encoder).toBe("slow");
    expect(stream.why).toMatch(/this machine's encoder takes \d\d ms a frame of 16\.7$/);
    await tab.close();
    await child.end();
  });
});

describe("a session's sound", () => {
  it("over a path that loses packets is repaired from the copies in the ones after them", async () => {
    const path = { kbps: 50_000, queueMs: 200, lossShare: 0.08, jitterMs: 0, dark: false };
    await using relay = await UdpRelay.open({ oneWayMs: 5, path: { ...path, lossShare: 0 } });
    const child = new Child("test/browser/fixtures/signal-game.js");
    const network = { bindAddress: "127.0.0.1" };
    child.tell({ type: "start", seat: seat("signal"), capabilities, network });
    await child.hears(ofType("started"));
    const tab = await play(child, "listening", relay);
    const heard = await until(
      () => stats(tab),
      ({ audio }) => (audio?.totalAudioEnergy ?? 0) > 0.01,
    );
    expect(heard.audio.fecPacketsReceived).toBe(0);
    relay.path = path;
    // A copy that is not discarded stood for a packet that had not come.
    await until(
      () => stats(tab),
      ({ audio }) => audio.fecPacketsReceived - audio.fecPacketsDiscarded > 5,
    );
    await tab.close();
    await child.end();
  });
});

describe("the built program of a session", () => {
  const program = "dist/agent/session/main.js";

  it("measures the machine, then starts the demo game", async () => {
    const child = new Child(program);
    await child.hears(ofType("prepared"));
    child.tell({ type: "probe" });
    const { capabilities: found } = await child.hears(ofType("probed"));
    child.tell({ type: "start", seat: seat("demo"), capabilities: found });
    const { stream } = await child.hears(ofType("started"));
    expect(stream.mode.width).toBeLessThanOrEqual(found.sustains.width);
    await child.end();
    expect(await child.exit()).toBe(0);
  });

  it("prepares for a session, and starts that one or another", async () => {
    for (const gameId of ["demo", "film"]) {
      const child = new Child(program);
      child.tell({ type: "prepare", gameId: "demo", mode: capabilities.sustains });
      await child.hears(ofType("ready"));
      child.tell({ type: "start", seat: seat(gameId), capabilities });
      expect((await child.hears(ofType("started"))).stream.gameId).toBe(gameId);
      await child.end();
    }
  });

  it("says that it does not know a game, and ends", async () => {
    const child = new Child(program);
    child.tell({ type: "start", seat: seat("tetris"), capabilities });
    expect((await child.hears(ofType("failed"))).detail).toContain("tetris");
    expect(await child.exit()).toBe(0);
  });

  it("ends by itself when its supervisor is gone, and soon after a SIGTERM that only it got", async () => {
    const [orphan, signalled] = [new Child(program), new Child(program)];
    for (const child of [orphan, signalled]) child.tell({ type: "start", seat: seat("demo"), capabilities });
    await Promise.all([orphan.hears(ofType("started")), signalled.hears(ofType("started"))]);
    orphan.process.disconnect();
    expect(await orphan.exit()).toBe(0);
    const askedAtMs = performance.now();
    signalled.process.kill("SIGTERM");
    expect(await signalled.exit()).toBe(0);
    expect(performance.now() - askedAtMs).toBeLessThan(2_000);
  });

  it("leaves the first word to its supervisor when a signal reaches the whole group", async () => {
    const child = new Child(program);
    child.tell({ type: "start", seat: seat("demo"), capabilities });
    await child.hears(ofType("started"));
    const signalledAtMs = performance.now();
    child.process.kill("SIGTERM");
    child.tell({ type: "stop" });
    expect(await child.exit()).toBe(0);
    expect(performance.now() - signalledAtMs).toBeLessThan(1_000);
  });
});
