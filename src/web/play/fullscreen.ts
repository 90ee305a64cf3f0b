// Full screen with the keyboard: where the browser has keyboard lock, Escape and system keys reach the game too, and
// holding Escape leaves.

/** Keyboard Lock (WICG), which TypeScript's DOM does not know. */
type WithKeyboardLock = Navigator & { readonly keyboard?: { lock?: () => Promise<void>; unlock?: () => void } };

export async function toggleFullscreen(stage: HTMLElement): Promise<void> {
  if (document.fullscreenElement !== null) return document.exitFullscreen();
  try {
    await stage.requestFullscreen({ navigationUI: "hide" });
  } catch (error) {
    // Refused by the browser or its policy: the game goes on in the window.
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
  }
}

/** Locks the keyboard for as long as the page has the full screen, however it comes by it; `told` of each change. */
export function lockKeyboardInFullscreen(told: (locked: boolean) => void): void {
  const { keyboard } = navigator as WithKeyboardLock;
  document.addEventListener("fullscreenchange", () => {
    if (document.fullscreenElement === null) {
      keyboard?.unlock?.();
      told(false);
      return;
    }
    keyboard?.lock?.().then(
      () => told(document.fullscreenElement !== null),
      () => told(false), // Refused by a policy: Escape leaves at once, as the browser says.
    );
  });
}
