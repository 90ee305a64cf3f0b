import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeInput,
  encodeInput,
  type InputEvent,
  InputFormatError,
  isState,
  keyCodes,
} from "../../contracts/input.js";
import { hold, nothingHeld, releases } from "./held.js";
import { isKeepalive, PlayerInput } from "./player-input.js";

const key = (code: (typeof keyCodes)[number], down: boolean): InputEvent => ({ kind: "key", code, down });
const position = (x: number): InputEvent => ({ kind: "mouse-position", x, y: 0 });
const pad = (index: number, buttons: number, x = 0): InputEvent => ({
  kind: "gamepad",
  index,
  buttons,
  leftTrigger: 0,
  rightTrigger: 0,
  axes: [x, 0, 0, 0],
});
const anyEvent: fc.Arbitrary<InputEvent> = fc.oneof(
  fc.record({ kind: fc.constant("key" as const), code: fc.constantFrom(...keyCodes.slice(0, 6)), down: fc.boolean() }),
  fc.record({ kind: fc.constant("mouse-button" as const), button: fc.nat(4), down: fc.boolean() }),
  fc.tuple(fc.nat(3), fc.nat(3), fc.constantFrom(-1, 0, 1)).map(([index, buttons, x]) => pad(index, buttons, x)),
  fc.record({ kind: fc.constant("mouse-move" as const), dx: fc.integer({ min: -9, max: 9 }), dy: fc.constant(1) }),
  fc.constantFrom(0, 1).map(position),
  fc.constant({ kind: "reset" as const }),
);
const receive = (input: PlayerInput, seq: number, event: InputEvent) => input.receive(encodeInput({ seq, event }));

describe("what is held", () => {
  it("is nothing after its releases, whatever happened before", () => {
    fc.assert(
      fc.property(fc.array(anyEvent), (events) => {
        const held = events.reduce(hold, nothingHeld);
        expect(releases(releases(held).reduce(hold, held))).toEqual([]);
      }),
    );
  });

  it("is let go of once each: keys, buttons, and gamepads that are not at rest", () => {
    const events = [key("KeyA", true), key("KeyA", true), key("KeyD", true), key("KeyD", false), pad(1, 4), pad(2, 0)];
    const held = [...events, { kind: "mouse-button", button: 2, down: true } as const].reduce(hold, nothingHeld);
    expect(releases(held)).toEqual([key("KeyA", false), { kind: "mouse-button", button: 2, down: false }, pad(1, 0)]);
  });
});

const isMessage = (bytes: Uint8Array): boolean => {
  try {
    return decodeInput(bytes) !== undefined;
  } catch (error) {
    if (error instanceof InputFormatError) return false;
    throw error;
  }
};

describe("a player's input", () => {
  it("reaches the game once, though it arrives on two channels", () => {
    const input = new PlayerInput();
    expect(receive(input, 1, key("KeyA", true))).toEqual([key("KeyA", true)]);
    expect(receive(input, 1, key("KeyA", true))).toEqual([]);
    expect(receive(input, 2, { kind: "mouse-move", dx: 3, dy: 4 })).toHaveLength(1);
    expect(receive(input, 2, { kind: "mouse-move", dx: 3, dy: 4 })).toEqual([]);
  });

  it("drops state that is older than what is known of the same thing, and of no other", () => {
    const input = new PlayerInput();
    receive(input, 10, position(1));
    expect(receive(input, 9, position(0))).toEqual([]);
    expect(receive(input, 8, pad(0, 1))).toHaveLength(1);
    expect(receive(input, 7, pad(1, 1))).toHaveLength(1);
    expect(receive(input, 6, pad(1, 0))).toEqual([]);
  });

  it("lets no late key-down undo its key-up", () => {
    const input = new PlayerInput();
    receive(input, 5, key("Space", false));
    expect(receive(input, 4, key("Space", true))).toEqual([]);
  });

  it("releases everything on a reset, and takes nothing older afterwards", () => {
    const input = new PlayerInput();
    receive(input, 1, key("KeyW", true));
    receive(input, 2, pad(0, 1));
    expect(receive(input, 4, { kind: "reset" })).toEqual([key("KeyW", false), pad(0, 0), { kind: "reset" }]);
    expect(receive(input, 3, pad(0, 1))).toEqual([]);
    expect(input.release()).toEqual([]);
  });

  it("counts across the wrap of the sequence number", () => {
    const input = new PlayerInput();
    receive(input, 0xffff_ffff, position(0));
    expect(receive(input, 0, position(1))).toEqual([position(1)]);
  });

  it("survives any bytes, and makes nothing of those that are no message", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 24 })), (messages) => {
        const input = new PlayerInput();
        for (const bytes of messages) {
          const events = input.receive(bytes);
          if (!isMessage(bytes)) expect(events).toEqual([]);
        }
      }),
    );
    expect(isKeepalive(Uint8Array.of(0xff))).toBe(true);
    expect(isKeepalive(Uint8Array.of(0xff, 0))).toBe(false);
  });

  it("ends, however messages are reordered and repeated, with the newest state of each pad and pointer", () => {
    const states = fc.array(anyEvent.filter(isState), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(
        states.chain((sent) => {
          const order = sent.map((_, i) => i);
          return fc.tuple(
            fc.constant(sent),
            fc.shuffledSubarray([...order, ...order], { minLength: order.length * 2 }),
          );
        }),
        ([sent, arrivals]) => {
          const input = new PlayerInput();
          const applied = arrivals.flatMap((i) => receive(input, i, sent[i]!));
          const about = (event: InputEvent) => (event.kind === "gamepad" ? `pad ${event.index}` : event.kind);
          const lastOf = (events: readonly InputEvent[]) =>
            Object.fromEntries(events.map((event) => [about(event), event]));
          expect(lastOf(applied)).toEqual(lastOf(sent));
        },
      ),
    );
  });
});
