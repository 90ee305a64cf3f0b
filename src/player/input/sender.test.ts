import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeInput, type InputEvent, type InputMessage, isState } from "../../contracts/input.js";
import { chooseWay, InputSender, type Way, type Ways } from "./sender.js";

interface FakeWay extends Way {
  readonly sent: InputMessage[];
}

function way(isOpen: boolean, bufferedBytes = 0): FakeWay {
  const sent: InputMessage[] = [];
  return { isOpen, bufferedBytes, sent, send: (bytes) => sent.push(decodeInput(bytes)) };
}

const key: InputEvent = { kind: "key", code: "KeyA", down: true };
const position: InputEvent = { kind: "mouse-position", x: 0.5, y: 0.5 };
const open = () => ({ input: way(true), state: way(true), control: null });

test("discrete events take the reliable channel, full states the one that may lose them", () => {
  const ways = open();
  expect(chooseWay(key, ways)).toBe(ways.input);
  expect(chooseWay({ kind: "reset" }, ways)).toBe(ways.input);
  expect(chooseWay({ kind: "wheel", dx: 0, dy: 1 }, ways)).toBe(ways.input);
  expect(chooseWay(position, ways)).toBe(ways.state);
});

test("a state takes the reliable channel while its own is not open yet", () => {
  const ways = { ...open(), state: way(false) };
  expect(chooseWay(position, ways)).toBe(ways.input);
});

test("with a control socket everything goes over it", () => {
  const ways = { ...open(), control: way(true) };
  expect(chooseWay(key, ways)).toBe(ways.control);
  expect(chooseWay(position, ways)).toBe(ways.control);
});

test("a state is dropped when the network is behind, a key is not", () => {
  const ways = { input: way(true, 2_000), state: way(true, 2_000), control: null };
  expect(chooseWay(position, ways)).toBeNull();
  expect(chooseWay(key, ways)).toBe(ways.input);
  const stalled = { ...ways, input: way(true, 100_000) };
  expect(chooseWay(key, stalled)).toBeNull();
});

test("sequence numbers count every message sent, of all kinds and over all ways", () => {
  let ways: Ways | null = null;
  const sender = new InputSender(() => ways);
  expect(sender.send(key)).toBe(false);
  const channels = open();
  ways = channels;
  sender.send(key);
  sender.send(position);
  const control = way(true);
  ways = { ...channels, control };
  sender.send({ kind: "reset" });
  expect(channels.input.sent).toEqual([{ seq: 1, event: key }]);
  expect(channels.state.sent.map(({ seq }) => seq)).toEqual([2]);
  expect(control.sent).toEqual([{ seq: 3, event: { kind: "reset" } }]);
});

test("whatever the ways' state, an event is sent at most once, over an open way, with the next number", () => {
  const anyWay = fc.record({ isOpen: fc.boolean(), bufferedBytes: fc.nat(200_000) });
  const anyWays = fc.record({ input: anyWay, state: anyWay, control: fc.option(anyWay) });
  const anyEvent = fc.constantFrom<InputEvent>(key, position, { kind: "reset" }, { kind: "mouse-move", dx: 1, dy: 2 });
  fc.assert(
    fc.property(fc.array(fc.tuple(anyWays, anyEvent), { maxLength: 30 }), (steps) => {
      const sent: { seq: number; event: InputEvent; isOpen: boolean; bufferedBytes: number }[] = [];
      let current: Ways | null = null;
      const sender = new InputSender(() => current);
      let accepted = 0;
      for (const [{ input, state, control }, event] of steps) {
        const recording = (from: { isOpen: boolean; bufferedBytes: number }): Way => ({
          ...from,
          send: (bytes) => sent.push({ ...decodeInput(bytes), ...from }),
        });
        current = { input: recording(input), state: recording(state), control: control && recording(control) };
        if (sender.send(event)) accepted++;
      }
      expect(sent.map(({ seq }) => seq)).toEqual(Array.from({ length: accepted }, (_, i) => i + 1));
      expect(sent.every(({ isOpen }) => isOpen)).toBe(true);
      expect(sent.every(({ event, bufferedBytes }) => !isState(event) || bufferedBytes <= 1_024)).toBe(true);
    }),
  );
});
