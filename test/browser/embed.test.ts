// An integrator's site, of another origin: its backend makes the session, its page is the example of the documents as it
// stands, but for the address of Hotseat.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { CreatedSession } from "../../src/contracts/session.js";
import type { connect as Connect, Player, PlayerEvents } from "../../src/player/player.js";
import { openBrowser } from "../support/browser.js";
import { type RunningHotseat, startUp } from "../support/hotseat.js";
import { watchConnections } from "../support/picture.js";

const example = readFileSync("docs/examples/player.html", "utf8");

let hotseat: RunningHotseat;
let site: Server;
let session: CreatedSession;

const key = () => ({ authorization: `Bearer ${hotseat.key("session")}` });

/** The studio's backend: a session for whoever asks. */
async function makeSession(): Promise<string> {
  const response = await fetch(`${hotseat.url}/api/session/v1`, {
    method: "POST",
    headers: { ...key(), "content-type": "application/json" },
    body: JSON.stringify({ gameId: "demo", cap: { width: 640, height: 360, fps: 30 } }),
  });
  session = (await response.json()) as CreatedSession;
  return JSON.stringify(session);
}

beforeAll(async () => {
  site = createServer(async ({ method, url }, response) => {
    const asksForSession = method === "POST" && url === "/sessions";
    response.setHeader("content-type", asksForSession ? "application/json" : "text/html");
    response.end(asksForSession ? await makeSession() : example.replace("http://127.0.0.1:8080", hotseat.url));
  }).listen(0, "127.0.0.1");
  await once(site, "listening");
  hotseat = await startUp({ args: ["--allow-origin", origin()] });
});
afterAll(async () => {
  site?.close();
  await hotseat?.[Symbol.asyncDispose]();
});

const origin = () => `http://localhost:${(site.address() as AddressInfo).port}`;

it("is a page of less than fifty lines", () => {
  expect(example.trim().split("\n").length).toBeLessThan(50);
});

it("plays a session in a page of another site, tells of the stream, and is told of its end", async () => {
  await using browser = await openBrowser();
  const { page } = browser;
  await page.goto(origin());
  await page.getByRole("button", { name: "Play" }).click();
  await page.waitForFunction(() => document.querySelector("video")!.getVideoPlaybackQuality().totalVideoFrames > 10);
  expect(await page.evaluate(() => document.querySelector("video")!.videoWidth)).toBe(640);
  await page.locator("#state", { hasText: "playing" }).waitFor();
  await page.locator("#stats", { hasText: /^360p, \d+ frames\/s, \d+ ms$/ }).waitFor();

  const ended = await fetch(`${hotseat.url}/api/session/v1/${session.sessionId}`, { method: "DELETE", headers: key() });
  expect(ended.status).toBe(200);
  await page.locator("#state", { hasText: "ended-by-request" }).waitFor();
});

it("ends the session from the page, which may play again", async () => {
  await using browser = await openBrowser();
  const { page } = browser;
  await page.goto(origin());
  for (let time = 0; time < 2; time++) {
    await page.getByRole("button", { name: "Play" }).click();
    await page.getByRole("button", { name: "Leave" }).click();
    await page.locator("#state", { hasText: "ended-by-player" }).waitFor();
  }
});

it("leaves at any event: nothing of a player goes on that was closed by its own listener", async () => {
  await using browser = await openBrowser();
  const { page } = browser;
  await watchConnections(page);
  await page.addInitScript(() => {
    const sockets: WebSocket[] = [];
    Object.assign(window, { sockets });
    window.WebSocket = new Proxy(WebSocket, {
      construct(target, args) {
        const socket: WebSocket = Reflect.construct(target, args);
        sockets.push(socket);
        return socket;
      },
    });
  });
  await page.goto(origin());
  const content = `import { connect } from "${hotseat.url}/assets/player.js"; Object.assign(window, { connect });`;
  await page.addScriptTag({ type: "module", content });
  await page.waitForFunction(() => "connect" in window);
  const seen = await page.evaluate(async () => {
    const { connect, connections, sockets } = window as never as {
      connect: typeof Connect;
      connections: RTCPeerConnection[];
      sockets: WebSocket[];
    };
    const left = () => [
      connections.filter(({ signalingState }) => signalingState !== "closed").length,
      sockets.filter(({ readyState }) => readyState < WebSocket.CLOSING).length,
    ];
    const video = document.querySelector("video")!;
    const heard = <Name extends keyof PlayerEvents>(player: Player, name: Name) =>
      new Promise<PlayerEvents[Name]>((resolve) => player.on(name, resolve));
    const leaves = <Name extends keyof PlayerEvents>(player: Player, name: Name) =>
      new Promise<PlayerEvents[Name]>((resolve) =>
        player.on(name, (event) => {
          player.close();
          resolve(event);
        }),
      );
    const session: CreatedSession = await (await fetch("/sessions", { method: "POST" })).json();
    const { urls } = session;

    const first = connect(session, { video, controlTransport: "websocket" });
    const { resume } = await leaves(first, "welcome");
    const afterWelcome = left();

    const second = connect({ urls, resume }, { video });
    const welcome = heard(second, "welcome");
    await heard(second, "connected");
    const interrupted = leaves(second, "interrupted");
    const socketsBefore = sockets.length;
    const broken = connections.at(-1)!;
    Object.defineProperty(broken, "connectionState", { value: "failed" });
    broken.dispatchEvent(new Event("connectionstatechange"));
    await interrupted;

    // Who comes back is alone: figures for two seconds are longer than the player that left would wait with a socket.
    const third = connect({ urls, resume: (await welcome).resume }, { video });
    const problem = heard(third, "problem").then(({ kind }) => kind);
    const plays = heard(third, "stats").then(() => heard(third, "stats"));
    const thrownOut = await Promise.race([problem, plays.then(() => null)]);
    const playing = left();
    const socketsMade = sockets.length - socketsBefore;
    if (third.end()) await heard(third, "ended");
    return { afterWelcome, thrownOut, playing, socketsMade };
  });
  expect(seen).toEqual({ afterWelcome: [0, 0], thrownOut: null, playing: [1, 1], socketsMade: 1 });
});

it("has types that a strict page is checked by, in one file", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hotseat-types-"));
  try {
    const types = await (await fetch(`${hotseat.url}/assets/player.d.ts`)).text();
    writeFileSync(join(folder, "player.d.ts"), types);
    const check = (body: string) => {
      const page = join(folder, "page.ts");
      writeFileSync(page, `import { connect } from "./player.js";\ndeclare const video: HTMLVideoElement;\n${body}\n`);
      const strict = [
        "--ignoreConfig",
        "--noEmit",
        "--strict",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--types",
        "",
      ];
      try {
        execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", ...strict, page], { encoding: "utf8" });
        return "";
      } catch (error) {
        return String((error as { stdout: string }).stdout);
      }
    };
    const urls = `{ signalling: "wss://a", control: "wss://a", iceServers: [] }`;
    const player = `const player = connect({ urls: ${urls}, ticket: "t" }, { video, iceTransportPolicy: "relay" });`;
    expect(check(`${player} player.on("stats", ({ fps }) => fps.toFixed()); player.press("KeyW", true);`)).toBe("");
    expect(check(`${player} player.press("NoKey", true);`)).toContain("NoKey");
    expect(check(`${player} player.on("ended", ({ reason }) => reason === "bored");`)).toContain("bored");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
