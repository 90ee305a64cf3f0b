// The mouse on the video. Games that ask for relative motion get the pointer locked by the first click; while it is
// not locked, and for all others, absolute positions are sent. A finger is an absolute pointer with one button.
import type { InputEvent } from "../../contracts/input.js";
import { MotionSum, motionMsMin, positionOnPicture, wheelPixels } from "./pointer-geometry.js";

export interface MouseOptions {
  readonly video: HTMLVideoElement;
  readonly send: (event: InputEvent) => boolean;
  /** Whether the game wants the pointer locked. */
  readonly wantsLock: () => boolean;
  /** The lock ended, by Escape, by the system or because the window lost focus. */
  readonly lockLost: () => void;
}

export class Mouse {
  readonly #options: MouseOptions;
  readonly #motion = new MotionSum();
  readonly #down = new Set<number>();
  #placed = { atMs: 0, x: -1, y: -1 };

  constructor(options: MouseOptions) {
    this.#options = options;
  }

  /** Listens on the video until `signal` aborts, then lets the pointer go. */
  listen(signal: AbortSignal): void {
    const { video, send, lockLost } = this.#options;
    const on = { signal };
    // Raw updates come as the mouse reports, not once a frame: up to 16 ms earlier. They need a secure context.
    const raw = "onpointerrawupdate" in video;
    if (raw) video.addEventListener("pointerrawupdate", (event) => this.#moved(event as PointerEvent), on);
    video.addEventListener("pointermove", (event) => this.#movedByFrame(event, raw), on);
    video.addEventListener("pointerdown", (event) => this.#pressed(event), on);
    window.addEventListener("pointerup", (event) => this.#button(event.button, false), on);
    window.addEventListener("pointercancel", () => this.#releaseAll(), on);
    video.addEventListener("contextmenu", (event) => event.preventDefault(), on);
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      send({ kind: "wheel", ...wheelPixels(event) });
    };
    video.addEventListener("wheel", wheel, { signal, passive: false });
    document.addEventListener("pointerlockchange", () => !this.#locked && lockLost(), on);
    signal.addEventListener("abort", () => this.#locked && document.exitPointerLock(), { once: true });
  }

  forget(): void {
    this.#down.clear();
    this.#motion.clear();
  }

  get #locked(): boolean {
    return document.pointerLockElement === this.#options.video;
  }

  #pressed(event: PointerEvent): void {
    const { video, wantsLock } = this.#options;
    event.preventDefault();
    video.focus({ preventScroll: true });
    if (event.pointerType !== "mouse") video.setPointerCapture(event.pointerId);
    else if (wantsLock() && !this.#locked) void lockPointer(video);
    if (!this.#locked) this.#place(event);
    this.#button(event.button, true);
  }

  #moved(event: PointerEvent): void {
    if (this.#locked) {
      this.#motion.add(event.movementX, event.movementY);
      this.#sendMotion(false);
    } else if (performance.now() - this.#placed.atMs >= motionMsMin) this.#place(event);
  }

  // What raw updates held back goes out with the frame, so that the last stretch of a movement is never missing.
  #movedByFrame(event: PointerEvent, raw: boolean): void {
    // A button that changes while another is held arrives as a move (Pointer Events §10, chorded buttons).
    if (event.button >= 0) this.#button(event.button, (event.buttons & buttonBit(event.button)) !== 0);
    if (this.#locked) {
      if (!raw) this.#motion.add(event.movementX, event.movementY);
      this.#sendMotion(true);
    } else this.#place(event);
  }

  #releaseAll(): void {
    for (const button of [...this.#down]) this.#button(button, false);
  }

  #button(button: number, down: boolean): void {
    if (button < 0 || button > 4 || down === this.#down.has(button)) return;
    this.#sendMotion(true);
    const sent = this.#options.send({ kind: "mouse-button", button, down });
    if (!down) this.#down.delete(button);
    else if (sent) this.#down.add(button);
  }

  #place(event: PointerEvent): void {
    const { video, send } = this.#options;
    const point = { x: event.clientX, y: event.clientY };
    if (video.videoWidth === 0 || (point.x === this.#placed.x && point.y === this.#placed.y)) return;
    this.#placed = { atMs: performance.now(), ...point };
    const picture = { width: video.videoWidth, height: video.videoHeight };
    send({ kind: "mouse-position", ...positionOnPicture(point, video.getBoundingClientRect(), picture) });
  }

  #sendMotion(force: boolean): void {
    const motion = this.#motion.take(performance.now(), force);
    if (motion !== null) this.#options.send({ kind: "mouse-move", ...motion });
  }
}

/** The bit of `MouseEvent.buttons` for a `MouseEvent.button`. */
const buttonBit = (button: number) => [1, 4, 2, 8, 16][button] ?? 0;

async function lockPointer(video: HTMLVideoElement): Promise<void> {
  try {
    await video.requestPointerLock({ unadjustedMovement: true });
  } catch (error) {
    // Refused (too soon after Escape, say): absolute positions go on. Not supported: lock with the system's speed-up.
    if (!(error instanceof DOMException) || error.name !== "NotSupportedError") return;
    await Promise.resolve(video.requestPointerLock()).catch(() => undefined);
  }
}
