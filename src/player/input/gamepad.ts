// Polls gamepads (there are no events) and sends a pad's whole state when it changes, and every `repeatMs`, because a
// state message may be lost. Rumble goes the other way. A page that is not looked at reads no pads: what they do then is
// meant for something else.
import type { GamepadState } from "../../contracts/input.js";
import type { Rumble } from "../../contracts/rumble.js";
import { atRest, gamepadState, PadSlots, sameState } from "./gamepad-state.js";
import type { SendInput } from "./sender.js";

/** As often as Chromium itself asks the pads; once a frame would be up to 16 ms late. */
const pollMs = 4;
const repeatMs = 500;

export class Gamepads {
  readonly #slots = new PadSlots();
  /** By slot. */
  readonly #sent = new Map<number, { state: GamepadState; atMs: number }>();
  #polling: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly send: SendInput) {}

  /** Polls until `signal` aborts, while there is a pad. */
  listen(signal: AbortSignal): void {
    if (typeof navigator.getGamepads !== "function") return;
    const start = () => {
      this.#polling ??= setInterval(() => this.#poll(performance.now()), pollMs);
    };
    window.addEventListener("gamepadconnected", start, { signal });
    signal.addEventListener("abort", () => this.#stop(), { once: true });
    if (present().length > 0) start();
  }

  /** Sends every pad's state again at the next poll, and stops what they do. */
  forget(): void {
    for (const [slot, { state }] of this.#sent) this.#sent.set(slot, { state, atMs: Number.NEGATIVE_INFINITY });
    for (const pad of present()) void pad.vibrationActuator?.reset().catch(() => undefined);
  }

  /** Whether the pad has motors to do it with. */
  rumble({ index, strong, weak, durationMs }: Rumble): boolean {
    const pads = present();
    const slots = this.#slots.seat(pads.map((pad) => pad.index));
    const motors = pads.find((pad) => slots.get(pad.index) === index)?.vibrationActuator;
    if (!motors) return false;
    const effect = { duration: durationMs, strongMagnitude: strong, weakMagnitude: weak };
    // Refused while the page is hidden, or replaced by a newer effect.
    void motors.playEffect("dual-rumble", effect).catch(() => undefined);
    return true;
  }

  #poll(nowMs: number): void {
    if (document.hidden || !document.hasFocus()) return;
    const pads = present();
    const slots = this.#slots.seat(pads.map((pad) => pad.index));
    for (const pad of pads) {
      const slot = slots.get(pad.index);
      if (slot !== undefined) this.#update(gamepadState(pad, slot), nowMs);
    }
    const there = new Set(slots.values());
    for (const slot of this.#sent.keys()) if (!there.has(slot)) this.#unplugged(slot);
    if (pads.length === 0) this.#stop();
  }

  #update(state: GamepadState, nowMs: number): void {
    const last = this.#sent.get(state.index);
    if (last !== undefined && sameState(last.state, state) && nowMs - last.atMs < repeatMs) return;
    this.send({ kind: "gamepad", ...state });
    this.#sent.set(state.index, { state, atMs: nowMs });
  }

  #unplugged(slot: number): void {
    this.send({ kind: "gamepad", ...atRest(slot) });
    this.#sent.delete(slot);
  }

  #stop(): void {
    clearInterval(this.#polling);
    this.#polling = undefined;
  }
}

/** A browser without an actuator on its pads, or with one of the first drafts, cannot rumble. */
type WithMotors = Omit<Gamepad, "vibrationActuator"> & { readonly vibrationActuator?: GamepadHapticActuator | null };

const present = (): WithMotors[] =>
  (navigator.getGamepads?.() ?? []).filter((pad): pad is Gamepad => pad?.connected === true);
