// Media that must take the TURN server's way: the browser's network and the machine's have no other (relayed-network.ts).
// coturn runs as deploy/coturn has it; credentials live for seconds here, so that sessions outlive them.
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { iceServersFor } from "../../src/streaming/ice/ice-servers.js";
import { type Browser, openBrowser } from "../support/browser.js";
import { makeCertificate, startTurn, type TestCertificate, type TestTurn, turnSecrets } from "../support/coturn.js";
import { watchFrames } from "../support/frames.js";
import { type RunningHotseat, startUp, until } from "../support/hotseat.js";
import { shipMovesWith, watchConnections } from "../support/picture.js";
import { play } from "../support/play.js";
import { type RelayedNetwork, relayedNetwork } from "../support/relayed-network.js";
import type { TurnCredential } from "../support/turn-client.js";

const port = 8080;
const turnPort = 3478;
const turnCredentialSeconds = 10;

let certificate: TestCertificate;
let network: RelayedNetwork;
let turn: TestTurn;
let hotseat: RunningHotseat;

beforeAll(async () => {
  certificate = makeCertificate();
  network = relayedNetwork({ trustedKeyHash: certificate.keyHash });
  const { serverAddress, machineAddress } = network;
  turn = await startTurn({ host: serverAddress, port: turnPort, within: network.within("server"), certificate });
  const urls = [
    ...["udp", "tcp"].map((transport) => `turn:${serverAddress}:${turnPort}?transport=${transport}`),
    `turns:${serverAddress}:${turnPort + 1}?transport=tcp`,
  ];
  hotseat = await startUp({
    within: network.within("machine"),
    port,
    args: ["--host", machineAddress, "--public-url", `http://${serverAddress}:${port}`],
    settings: { streaming: { iceServers: [{ urls, sharedSecretFile: turn.secretFile }], turnCredentialSeconds } },
  });
  await network.openDoor(port);
});
afterAll(async () => {
  await hotseat?.[Symbol.asyncDispose]();
  await turn?.[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
  certificate?.[Symbol.dispose]();
});

const relayOnly = () => hotseat.link.replace("/#", "/?ice=relay#");

/** A browser at the player's; its sessions end with it, for the machine may carry one only. */
async function openPlayer(): Promise<Browser> {
  const browser = await openBrowser({ executablePath: network.chromium });
  await watchConnections(browser.page);
  return {
    ...browser,
    async [Symbol.asyncDispose]() {
      await browser.page.evaluate(async () => {
        const { sessions } = await (await fetch("/api/session/v1")).json();
        for (const { sessionId } of sessions) await fetch(`/api/session/v1/${sessionId}`, { method: "DELETE" });
      });
      await browser[Symbol.asyncDispose]();
    },
  };
}

/** The way media takes now, by the newest connection's statistics; undefined before there is one. */
const selectedWay = (page: Page) =>
  page.evaluate(async () => {
    const { connections } = window as unknown as { connections: RTCPeerConnection[] };
    const newest = connections.at(-1)!;
    const stats = new Map([...(await newest.getStats()).values()].map((stat) => [stat.id as string, stat]));
    const transport = [...stats.values()].find((stat) => stat.type === "transport");
    const pair = stats.get(transport?.selectedCandidatePairId);
    if (pair === undefined || newest.connectionState !== "connected") return undefined;
    const local = stats.get(pair.localCandidateId);
    const remote = stats.get(pair.remoteCandidateId);
    const { username = "" } = newest.getConfiguration().iceServers?.[0] ?? {};
    return {
      local: local.candidateType as string,
      protocol: local.relayProtocol as string,
      remote: remote.candidateType as string,
      username,
    };
  });

async function playsAndObeys(page: Page): Promise<void> {
  await page.keyboard.press("ArrowUp");
  expect(await shipMovesWith(page, "ArrowLeft")).toBeLessThan(-0.1);
  expect(await shipMovesWith(page, "ArrowRight")).toBeGreaterThan(0.1);
}

it("plays over UDP, goes on when the credential has expired, and comes back with a newer one", async () => {
  await using browser = await openPlayer();
  const { page } = browser;
  await play(page, relayOnly());
  const first = (await selectedWay(page))!;
  expect(first).toMatchObject({ local: "relay", protocol: "udp", remote: "relay" });
  await playsAndObeys(page);

  const expiry = Number(first.username.split(":")[0]) * 1000;
  await until("the first credential has expired", () => Date.now() > expiry + 1_000 || undefined);
  await playsAndObeys(page);
  const before = (await selectedWay(page))!;

  network.playerLink("down");
  await page.locator('body[data-phase="interrupted"]').waitFor();
  // Not before the player has given that connection up: a short gap it would survive.
  await page.waitForFunction(() => {
    const { connections } = window as unknown as { connections: RTCPeerConnection[] };
    return connections.every(({ connectionState }) => connectionState === "closed");
  });
  network.playerLink("up");
  const second = await until(
    "another connection",
    async () => {
      const way = await selectedWay(page);
      return way !== undefined && way.username !== before.username ? way : undefined;
    },
    60_000,
  );
  // Over UDP or TCP, whichever was quicker when the link came back.
  expect(second).toMatchObject({ local: "relay", remote: "relay" });
  await playsAndObeys(page);
});

it("plays on when the player's address changes, by a connection made beside the one there was", async () => {
  await using browser = await openPlayer();
  const { page } = browser;
  await play(page, relayOnly());
  await playsAndObeys(page);
  const made = () => page.evaluate(() => (window as unknown as { connections: unknown[] }).connections.length);
  const before = await made();
  const frames = await watchFrames(page);
  network.movePlayer();
  await until("another connection", async () => (await made()) > before || undefined);
  await until("it carries the picture", async () => (await selectedWay(page)) ?? undefined);
  await page.locator('body[data-phase="playing"]').waitFor();
  await playsAndObeys(page);
  const { longestMs } = await frames.seen();
  console.log(JSON.stringify({ longestMs, connections: (await made()) - before }));
  // To be told by ICE, and to wait whether it recovers, takes longer.
  expect(longestMs).toBeLessThan(5_000);
});

it("plays over TCP where the player's network lets no UDP out", async () => {
  using _noUdp = network.dropPlayerUdp();
  using _noTls = network.dropPlayerTcp(turnPort + 1);
  await using browser = await openPlayer();
  const { page } = browser;
  await play(page, relayOnly());
  expect(await selectedWay(page)).toMatchObject({ local: "relay", protocol: "tcp", remote: "relay" });
  await playsAndObeys(page);
});

it("plays over TLS where it lets out nothing else", async () => {
  using _noUdp = network.dropPlayerUdp();
  using _noTcp = network.dropPlayerTcp(turnPort);
  await using browser = await openPlayer();
  const { page } = browser;
  await play(page, relayOnly());
  expect(await selectedWay(page)).toMatchObject({ local: "relay", protocol: "tls", remote: "relay" });
  await playsAndObeys(page);
});

it("finds the relay's way by itself, where nobody asked for it", async () => {
  await using browser = await openPlayer();
  const { page } = browser;
  await play(page, hotseat.link);
  expect(await selectedWay(page)).toMatchObject({ local: "relay", remote: "relay" });
});

it("offers a relay over TLS too, and none by a wrong or expired credential, or a certificate nobody vouches for", async () => {
  await using browser = await openPlayer();
  const { page } = browser;
  await page.goto(hotseat.link);
  const gather = (url: string, { username, credential }: TurnCredential) =>
    page.evaluate(
      async ({ url, username, credential }) => {
        const iceServers = [{ urls: [url], username, credential }];
        const connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: "relay" });
        const seen: (string | number)[] = [];
        connection.onicecandidate = ({ candidate }) => candidate?.candidate && seen.push("candidate");
        connection.onicecandidateerror = ({ errorCode }) => seen.push(errorCode);
        connection.createDataChannel("any");
        await connection.setLocalDescription();
        while (connection.iceGatheringState !== "complete")
          await new Promise((resolve) =>
            connection.addEventListener("icegatheringstatechange", resolve, { once: true }),
          );
        connection.close();
        return seen;
      },
      { url, username, credential },
    );
  const sessionId = "s_1";
  const server = { urls: [], sharedSecret: turnSecrets[0] };
  const made = (now: number) => iceServersFor([server], { sessionId, lifeSeconds: 300, now })[0] as TurnCredential;
  const good = made(Date.now());
  const expired = made(Date.now() - 301_000);
  const overUdp = `turn:${network.serverAddress}:${turnPort}`;
  const overTls = `turns:${network.serverAddress}:${turnPort + 1}?transport=tcp`;
  expect(await gather(overTls, good)).toEqual(["candidate"]);
  expect(await gather(overUdp, good)).toEqual(["candidate"]);
  expect(await gather(overUdp, { ...good, credential: "wrong" })).toEqual([401]);
  expect(await gather(overUdp, expired)).toEqual([401]);
  const at = { host: network.serverAddress, port: turnPort + 100 };
  await using _stranger = await startTurn({ ...at, within: network.within("server") });
  expect(await gather(`turn:${at.host}:${at.port}`, good)).toEqual(["candidate"]);
  expect(await gather(`turns:${at.host}:${at.port + 1}?transport=tcp`, good)).not.toContain("candidate");
});

it("has no other way: without the TURN server nothing arrives, and the player is told so", async () => {
  await turn[Symbol.asyncDispose]();
  await using browser = await openPlayer();
  const { page } = browser;
  await page.goto(hotseat.link);
  await page.locator('[data-game="demo"]').getByRole("button", { name: "Play" }).click();
  await page.getByRole("heading", { name: "Your network blocks the picture" }).waitFor({ timeout: 60_000 });
});
