import { expect, it } from "vitest";
import { PageLine } from "./page-line.js";

const answer = (sdp: string) => ({ type: "answer", sdp }) as const;

it("a line says again what was not acked, once the page acks a second time what it acked before", () => {
  const line = new PageLine("line-of-vm-1", "connection-1");
  expect(line.say(answer("a"))).toBe(1);
  expect(line.say(answer("b"))).toBe(2);
  expect(line.hearAck(0)).toEqual([]);
  expect(line.hearAck(0)).toEqual([
    { seq: 1, message: answer("a") },
    { seq: 2, message: answer("b") },
  ]);
  expect(line.hearAck(1)).toEqual([]);
  expect(line.hearAck(1)).toEqual([{ seq: 2, message: answer("b") }]);
  expect(line.hearAck(2)).toEqual([]);
  expect(line.hearAck(2)).toEqual([]);
});

it("a line tells how far it has heard, whatever comes twice or too early", () => {
  const line = new PageLine("line-of-vm-1", "connection-1");
  expect([1, 1, 3, 2, 3].map((number) => line.hear(number))).toEqual([true, false, false, true, true]);
  expect(line.state).toEqual({ id: "line-of-vm-1", received: 3 });
});
