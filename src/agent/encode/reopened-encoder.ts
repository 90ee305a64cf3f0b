// An encoder that cannot change its bitrate, made one that can: by another, opened before the next picture, which is an
// IDR then.
import type { AccessUnit, EncoderDriver, VideoEncoder } from "./video-encoder.js";

export const reopenedAtNewBitrate = (driver: EncoderDriver): EncoderDriver => ({
  ...driver,
  newBitrateCosts: "keyframe",
  open: async (options) => new ReopenedEncoder(driver, options, await driver.open(options)),
});

type OpenOptions = Parameters<EncoderDriver["open"]>[0];

class ReopenedEncoder implements VideoEncoder {
  readonly #driver: EncoderDriver;
  readonly #options: OpenOptions;
  #encoder: VideoEncoder;
  #openedKbps: number;
  #wantedKbps: number;
  #inFlight: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(driver: EncoderDriver, options: OpenOptions, encoder: VideoEncoder) {
    this.#driver = driver;
    this.#options = options;
    this.#encoder = encoder;
    this.#openedKbps = this.#wantedKbps = options.bitrateKbps;
  }

  setBitrate(bitrateKbps: number): void {
    this.#wantedKbps = bitrateKbps;
  }

  encode(timestamp: number, keyframe: boolean): Promise<AccessUnit> {
    const encoding = this.#encode(timestamp, keyframe);
    this.#inFlight = encoding;
    return encoding;
  }

  async #encode(timestamp: number, keyframe: boolean): Promise<AccessUnit> {
    if (this.#wantedKbps !== this.#openedKbps && !this.#closed) {
      const bitrateKbps = this.#wantedKbps;
      // The old one first: some GPUs carry few encoders at once.
      await this.#encoder.close();
      this.#encoder = await this.#driver.open({ ...this.#options, bitrateKbps });
      this.#openedKbps = bitrateKbps;
    }
    return this.#encoder.encode(timestamp, keyframe);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled([this.#inFlight]);
    await this.#encoder.close();
  }
}
