import { expect, test } from "vitest";
import { Emitter } from "./emitter.js";

test("a listener hears its own event until it is undone", () => {
  const emitter = new Emitter<{ a: number; b: string }>();
  const heard: unknown[] = [];
  const off = emitter.on("a", (value) => heard.push(value));
  emitter.on("b", (value) => heard.push(value));
  emitter.emit("a", 1);
  emitter.emit("b", "two");
  off();
  emitter.emit("a", 3);
  expect(heard).toEqual([1, "two"]);
});

test("a listener added while an event is told hears the next one first", () => {
  const emitter = new Emitter<{ a: number }>();
  const heard: string[] = [];
  const offFirst = emitter.on("a", (value) => {
    heard.push(`first ${value}`);
    offFirst();
    emitter.on("a", (later) => heard.push(`second ${later}`));
  });
  emitter.emit("a", 1);
  emitter.emit("a", 2);
  expect(heard).toEqual(["first 1", "second 2"]);
});

test("clear undoes every listener", () => {
  const emitter = new Emitter<{ a: number }>();
  const heard: number[] = [];
  emitter.on("a", (value) => heard.push(value));
  emitter.clear();
  emitter.emit("a", 1);
  expect(heard).toEqual([]);
});
