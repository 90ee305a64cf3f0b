import { expect, test } from "vitest";
import type { InputEvent } from "../../contracts/input.js";
import { Keyboard } from "./keyboard.js";

function keyboard(accepts = () => true) {
  const sent: InputEvent[] = [];
  const send = (event: InputEvent) => accepts() && sent.push(event) > 0;
  return { keyboard: new Keyboard(send), sent };
}

test("a key is pressed once and released once, however often it repeats", () => {
  const { keyboard: keys, sent } = keyboard();
  for (const down of [true, true, true, false, false]) keys.press("ArrowLeft", down);
  expect(sent).toEqual([
    { kind: "key", code: "ArrowLeft", down: true },
    { kind: "key", code: "ArrowLeft", down: false },
  ]);
});

test("a key still held after everything was released counts again at its next repeat", () => {
  const { keyboard: keys, sent } = keyboard();
  keys.press("KeyA", true);
  keys.forget();
  keys.press("KeyA", true);
  expect(sent.length).toBe(2);
});

test("a press that could not be sent is tried again at its next repeat", () => {
  let connected = false;
  const { keyboard: keys, sent } = keyboard(() => connected);
  keys.press("KeyA", true);
  connected = true;
  keys.press("KeyA", true);
  expect(sent).toEqual([{ kind: "key", code: "KeyA", down: true }]);
});
