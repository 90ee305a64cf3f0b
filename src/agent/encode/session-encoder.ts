// The encoder of one session: the first of its drivers that works, and the next one when it fails. The session goes on.
//
// An encoder fails by throwing, by refusing to open, or by hanging. The picture it failed at is encoded by the next one,
// as an IDR. A driver that failed is not tried again in this session. What hangs cannot be stopped: it is left alone, and
// freed if it ever comes back.
import { setTimeout as sleep } from "node:timers/promises";
import { inTime } from "./in-time.js";
import {
  type AccessUnit,
  type EncoderDriver,
  EncoderError,
  type EncoderOptions,
  type VideoEncoder,
} from "./video-encoder.js";

const limits = {
  /** Without an access unit for so long it hangs: far above any frame's time on a busy machine. */
  encodeMsMax: 1_000,
  /** As in the probe: a GPU's driver may take a second to wake. */
  openMsMax: 5_000,
  /** The last one gets more time for either: after it there is no session. */
  lastMsMax: 10_000,
} as const;

/** An encoder failed, and this one goes on. */
export interface Replacement {
  readonly failed: string;
  readonly because: string;
  readonly by: EncoderDriver;
}

export type Opening = EncoderOptions & { readonly picture: Buffer };

export class SessionEncoder {
  readonly #drivers: EncoderDriver[];
  readonly #replaced: (replacement: Replacement) => void;
  #opening: Opening;
  /** Of the first driver; null while there is none. */
  #encoder: VideoEncoder | null = null;

  private constructor(drivers: readonly EncoderDriver[], opening: Opening, replaced: (by: Replacement) => void) {
    this.#drivers = [...drivers];
    this.#opening = opening;
    this.#replaced = replaced;
  }

  /** @throws EncoderError, the last one's, when none opens. */
  static async open(
    drivers: readonly EncoderDriver[],
    opening: Opening,
    replaced: (replacement: Replacement) => void,
  ): Promise<SessionEncoder> {
    const encoder = new SessionEncoder(drivers, opening, replaced);
    await encoder.#open();
    return encoder;
  }

  get driver(): EncoderDriver {
    return this.#drivers[0]!;
  }

  setBitrate(bitrateKbps: number): void {
    this.#opening = { ...this.#opening, bitrateKbps };
    this.#encoder?.setBitrate(bitrateKbps);
  }

  /** As an encoder's; @throws when the last one failed. */
  async encode(timestamp: number, keyframe: boolean): Promise<AccessUnit> {
    while (true) {
      const encoder = await this.#open();
      try {
        const msMax = this.#msMax(limits.encodeMsMax);
        return await inTime(encoder.encode(timestamp, keyframe), msMax, "it made no picture for");
      } catch (error) {
        this.#abandon();
        this.#replace(error);
      }
    }
  }

  /** The next picture is of this size, in this memory, and an IDR. The old encoder goes first: some GPUs carry few. */
  async change({ mode, picture }: Pick<Opening, "mode" | "picture">): Promise<void> {
    await this.close();
    this.#opening = { ...this.#opening, mode, picture };
    await this.#open();
  }

  /** Of what hangs it does not wait for the end. */
  async close(): Promise<void> {
    const closing = this.#encoder?.close();
    this.#encoder = null;
    await Promise.race([closing, sleep(limits.encodeMsMax, undefined, { ref: false })]);
  }

  async #open(): Promise<VideoEncoder> {
    while (this.#encoder === null) {
      try {
        const opening = this.#opening;
        const encoder = await this.#opened(opening);
        const { bitrateKbps } = this.#opening;
        if (bitrateKbps !== opening.bitrateKbps) encoder.setBitrate(bitrateKbps);
        this.#encoder = encoder;
      } catch (error) {
        this.#replace(error);
      }
    }
    return this.#encoder;
  }

  async #opened(opening: Opening): Promise<VideoEncoder> {
    const encoder = this.driver.open(opening);
    try {
      return await inTime(encoder, this.#msMax(limits.openMsMax), "it did not open within");
    } catch (error) {
      // One that opens after all has its GPU's memory: nobody wants it any more.
      encoder.then((late) => late.close()).catch(() => {});
      throw error;
    }
  }

  /** @throws what made the last one fail. */
  #replace(error: unknown): void {
    if (!(error instanceof EncoderError) || this.#drivers.length === 1) throw error;
    const { name } = this.#drivers.shift()!;
    this.#replaced({ failed: name, because: error.message, by: this.driver });
  }

  #msMax(ofOthers: number): number {
    return this.#drivers.length > 1 ? ofOthers : limits.lastMsMax;
  }

  #abandon(): void {
    void this.#encoder?.close();
    this.#encoder = null;
  }
}
