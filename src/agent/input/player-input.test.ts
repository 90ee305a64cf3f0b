import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeInput,
  encodeInput,
  type GameInput,
  type InputEvent,
  InputFormatError,
  isState,
  keyCodes,
} from "../../contracts/input.js";
import { hold, nothingHeld, releases } from "./held.js";
import { isKeepalive, PlayerInput } from "./player-input.js";

const key = (code: (typeof keyCodes)[number], down: boolean): GameInput => ({ kind: "key", code, down });
const position = (x: number): GameInput => ({ kind: "mouse-position", x, y: 0 });
const pad = (index: number, buttons: number, x = 0): GameInput => ({
  kind: "gamepad",
  index,
  buttons,
  leftTrigger: 0,
  rightTrigger: 0,
  axes: [x, 0, 0, 0],
});
const anyEvent: fc.Arbitrary<GameInput> = fc.oneof(
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

  it("hears nothing new in a gamepad that only repeats itself, until it was released", () => {
    const input = new PlayerInput();
    expect(receive(input, 1, pad(0, 1))).toEqual([pad(0, 1)]);
    expect(receive(input, 2, pad(0, 1))).toEqual([]);
    receive(input, 3, { kind: "reset" });
    expect(receive(input, 4, pad(0, 1))).toEqual([pad(0, 1)]);
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

describe("a player's mouse", () => {
  const motion = (x: number, y = 0): InputEvent => ({ kind: "mouse-motion", x, y });
  const button = (down: boolean): GameInput => ({ kind: "mouse-button", button: 0, down });
  const click = (x: number, down = true): InputEvent => ({ kind: "motion-button", button: 0, down, x, y: 0 });
  const move = (dx: number): GameInput => ({ kind: "mouse-move", dx, dy: 0 });

  it("moves by what its counters differ, the first of which only says where counting starts", () => {
    const input = new PlayerInput();
    expect(receive(input, 1, motion(500))).toEqual([]);
    expect(receive(input, 2, motion(503, 4))).toEqual([{ kind: "mouse-move", dx: 3, dy: 4 }]);
    expect(receive(input, 9, motion(510, 4))).toEqual([move(7)]);
    expect(receive(input, 8, motion(509, 4))).toEqual([]);
  });

  it("counts across the wrap of its counters", () => {
    const input = new PlayerInput();
    receive(input, 1, motion(2 ** 31 - 2));
    expect(receive(input, 2, motion(-(2 ** 31) + 3))).toEqual([move(5)]);
  });

  it("has also moved by what a later message was overtaken by at the start", () => {
    const input = new PlayerInput();
    expect(receive(input, 5, motion(30))).toEqual([]);
    expect(receive(input, 4, motion(10))).toEqual([move(20)]);
  });

  it("clicks where it was, though newer motion came first: it goes back for it", () => {
    const input = new PlayerInput();
    receive(input, 1, motion(0));
    expect(receive(input, 3, motion(50))).toEqual([move(50)]);
    expect(receive(input, 2, click(20))).toEqual([move(-30), button(true), move(30)]);
  });

  it("clicks at the position of the click, whether the position itself arrived or not", () => {
    const input = new PlayerInput();
    const at = (x: number, down: boolean): InputEvent => ({ kind: "position-button", button: 0, down, x, y: 0 });
    expect(receive(input, 2, at(1, true))).toEqual([position(1), button(true)]);
    receive(input, 4, position(0));
    expect(receive(input, 3, at(1, false))).toEqual([position(1), button(false), position(0)]);
    expect(receive(input, 3, at(1, false))).toEqual([]);
  });

  it("ends where it was moved to and clicked where it was clicked, whatever is lost or late on the way", () => {
    interface Message {
      readonly event: InputEvent;
      readonly lost: boolean;
      /** How many messages may overtake it on the unreliable channel. */
      readonly late: number;
    }
    const step = fc.record({
      dx: fc.integer({ min: -40, max: 40 }),
      press: fc.boolean(),
      lost: fc.boolean(),
      late: fc.nat(6),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), fc.integer(), (steps, start) => {
        let x = start | 0;
        let down = false;
        const clicks: number[] = [];
        const sent: Message[] = [{ event: motion(x), lost: false, late: 0 }];
        for (const { dx, press, lost, late } of steps) {
          x = (x + dx) | 0;
          if (press) {
            down = !down;
            clicks.push((x - start) | 0);
          }
          sent.push(press ? { event: click(x, down), lost: false, late } : { event: motion(x), lost, late });
        }
        sent.push({ event: motion(x), lost: false, late: 0 });

        // Buttons keep their order among themselves, however late they are: their channel is ordered.
        let orderedUntil = 0;
        const arrivals = sent
          .map(({ event, lost, late }, seq) => {
            const at = event.kind === "motion-button" ? Math.max(orderedUntil, seq + late) : seq + late;
            if (event.kind === "motion-button") orderedUntil = at;
            return { event, lost, seq, at };
          })
          .filter(({ lost }) => !lost)
          .sort((a, b) => a.at - b.at || a.seq - b.seq);

        const input = new PlayerInput();
        let at = 0;
        const clickedAt: number[] = [];
        for (const { event, seq } of arrivals)
          for (const told of receive(input, seq, event)) {
            if (told.kind === "mouse-move") at += told.dx;
            if (told.kind === "mouse-button") clickedAt.push(at);
          }
        expect(at).toBe((x - start) | 0);
        expect(clickedAt).toEqual(clicks);
      }),
    );
  });
});
