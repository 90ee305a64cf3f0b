// Physical keys, held and released once each: auto-repeat is the game's business, not the wire's.
import type { KeyCode } from "../../contracts/input.js";
import { gameKey } from "./keys.js";
import type { SendInput } from "./sender.js";

/** Where typing means something else than playing. */
const controls = "button, a[href], input, select, textarea, summary, dialog, [contenteditable]";

export class Keyboard {
  readonly #held = new Set<KeyCode>();

  constructor(private readonly send: SendInput) {}

  /** Listens on the window until `signal` aborts. */
  listen(signal: AbortSignal): void {
    window.addEventListener("keydown", (event) => this.#pressed(event), { signal });
    // A key may come up anywhere: a release is never ignored.
    window.addEventListener("keyup", (event) => this.#released(event), { signal });
  }

  /** A key of a real or an on-screen keyboard. Pressing a held key again does nothing. */
  press(code: KeyCode, down: boolean): void {
    if (down === this.#held.has(code)) return;
    const sent = this.send({ kind: "key", code, down });
    if (!down) this.#held.delete(code);
    else if (sent) this.#held.add(code);
  }

  /** Forgets what is held; the caller sends `reset`. A key still down counts as pressed again at its next repeat. */
  forget(): void {
    this.#held.clear();
  }

  #pressed(event: KeyboardEvent): void {
    if (event.isComposing || (event.target instanceof Element && event.target.closest(controls) !== null)) return;
    const code = gameKey(event, document.fullscreenElement !== null);
    if (code === null) return;
    event.preventDefault();
    this.press(code, true);
  }

  #released(event: KeyboardEvent): void {
    const code = event.code as KeyCode;
    if (!this.#held.has(code)) return;
    event.preventDefault();
    this.press(code, false);
  }
}
