// The mouse on the video. Games that ask for relative motion get the pointer locked by the first click; while it is
// not locked, and for all others, absolute positions are sent. A finger is an absolute pointer with one button.
//
// Where the browser has `pointerrawupdate` (secure contexts), motion is read as the mouse reports it, up to 16 ms before
// the frame's `pointermove`, which then only flushes what was held back. Each event's own movement already holds that of
// its coalesced events (Pointer Events §4.1.3), so these are not read: nothing is counted twice.
import type { InputEvent } from "../../contracts/input.js";
import { MotionTotal, motionMsMin, positionOnPicture, WheelSum } from "./pointer-geometry.js";
import { type LockedPointer, PointerLock } from "./pointer-lock.js";
import type { SendInput } from "./sender.js";

export interface MouseOptions {
  readonly video: HTMLVideoElement;
  readonly send: SendInput;
  /** Whether the game wants the pointer locked. */
  readonly wantsLock: () => boolean;
  /** The pointer was locked, or let go: by Escape, by the system or because the window lost focus. */
  readonly lockChanged: (locked: LockedPointer | null) => void;
}

export class Mouse {
  readonly #options: MouseOptions;
  readonly #lock: PointerLock;
  readonly #motion = new MotionTotal();
  readonly #wheel = new WheelSum();
  readonly #down = new Set<number>();
  #placed = { atMs: 0, x: -1, y: -1 };

  constructor(options: MouseOptions) {
    this.#options = options;
    this.#lock = new PointerLock(options.video, options.lockChanged);
  }

  /** Listens on the video until `signal` aborts, then lets the pointer go. */
  listen(signal: AbortSignal): void {
    const { video } = this.#options;
    const on = { signal };
    const raw = "onpointerrawupdate" in video;
    if (raw) video.addEventListener("pointerrawupdate", (event) => this.#moved(event as PointerEvent), on);
    video.addEventListener("pointermove", (event) => this.#movedByFrame(event, raw), on);
    video.addEventListener("pointerdown", (event) => this.#pressed(event), on);
    window.addEventListener("pointerup", (event) => event.isPrimary && this.#button(event, event.button, false), on);
    window.addEventListener("pointercancel", (event) => event.isPrimary && this.#releaseAll(), on);
    video.addEventListener("contextmenu", (event) => event.preventDefault(), on);
    video.addEventListener("wheel", (event) => this.#turned(event), { signal, passive: false });
    // The fourth and fifth buttons go back and forward otherwise, the third scrolls or pastes. It is these events that
    // must be refused: with `pointerdown` refused they do not come, and Chromium goes back all the same.
    for (const name of ["mousedown", "mouseup", "auxclick"] as const)
      window.addEventListener(name, (event) => this.#isOurs(event) && event.preventDefault(), on);
    this.#lock.listen(signal);
  }

  /** Lets go of its buttons; the caller sends `reset`. */
  forget(): void {
    this.#down.clear();
  }

  /** Tells for certain where counting starts: what is counted from here on is not lost by a first message that is. */
  begin(): void {
    this.#options.send({ kind: "mouse-motion", ...this.#motion.count }, true);
  }

  #isOurs({ target }: Event): boolean {
    return this.#lock.locked !== null || target === this.#options.video;
  }

  #pressed(event: PointerEvent): void {
    const { video, wantsLock } = this.#options;
    if (event.pointerType !== "mouse") event.preventDefault();
    if (!event.isPrimary) return;
    video.focus({ preventScroll: true });
    if (event.pointerType !== "mouse") video.setPointerCapture(event.pointerId);
    else if (wantsLock() && this.#lock.locked === null) void this.#lock.request();
    this.#button(event, event.button, true);
  }

  #moved(event: PointerEvent): void {
    if (this.#lock.locked !== null) {
      this.#motion.add(event.movementX, event.movementY);
      this.#sendMotion(false);
    } else if (performance.now() - this.#placed.atMs >= motionMsMin) this.#place(event);
  }

  // What raw updates held back goes out with the frame, so that the last stretch of a movement is never missing.
  #movedByFrame(event: PointerEvent, raw: boolean): void {
    const locked = this.#lock.locked !== null;
    if (locked && !raw) this.#motion.add(event.movementX, event.movementY);
    // A button that changes while another is held arrives as a move (Pointer Events §10, chorded buttons).
    if (event.button >= 0) this.#button(event, event.button, (event.buttons & buttonBit(event.button)) !== 0);
    if (locked) this.#sendMotion(true);
    else this.#place(event);
  }

  #turned(event: WheelEvent): void {
    event.preventDefault();
    const turned = this.#wheel.turn(event);
    if (turned !== null) this.#options.send({ kind: "wheel", ...turned });
  }

  #releaseAll(): void {
    for (const button of this.#down) this.#options.send({ kind: "mouse-button", button, down: false });
    this.#down.clear();
  }

  #button(event: PointerEvent, button: number, down: boolean): void {
    if (button < 0 || button > 4 || down === this.#down.has(button)) return;
    const sent = this.#options.send(this.#buttonEvent(event, button, down));
    if (!down) this.#down.delete(button);
    else if (sent) this.#down.add(button);
  }

  /** The button with the pointer's place, which is all that ties the two together: their channels have no order. */
  #buttonEvent(event: PointerEvent, button: number, down: boolean): InputEvent {
    if (this.#lock.locked !== null) return { kind: "motion-button", button, down, ...this.#motion.count };
    const position = this.#positionOf(event);
    return position === null
      ? { kind: "mouse-button", button, down }
      : { kind: "position-button", button, down, ...position };
  }

  #place(event: PointerEvent): void {
    const point = { x: event.clientX, y: event.clientY };
    if (!event.isPrimary || (point.x === this.#placed.x && point.y === this.#placed.y)) return;
    const position = this.#positionOf(event);
    if (position === null) return;
    this.#placed = { atMs: performance.now(), ...point };
    this.#options.send({ kind: "mouse-position", ...position });
  }

  /** Null while there is no picture yet. */
  #positionOf({ clientX, clientY }: PointerEvent): { x: number; y: number } | null {
    const { video } = this.#options;
    if (video.videoWidth === 0) return null;
    const picture = { width: video.videoWidth, height: video.videoHeight };
    return positionOnPicture({ x: clientX, y: clientY }, video.getBoundingClientRect(), picture);
  }

  #sendMotion(force: boolean): void {
    const count = this.#motion.take(performance.now(), force);
    if (count !== null) this.#options.send({ kind: "mouse-motion", ...count });
  }
}

/** The bit of `MouseEvent.buttons` for a `MouseEvent.button`. */
const buttonBit = (button: number) => [1, 4, 2, 8, 16][button] ?? 0;
