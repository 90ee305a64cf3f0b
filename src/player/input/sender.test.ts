import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeInput, type InputEvent, type InputMessage, isState } from "../../contracts/input.js";
import { chooseWay, InputSender, type Later, type Way, type Ways } from "./sender.js";

interface FakeWay extends Way {
  readonly sent: InputMessage[];
}

function way(isOpen: boolean, bufferedBytes = 0): FakeWay {
  const sent: InputMessage[] = [];
  return { isOpen, bufferedBytes, sent, send: (bytes) => sent.push(decodeInput(bytes)) };
}

const key: InputEvent = { kind: "key", code: "KeyA", down: true };
const position: InputEvent = { kind: "mouse-position", x: 1, y: 0 };
const never: Later = () => () => {};
const open = () => ({ input: way(true), state: way(true), control: null });

test("discrete events take the reliable channel, full states the one that may lose them", () => {
  const ways = open();
  expect(chooseWay(key, ways)).toBe(ways.input);
  expect(chooseWay({ kind: "reset" }, ways)).toBe(ways.input);
  expect(chooseWay({ kind: "wheel", dx: 0, dy: 1 }, ways)).toBe(ways.input);
  expect(chooseWay(position, ways)).toBe(ways.state);
  expect(chooseWay({ kind: "mouse-motion", x: 0, y: 1 }, ways)).toBe(ways.state);
  expect(chooseWay({ kind: "motion-button", button: 0, down: true, x: 0, y: 1 }, ways)).toBe(ways.input);
  expect(chooseWay(position, ways, true)).toBe(ways.input);
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
  const sender = new InputSender(() => ways, never);
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

/** Timers that run when told to. */
function clock() {
  const due = new Set<() => void>();
  const after: Later = (act) => {
    const entry = () => {
      due.delete(entry);
      act();
    };
    due.add(entry);
    return () => due.delete(entry);
  };
  return { after, pass: () => [...due].map((act) => act()), due };
}

test("a state that has come to rest is sent once more, reliably", () => {
  const ways = open();
  const { after, pass, due } = clock();
  const sender = new InputSender(() => ways, after);
  const motion = (x: number): InputEvent => ({ kind: "mouse-motion", x, y: 0 });
  sender.send(motion(1));
  sender.send(motion(5));
  pass();
  expect(ways.state.sent.map(({ event }) => event)).toEqual([motion(1), motion(5)]);
  expect(ways.input.sent).toEqual([{ seq: 3, event: motion(5) }]);
  expect(due.size).toBe(0);
});

test("a state that was dropped for a busy network arrives when it has come to rest", () => {
  const ways = { ...open(), state: way(true, 5_000) };
  const { after, pass } = clock();
  const sender = new InputSender(() => ways, after);
  expect(sender.send(position)).toBe(false);
  pass();
  expect(ways.input.sent).toEqual([{ seq: 1, event: position }]);
});

test("what was released does not come again by its last word", () => {
  const ways = open();
  const { after, pass } = clock();
  const sender = new InputSender(() => ways, after);
  sender.send({ kind: "gamepad", index: 0, buttons: 1, leftTrigger: 0, rightTrigger: 0, axes: [0, 0, 0, 0] });
  sender.send({ kind: "reset" });
  pass();
  expect(ways.input.sent.map(({ event }) => event.kind)).toEqual(["reset"]);
});

test("each gamepad has a last word of its own", () => {
  const ways = open();
  const { after, pass } = clock();
  const sender = new InputSender(() => ways, after);
  const pad = (index: number): InputEvent => ({
    kind: "gamepad",
    index,
    buttons: 0,
    leftTrigger: 0,
    rightTrigger: 0,
    axes: [1, 0, 0, 0],
  });
  for (const index of [0, 1, 2, 3]) sender.send(pad(index));
  pass();
  expect(ways.input.sent.map(({ event }) => event)).toEqual([0, 1, 2, 3].map(pad));
});

test("whatever the ways' state, an event is sent at most once, over an open way, with the next number", () => {
  const anyWay = fc.record({ isOpen: fc.boolean(), bufferedBytes: fc.nat(200_000) });
  const anyWays = fc.record({ input: anyWay, state: anyWay, control: fc.option(anyWay) });
  const anyEvent = fc.constantFrom<InputEvent>(key, position, { kind: "reset" }, { kind: "mouse-motion", x: 1, y: 2 });
  fc.assert(
    fc.property(fc.array(fc.tuple(anyWays, anyEvent), { maxLength: 30 }), (steps) => {
      const sent: { seq: number; event: InputEvent; isOpen: boolean; bufferedBytes: number }[] = [];
      let current: Ways | null = null;
      const sender = new InputSender(() => current, never);
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
