import { expect, test } from "vitest";
import { keyCodes } from "../../contracts/input.js";
import { gameKey, type KeyPress } from "./keys.js";

const press = (code: string, held: Partial<KeyPress> = {}): KeyPress => ({
  code,
  ctrlKey: false,
  altKey: false,
  metaKey: false,
  shiftKey: false,
  ...held,
});

test("letters, arrows, space, modifiers and Escape are the game's", () => {
  for (const code of ["KeyW", "ArrowLeft", "Space", "ShiftLeft", "ControlLeft", "Escape", "Tab", "F1", "Enter"])
    expect(gameKey(press(code), false)).toBe(code);
});

test("in a window the browser keeps reload, full screen, developer tools and its own shortcuts", () => {
  for (const code of ["F5", "F11", "F12", "MetaLeft"]) expect(gameKey(press(code), false)).toBeNull();
  for (const code of ["KeyW", "KeyT", "KeyR", "KeyL", "Tab", "Digit1"])
    expect(gameKey(press(code, { ctrlKey: true }), false)).toBeNull();
  expect(gameKey(press("KeyI", { ctrlKey: true, shiftKey: true }), false)).toBeNull();
  expect(gameKey(press("ArrowLeft", { altKey: true }), false)).toBeNull();
  expect(gameKey(press("KeyQ", { metaKey: true }), false)).toBeNull();
});

test("crouching with Control held still moves by the arrows", () => {
  expect(gameKey(press("ArrowLeft", { ctrlKey: true }), false)).toBe("ArrowLeft");
  expect(gameKey(press("Space", { ctrlKey: true }), false)).toBe("Space");
});

test("Shift+Tab leaves the game, so that the keyboard is never trapped", () => {
  expect(gameKey(press("Tab", { shiftKey: true }), false)).toBeNull();
});

test("in full screen the game takes every key it can be sent", () => {
  for (const code of keyCodes) expect(gameKey(press(code, { ctrlKey: true, altKey: true }), true)).toBe(code);
});

test("a key without a wire number is left alone everywhere", () => {
  expect(gameKey(press("LaunchMail"), false)).toBeNull();
  expect(gameKey(press("Unidentified"), true)).toBeNull();
});
