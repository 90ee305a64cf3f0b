// The pointer, locked to the video for games that want relative motion: as the hand moved it where the browser allows
// that (`unadjustedMovement`), else with the system's acceleration.

export interface LockedPointer {
  /** False: the system's acceleration is in the motion. */
  readonly unadjusted: boolean;
}

export class PointerLock {
  /** What the last request asked for, until the browser says that the lock is there. */
  #unadjusted = false;
  #locked: LockedPointer | null = null;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly changed: (locked: LockedPointer | null) => void,
  ) {}

  /** Null: not locked. */
  get locked(): LockedPointer | null {
    return this.#locked;
  }

  listen(signal: AbortSignal): void {
    const follow = () => {
      const locked = document.pointerLockElement === this.video ? { unadjusted: this.#unadjusted } : null;
      // Given back and taken again, it may be there in another way before the browser tells of either.
      if (locked?.unadjusted === this.#locked?.unadjusted) return;
      this.#locked = locked;
      this.changed(locked);
    };
    document.addEventListener("pointerlockchange", follow, { signal });
    signal.addEventListener(
      "abort",
      () => {
        this.#locked = null;
        if (document.pointerLockElement === this.video) document.exitPointerLock();
      },
      { once: true },
    );
  }

  /** In a click's time. Refused (too soon after Escape, say): absolute positions go on, until the next click. */
  async request(): Promise<void> {
    // A browser that has no such option does not read it, and locks all the same: with the system's acceleration.
    let isRead = false;
    const options = {
      get unadjustedMovement() {
        isRead = true;
        return true;
      },
    };
    try {
      const locking = this.video.requestPointerLock(options);
      this.#unadjusted = isRead;
      await locking;
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      // Pointer Lock 2.0: the system cannot give motion without its acceleration; then with it.
      if (error.name !== "NotSupportedError") return;
      this.#unadjusted = false;
      await Promise.resolve(this.video.requestPointerLock()).catch(() => undefined);
    }
  }
}
