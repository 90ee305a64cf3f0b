// Which finer features this browser and this address allow, and why not. Pure.

export interface BrowserFacts {
  readonly secureContext: boolean;
  readonly keyboardLock: boolean;
  readonly rawPointer: boolean;
  readonly gamepads: boolean;
  readonly fullscreen: boolean;
  /** Names of gamepads whose layout the browser does not know. */
  readonly strangePads: readonly string[];
}

/** One sentence for each feature that is off; none when all are on. */
export function featureNotes({
  secureContext,
  keyboardLock,
  rawPointer,
  gamepads,
  fullscreen,
  strangePads,
}: BrowserFacts): string[] {
  const why = secureContext
    ? "this browser does not have it"
    : "browsers allow it only on https:// or on localhost, and this page is on plain http://";
  return [
    ...(gamepads ? [] : [`Gamepads are off: ${why}.`]),
    ...(keyboardLock
      ? []
      : [`Escape and system keys stay with the browser in full screen: keyboard lock is off, as ${why}.`]),
    ...(rawPointer ? [] : [`The mouse is read once a frame instead of as it moves: ${why}.`]),
    ...(fullscreen ? [] : ["Full screen is off: this browser has it for video players only."]),
    ...strangePads.map(
      (pad) => `Of the gamepad “${pad}” this browser does not know the layout: buttons may be elsewhere.`,
    ),
  ];
}

export const browserFacts = (): BrowserFacts => ({
  secureContext: isSecureContext,
  keyboardLock: "keyboard" in navigator,
  rawPointer: "onpointerrawupdate" in window,
  gamepads: typeof navigator.getGamepads === "function",
  fullscreen: document.fullscreenEnabled === true,
  strangePads: (navigator.getGamepads?.() ?? []).flatMap((pad) =>
    pad?.connected && pad.mapping !== "standard" ? [pad.id] : [],
  ),
});
