// Keyboard, mouse and gamepads together, and the one rule they share: when the page loses the player's attention,
// nothing stays held.
import type { KeyCode } from "../../contracts/input.js";
import type { Rumble } from "../../contracts/rumble.js";
import { Gamepads } from "./gamepad.js";
import { Keyboard } from "./keyboard.js";
import { Mouse } from "./mouse.js";
import type { LockedPointer } from "./pointer-lock.js";
import type { SendInput } from "./sender.js";

export class Devices {
  readonly #keyboard: Keyboard;
  readonly #mouse: Mouse;
  readonly #gamepads: Gamepads;
  readonly #send: SendInput;

  constructor(options: {
    video: HTMLVideoElement;
    send: SendInput;
    wantsLock: () => boolean;
    lockChanged: (locked: LockedPointer | null) => void;
  }) {
    const { send, lockChanged } = options;
    this.#send = send;
    this.#keyboard = new Keyboard(send);
    this.#mouse = new Mouse({
      ...options,
      lockChanged: (locked) => {
        if (locked === null) this.release();
        lockChanged(locked);
      },
    });
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

  /** Whether a gamepad can do it. */
  rumble(rumble: Rumble): boolean {
    return this.#gamepads.rumble(rumble);
  }

  /** A way has opened: the machine holds nothing, and knows where motion is counted from. */
  begin(): void {
    this.release();
    this.#mouse.begin();
  }

  /** Lets go of everything, here and in the game. */
  release(): void {
    this.#keyboard.forget();
    this.#mouse.forget();
    this.#gamepads.forget();
    this.#send({ kind: "reset" });
  }
}
