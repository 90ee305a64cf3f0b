// Full screen with the keyboard: where the browser has keyboard lock, Escape and system keys reach the game too, and
// holding Escape leaves.

/** Keyboard Lock (WICG), which TypeScript's DOM does not know. */
type WithKeyboardLock = Navigator & { readonly keyboard?: { lock?: () => Promise<void>; unlock?: () => void } };

export async function toggleFullscreen(stage: HTMLElement): Promise<void> {
  const { keyboard } = navigator as WithKeyboardLock;
  if (document.fullscreenElement !== null) {
    keyboard?.unlock?.();
    await document.exitFullscreen();
    return;
  }
  try {
    await stage.requestFullscreen({ navigationUI: "hide" });
    await keyboard?.lock?.();
  } catch (error) {
    // Refused by the browser or its policy: the game goes on in the window.
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error;
  }
}
