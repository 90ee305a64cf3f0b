import { expect, test } from "vitest";
import { featureNotes } from "./features.js";

const all = {
  secureContext: true,
  keyboardLock: true,
  rawPointer: true,
  gamepads: true,
  fullscreen: true,
  strangePads: [],
};

test("a browser with everything needs no notes", () => {
  expect(featureNotes(all)).toEqual([]);
});

test("on plain http the address is to blame, on https the browser", () => {
  const plain = featureNotes({ ...all, secureContext: false, keyboardLock: false, rawPointer: false });
  expect(plain.length).toBe(2);
  expect(plain.join(" ")).toContain("https://");
  expect(featureNotes({ ...all, gamepads: false })).toEqual(["Gamepads are off: this browser does not have it."]);
});

test("a gamepad of unknown layout is named", () => {
  expect(featureNotes({ ...all, strangePads: ["Odd Pad"] })[0]).toContain("“Odd Pad”");
});
