// Reads a playing page as a person's eyes and ears do: where the ship is, whether there is sound.
import type { Page } from "playwright-core";
import { isShipPixel } from "../../src/agent/games/demo/layout.js";
import { until } from "./hotseat.js";

/** Keeps every RTCPeerConnection the page makes, for getStats. Call before the page loads. */
export const watchConnections = (page: Page) =>
  page.addInitScript(() => {
    const Original = window.RTCPeerConnection;
    const made: RTCPeerConnection[] = [];
    Object.assign(window, { connections: made });
    window.RTCPeerConnection = new Proxy(Original, {
      construct(target, args) {
        const connection: RTCPeerConnection = Reflect.construct(target, args);
        made.push(connection);
        return connection;
      },
    });
  });

/** The ship's centre, 0–1 of the picture's width, over the newest decoded frame; null when it is not to be seen. */
export async function shipPosition(page: Page): Promise<number | null> {
  const pixels = await page.evaluate(async () => {
    const video = document.querySelector<HTMLVideoElement>("#video")!;
    await new Promise<void>((resolve) => video.requestVideoFrameCallback(() => resolve()));
    const canvas = new OffscreenCanvas(320, 180);
    const context = canvas.getContext("2d", { willReadFrequently: true })!;
    context.drawImage(video, 0, 0, 320, 180);
    const { data } = context.getImageData(0, 0, 320, 180);
    return btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));
  });
  const data = Buffer.from(pixels, "base64");
  let count = 0;
  let sum = 0;
  for (let i = 0; i < data.length; i += 4)
    if (isShipPixel(data[i]!, data[i + 1]!, data[i + 2]!)) {
      count++;
      sum += (i / 4) % 320;
    }
  return count < 20 ? null : sum / count / 320;
}

/** Where the ship stays, once it no longer glides. */
export async function shipRests(page: Page): Promise<number> {
  let last = -1;
  let still = 0;
  return until("the ship rests", async () => {
    const now = await shipPosition(page);
    still = now !== null && Math.abs(now - last) < 0.003 ? still + 1 : 0;
    last = now ?? -1;
    return still >= 3 ? last : undefined;
  });
}

/** Keeps doing something until the ship has moved by a tenth of the picture; the signed way it went. */
export async function shipMovesWhile(page: Page, what: string, act: () => Promise<unknown>): Promise<number> {
  const before = await until("the ship is seen", async () => (await shipPosition(page)) ?? undefined);
  return until(`${what} moves the ship`, async () => {
    await act();
    const now = await shipPosition(page);
    return now !== null && Math.abs(now - before) > 0.1 ? now - before : undefined;
  });
}

/** Holds a key, which a real keyboard repeats, until the ship has moved. */
export async function shipMovesWith(page: Page, key: string): Promise<number> {
  try {
    return await shipMovesWhile(page, key, () => page.keyboard.down(key));
  } finally {
    await page.keyboard.up(key);
  }
}

/** Gives the page one gamepad in the standard mapping. Call before the page loads. */
export const plugGamepad = (page: Page) =>
  page.addInitScript(() => {
    const axes = [0, 0, 0, 0];
    const buttons = Array.from({ length: 17 }, () => ({ pressed: false, touched: false, value: 0 }));
    const pad = { index: 0, id: "test", connected: true, mapping: "standard", timestamp: 0, axes, buttons };
    navigator.getGamepads = () => [pad as unknown as Gamepad];
    Object.assign(window, { padAxes: axes });
  });

/** −1 left, 0 centre, 1 right. */
export const tiltStick = (page: Page, x: number) =>
  page.evaluate((value) => {
    (window as unknown as { padAxes: number[] }).padAxes[0] = value;
  }, x);

/** Joules-like measure of all sound received so far (`totalAudioEnergy` of WebRTC's inbound-rtp statistics). */
export const audioEnergy = (page: Page): Promise<number> =>
  page.evaluate(async () => {
    let energy = 0;
    for (const connection of (window as unknown as { connections: RTCPeerConnection[] }).connections)
      for (const stat of (await connection.getStats()).values())
        if (stat.type === "inbound-rtp" && stat.kind === "audio") energy += stat.totalAudioEnergy ?? 0;
    return energy;
  });
