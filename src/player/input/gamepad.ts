// Polls gamepads once a frame (there are no events) and sends a pad's whole state when it changes, and every
// `repeatMs`, because a state message may be lost.
import type { GamepadState, InputEvent } from "../../contracts/input.js";
import { atRest, gamepadState, padsMax, sameState } from "./gamepad-state.js";

const repeatMs = 500;

export class Gamepads {
  readonly #sent = new Map<number, { state: GamepadState; atMs: number }>();

  constructor(private readonly send: (event: InputEvent) => boolean) {}

  /** Polls until `signal` aborts, while there is a pad. */
  listen(signal: AbortSignal): void {
    if (typeof navigator.getGamepads !== "function") return;
    let frame = 0;
    const poll = (nowMs: number) => {
      this.#poll(nowMs);
      frame = this.#sent.size > 0 ? requestAnimationFrame(poll) : 0;
    };
    const start = () => {
      if (frame === 0) poll(performance.now());
    };
    window.addEventListener("gamepadconnected", start, { signal });
    signal.addEventListener("abort", () => cancelAnimationFrame(frame), { once: true });
    start();
  }

  /** Sends every pad's state again at the next poll. */
  forget(): void {
    for (const [index, { state }] of this.#sent) this.#sent.set(index, { state, atMs: Number.NEGATIVE_INFINITY });
  }

  #poll(nowMs: number): void {
    const pads = navigator.getGamepads().filter((pad) => pad?.connected && pad.index < padsMax);
    for (const pad of pads) this.#update(gamepadState(pad!), nowMs);
    for (const index of this.#sent.keys()) {
      if (pads.some((pad) => pad!.index === index)) continue;
      this.send({ kind: "gamepad", ...atRest(index) });
      this.#sent.delete(index);
    }
  }

  #update(state: GamepadState, nowMs: number): void {
    const last = this.#sent.get(state.index);
    if (last !== undefined && sameState(last.state, state) && nowMs - last.atMs < repeatMs) return;
    this.send({ kind: "gamepad", ...state });
    this.#sent.set(state.index, { state, atMs: nowMs });
  }
}
