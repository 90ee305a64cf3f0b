// A game that costs nothing to draw: prerecorded frames, shown one after another, over and over, in silence. For benches
// that must measure what comes after drawing.
import type { VideoMode } from "../../contracts/catalog.js";
import type { GameInput } from "../../contracts/input.js";
import type { GameSource } from "./game-source.js";

export class Film implements GameSource {
  readonly mode: VideoMode;
  /** A film ends only by being closed. */
  readonly exited = new Promise<string>(() => {});
  readonly #frames: readonly Uint8Array[];
  #next = 0;

  /** `frames`: I420 pictures of the mode's size, at least one. They are read, never changed. */
  constructor(mode: VideoMode, frames: readonly Uint8Array[]) {
    const bytes = (mode.width * mode.height * 3) / 2;
    if (frames.length === 0) throw new RangeError("a film of no frames");
    const odd = frames.find(({ length }) => length !== bytes);
    if (odd) throw new RangeError(`a ${mode.width}×${mode.height} frame is ${bytes} bytes, not ${odd.length}`);
    this.mode = mode;
    this.#frames = frames;
  }

  input(_event: GameInput): void {}

  draw(picture: Uint8Array): void {
    picture.set(this.#frames[this.#next]!);
    this.#next = (this.#next + 1) % this.#frames.length;
  }

  sound(samples: Int16Array): void {
    samples.fill(0);
  }

  async close(): Promise<void> {}
}

/** The source's next `count` frames at its own rate; `inputAt` is what the player does before each. */
export async function recordFilm(
  source: GameSource,
  count: number,
  inputAt: (frame: number) => GameInput | undefined = () => undefined,
): Promise<Uint8Array[]> {
  const { width, height, fps } = source.mode;
  const frames: Uint8Array[] = [];
  for (let frame = 0; frame < count; frame++) {
    const event = inputAt(frame);
    if (event) source.input(event);
    const picture = new Uint8Array((width * height * 3) / 2);
    await source.draw(picture, (frame * 1000) / fps);
    frames.push(picture);
  }
  return frames;
}
