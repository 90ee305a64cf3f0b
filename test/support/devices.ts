// A page's input devices, as far as a headless browser has none: gamepads that a test plugs and moves, and a record of what
// the page sends.
import type { Page } from "playwright-core";
import { decodeInput, type InputMessage, keepalive } from "../../src/contracts/input.js";
import { until } from "./hotseat.js";

interface FakePad {
  index: number;
  id: string;
  connected: boolean;
  mapping: string;
  axes: number[];
  buttons: { pressed: boolean; value: number }[];
  vibrationActuator: object;
}
interface Effect {
  readonly pad: number;
  readonly type: string;
  readonly duration: number;
  readonly strongMagnitude: number;
  readonly weakMagnitude: number;
}
type Instrumented = typeof globalThis & {
  pads: (FakePad | null)[];
  effects: Effect[];
  sent: { channel: string; bytes: number[] }[];
  inputChannel: RTCDataChannel;
  losesState: boolean;
  lockCalls: (object | null)[];
};

/** Gives the page four places for gamepads, all empty, whose motors keep a record. Call before the page loads. */
export const fakeGamepads = (page: Page) =>
  page.addInitScript(() => {
    const here = window as unknown as Instrumented;
    here.pads = [null, null, null, null];
    here.effects = [];
    navigator.getGamepads = () => here.pads as unknown as Gamepad[];
  });

export const plug = (page: Page, index: number) =>
  page.evaluate((place) => {
    const here = window as unknown as Instrumented;
    here.pads[place] = {
      index: place,
      id: `pad ${place}`,
      connected: true,
      mapping: "standard",
      axes: [0, 0, 0, 0],
      buttons: Array.from({ length: 17 }, () => ({ pressed: false, value: 0 })),
      vibrationActuator: {
        playEffect: async (type: string, effect: Omit<Effect, "pad" | "type">) => {
          here.effects.push({ pad: place, type, ...effect });
          return "complete";
        },
        reset: async () => "complete",
      },
    };
    window.dispatchEvent(new Event("gamepadconnected"));
  }, index);

export const unplug = (page: Page, index: number) =>
  page.evaluate((place) => {
    (window as unknown as Instrumented).pads[place] = null;
  }, index);

/** The left stick, −1 to 1. */
export const tilt = (page: Page, index: number, x: number) =>
  page.evaluate(
    ([place, value]) => {
      (window as unknown as Instrumented).pads[place!]!.axes[0] = value!;
    },
    [index, x],
  );

/**
 * From now on the browser locks the pointer as one would that has `unadjustedMovement`, has it not on this system, or does
 * not know of it; or as it is.
 */
export const lockAs = (page: Page, browser: "unadjusted" | "refuses unadjusted" | "ignores options" | "itself") =>
  page.evaluate((kind) => {
    const here = window as unknown as Instrumented;
    const video = document.querySelector<HTMLVideoElement>("#video")!;
    document.exitPointerLock();
    here.lockCalls = [];
    if (kind === "itself") Reflect.deleteProperty(video, "requestPointerLock");
    else
      video.requestPointerLock = async (options) => {
        const asked = options === undefined || kind === "ignores options" ? null : { ...options };
        here.lockCalls.push(asked);
        if (asked?.unadjustedMovement && kind === "refuses unadjusted")
          throw new DOMException("No.", "NotSupportedError");
        await Element.prototype.requestPointerLock.call(video);
      };
  }, browser);

/** Clicks on the picture, and answers with what the page asked for until the pointer was locked. */
export async function lockByClick(page: Page): Promise<(object | null)[]> {
  await page.waitForFunction(() => document.pointerLockElement === null);
  await page.mouse.click(640, 500);
  await page.waitForFunction(() => document.pointerLockElement?.id === "video");
  return page.evaluate(() => (window as unknown as Instrumented).lockCalls);
}

export const effects = (page: Page) => page.evaluate(() => (window as unknown as Instrumented).effects);

/** Keeps what the page sends on its data channels. Call before the page loads. */
export const recordInput = (page: Page) =>
  page.addInitScript(() => {
    const here = window as unknown as Instrumented;
    here.sent = [];
    const { send } = RTCDataChannel.prototype;
    RTCDataChannel.prototype.send = function (this: RTCDataChannel, bytes: unknown) {
      here.sent.push({ channel: this.label, bytes: [...(bytes as Uint8Array)] });
      if (this.label === "input") here.inputChannel = this;
      if (!(here.losesState && this.label === "state")) (send as (bytes: unknown) => void).call(this, bytes);
    };
  });

/** From now on nothing the page sends on its unreliable channel arrives. */
export const loseState = (page: Page, loses: boolean) =>
  page.evaluate((now) => {
    (window as unknown as Instrumented).losesState = now;
  }, loses);

export type Sent = InputMessage & { readonly channel: string };

/** What was sent so far, without keep-alives. */
export async function sent(page: Page): Promise<Sent[]> {
  const messages = await page.evaluate(() => (window as unknown as Instrumented).sent);
  return messages
    .map(({ channel, bytes }) => ({ channel, bytes: Uint8Array.from(bytes) }))
    .filter(({ bytes }) => !(bytes.length === 1 && bytes[0] === keepalive))
    .map(({ channel, bytes }) => ({ channel, ...decodeInput(bytes) }));
}

/** Waits until the page has sent what `look` finds. */
export const whenSent = <T>(page: Page, what: string, look: (messages: Sent[]) => T | undefined): Promise<T> =>
  until(`the page sends ${what}`, async () => look(await sent(page)));

/** As if the machine had said this on the page's input channel. */
export const machineSays = (page: Page, bytes: Uint8Array) =>
  page.evaluate(
    (data) => {
      const { inputChannel } = window as unknown as Instrumented;
      inputChannel.dispatchEvent(new MessageEvent("message", { data: Uint8Array.from(data).buffer }));
    },
    [...bytes],
  );
