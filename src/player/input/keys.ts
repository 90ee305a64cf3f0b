// Which key presses are the game's, and which stay the browser's. Pure.
//
// In full screen the game takes all it can get. In a window the player must always be able to reload, close, switch
// tabs, open developer tools and leave by Shift+Tab (a page must not trap the keyboard, WCAG 2.1.2).
import { isKeyCode, type KeyCode } from "../../contracts/input.js";

export interface KeyPress {
  readonly code: string;
  readonly ctrlKey: boolean;
  readonly altKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
}

const browserKeys = new Set(["F5", "F6", "F11", "F12", "MetaLeft", "MetaRight", "ContextMenu", "PrintScreen"]);
const browserWithControl = new Set(
  "KeyW KeyT KeyN KeyR KeyL KeyQ KeyP KeyD KeyF KeyK KeyU Tab F4 PageUp PageDown Equal Minus NumpadAdd NumpadSubtract".split(
    " ",
  ),
);
const browserWithControlShift = new Set(["KeyI", "KeyJ", "KeyC", "KeyM", "Delete"]);
const browserWithAlt = new Set(["Tab", "F4", "ArrowLeft", "ArrowRight", "Home", "KeyD", "Space"]);
const digit = /^(Digit|Numpad)\d$/;

/** The key to send and to keep from the browser; null: leave it alone. */
export function gameKey(press: KeyPress, fullscreen: boolean): KeyCode | null {
  const { code, ctrlKey, altKey, metaKey, shiftKey } = press;
  if (!isKeyCode(code)) return null;
  // With the keyboard lock, holding Escape or F11 leaves full screen: they stay usable for the game.
  if (fullscreen) return code;
  if (browserKeys.has(code) || metaKey) return null;
  if (shiftKey && code === "Tab") return null;
  if (ctrlKey && (browserWithControl.has(code) || digit.test(code))) return null;
  if (ctrlKey && shiftKey && browserWithControlShift.has(code)) return null;
  if (altKey && browserWithAlt.has(code)) return null;
  return code;
}
