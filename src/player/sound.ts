// The game's sound, in an element of its own: in one MediaStream with the picture, lip-sync would hold frames back by
// up to 150 ms (notes/media.md). Browsers may refuse sound before the player touched the page; then `blocked` is called,
// and `enable`, called from a click, starts it.

export class Sound {
  readonly #element = new Audio();
  readonly #blocked: () => void;

  constructor(blocked: () => void) {
    this.#blocked = blocked;
    this.#element.autoplay = true;
  }

  attach(track: MediaStreamTrack): void {
    this.#element.srcObject = new MediaStream([track]);
    void this.enable();
  }

  async enable(): Promise<void> {
    try {
      await this.#element.play();
    } catch (error) {
      // AbortError: a newer track took its place, whose own play() answers.
      if (error instanceof DOMException && error.name === "NotAllowedError") this.#blocked();
    }
  }

  get muted(): boolean {
    return this.#element.muted;
  }

  set muted(muted: boolean) {
    this.#element.muted = muted;
  }

  close(): void {
    this.#element.pause();
    this.#element.srcObject = null;
  }
}
