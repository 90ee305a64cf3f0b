// From input events to what the ship is told: keyboard, mouse and gamepads together, each holding its own.
//
// A press shorter than a frame is not lost: it counts as held until `consume`, which the game calls once the world has
// taken a step with it. `reset` lets go of everything, so a player who loses focus leaves no key stuck.
import type { GameInput, GamepadState, KeyCode } from "../../../contracts/input.js";
import { field, shipRange } from "./layout.js";

/** One bit per thing a player can hold. */
export const hold = { left: 1, right: 2, up: 4, down: 8, fire: 16, boost: 32 } as const;

/** One bit per thing that happens once at a press. */
export const press = { any: 1, fire: 2, pause: 4, restart: 8 } as const;

export interface Controls {
  /** Bits of `hold`, from every device. */
  held: number;
  /** Bits of `press` since the last `consume`. */
  pressed: number;
  /** −1–1, of sticks and keys together. */
  x: number;
  y: number;
  /** World units the mouse asks the ship to move by, since the last `consume`. */
  glideX: number;
  glideY: number;
  /** World x the pointer asks the ship to come to; NaN for none. */
  steerX: number;
}

const keyHolds: Partial<Record<KeyCode, number>> = {
  ArrowLeft: hold.left,
  KeyA: hold.left,
  ArrowRight: hold.right,
  KeyD: hold.right,
  ArrowUp: hold.up,
  KeyW: hold.up,
  ArrowDown: hold.down,
  KeyS: hold.down,
  Space: hold.fire,
  Enter: hold.fire,
  NumpadEnter: hold.fire,
  ShiftLeft: hold.boost,
  ShiftRight: hold.boost,
};

const keyPresses: Partial<Record<KeyCode, number>> = {
  Space: press.any | press.fire,
  Enter: press.any | press.fire,
  NumpadEnter: press.any | press.fire,
  KeyP: press.pause,
  Escape: press.pause,
  KeyR: press.any | press.restart,
};

const buttonHolds = [hold.fire, 0, hold.boost] as const;

/** Bit of the standard gamepad's buttons → what it holds. */
const padHolds: readonly (readonly [button: number, holds: number])[] = [
  [0, hold.fire],
  [1, hold.boost],
  [2, hold.fire],
  [4, hold.boost],
  [5, hold.boost],
  [7, hold.fire],
  [12, hold.up],
  [13, hold.down],
  [14, hold.left],
  [15, hold.right],
];
const padStart = 1 << 9;
const padFaces = 0b1111;
const stickDeadZone = 0.2;
const triggerThreshold = 0.3;
/** World units per CSS pixel of mouse motion. */
const mouseGain = 1.5;
/** However fast the mouse, one frame asks for no more than the field's width. */
const glideMax = field.width;

interface Pad {
  buttons: number;
  held: number;
  x: number;
  y: number;
}

export class ControlState {
  readonly controls: Controls = { held: 0, pressed: 0, x: 0, y: 0, glideX: 0, glideY: 0, steerX: Number.NaN };
  /** The gamepad that was touched last; the first, before any was. */
  padUsed = 0;
  readonly #keys = new Set<KeyCode>();
  readonly #pads = new Map<number, Pad>();
  #buttons = 0;
  #latched = 0;

  apply(event: GameInput): void {
    const { controls } = this;
    switch (event.kind) {
      case "key":
        if (event.down) this.#pressKey(event.code);
        else this.#keys.delete(event.code);
        break;
      case "mouse-button":
        if (event.down) {
          if (!(this.#buttons & (1 << event.button))) controls.pressed |= press.any | (event.button ? 0 : press.fire);
          this.#buttons |= 1 << event.button;
          this.#latched |= buttonHolds[event.button] ?? 0;
        } else this.#buttons &= ~(1 << event.button);
        break;
      case "mouse-move":
        controls.glideX = clamp(controls.glideX + event.dx * mouseGain, glideMax);
        controls.glideY = clamp(controls.glideY + event.dy * mouseGain, glideMax);
        controls.steerX = Number.NaN;
        break;
      case "mouse-position":
        controls.steerX = Math.max(shipRange.left, Math.min(shipRange.right, event.x * field.width));
        break;
      case "gamepad":
        this.#pad(event);
        break;
      case "wheel":
        return;
      case "reset":
        this.#keys.clear();
        this.#pads.clear();
        this.#buttons = 0;
        this.#latched = 0;
        controls.pressed = 0;
        controls.glideX = 0;
        controls.glideY = 0;
        controls.steerX = Number.NaN;
        break;
    }
    this.#combine();
  }

  /** The world has taken what happened once: forget it. */
  consume(): void {
    this.#latched = 0;
    this.controls.pressed = 0;
    this.controls.glideX = 0;
    this.controls.glideY = 0;
    this.#combine();
  }

  #pressKey(code: KeyCode): void {
    if (this.#keys.has(code)) return;
    this.#keys.add(code);
    this.#latched |= keyHolds[code] ?? 0;
    this.controls.pressed |= keyPresses[code] ?? press.any;
  }

  #pad({ index, buttons, axes, rightTrigger, leftTrigger }: GamepadState): void {
    const before = this.#pads.get(index);
    const fresh = buttons & ~(before?.buttons ?? 0);
    const pad: Pad = { buttons, held: 0, x: pastDeadZone(axes[0]), y: pastDeadZone(axes[1]) };
    for (const [button, holds] of padHolds) if (buttons & (1 << button)) pad.held |= holds;
    if (rightTrigger > triggerThreshold) pad.held |= hold.fire;
    if (leftTrigger > triggerThreshold) pad.held |= hold.boost;
    if (pad.held !== 0 || fresh !== 0 || pad.x !== 0 || pad.y !== 0) this.padUsed = index;
    if (pad.held & ~(before?.held ?? 0) & hold.fire) this.controls.pressed |= press.fire | press.any;
    if (fresh & padStart) this.controls.pressed |= press.pause;
    if (fresh & padFaces) this.controls.pressed |= press.any;
    this.#latched |= pad.held;
    this.#pads.set(index, pad);
  }

  #combine(): void {
    const { controls } = this;
    let held = this.#latched;
    for (const code of this.#keys) held |= keyHolds[code] ?? 0;
    for (let button = 0; button < buttonHolds.length; button++) {
      if (this.#buttons & (1 << button)) held |= buttonHolds[button]!;
    }
    let stickX = 0;
    let stickY = 0;
    for (const pad of this.#pads.values()) {
      held |= pad.held;
      stickX += pad.x;
      stickY += pad.y;
    }
    controls.x = clamp(axis(held, hold.left, hold.right) + stickX, 1);
    controls.y = clamp(axis(held, hold.up, hold.down) + stickY, 1);
    if (stickX < 0) held |= hold.left;
    if (stickX > 0) held |= hold.right;
    if (stickY < 0) held |= hold.up;
    if (stickY > 0) held |= hold.down;
    if (controls.x !== 0) controls.steerX = Number.NaN;
    controls.held = held;
  }
}

const clamp = (value: number, limit: number) => Math.max(-limit, Math.min(limit, value));
const axis = (held: number, negative: number, positive: number) =>
  (held & positive ? 1 : 0) - (held & negative ? 1 : 0);

function pastDeadZone(value: number): number {
  const beyond = Math.abs(value) - stickDeadZone;
  return beyond <= 0 ? 0 : (Math.sign(value) * beyond) / (1 - stickDeadZone);
}
