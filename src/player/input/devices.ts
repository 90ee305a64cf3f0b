// Keyboard, mouse and gamepads together, and the one rule they share: when the page loses the player's attention,
// nothing stays held.
import type { InputEvent, KeyCode } from "../../contracts/input.js";
import { Gamepads } from "./gamepad.js";
import { Keyboard } from "./keyboard.js";
import { Mouse } from "./mouse.js";

export class Devices {
  readonly #keyboard: Keyboard;
  readonly #mouse: Mouse;
  readonly #gamepads: Gamepads;
  readonly #send: (event: InputEvent) => boolean;

  constructor(options: {
    video: HTMLVideoElement;
    send: (event: InputEvent) => boolean;
    wantsLock: () => boolean;
  }) {
    const { send } = options;
    this.#send = send;
    this.#keyboard = new Keyboard(send);
    this.#mouse = new Mouse({ ...options, lockLost: () => this.release() });
    this.#gamepads = new Gamepads(send);
  }

  listen(signal: AbortSignal): void {
    this.#keyboard.listen(signal);
    this.#mouse.listen(signal);
    this.#gamepads.listen(signal);
    const release = () => this.release();
    window.addEventListener("blur", release, { signal });
    window.addEventListener("pagehide", release, { signal });
    document.addEventListener("visibilitychange", () => document.hidden && release(), { signal });
  }

  press(code: KeyCode, down: boolean): void {
    this.#keyboard.press(code, down);
  }

  /** Lets go of everything, here and in the game. */
  release(): void {
    this.#keyboard.forget();
    this.#mouse.forget();
    this.#gamepads.forget();
    this.#send({ kind: "reset" });
  }
}
