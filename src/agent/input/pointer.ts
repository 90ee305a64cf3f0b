// Where the pointer of one connection is, and what the game is told of it. Pure: the state is a value.
//
// Motion arrives as counters (contracts/input.ts), of which any may be lost or late. Guarantees: what the game is told in
// all is the newest counter less the oldest, whatever arrived between them and in whatever order; the first counter says
// only where counting starts. A button happens where the player pressed it: when newer motion has overtaken it, the
// pointer goes back for it, and comes again.
import { type GameInput, isNewer, type MotionCount } from "../../contracts/input.js";

interface Counted extends MotionCount {
  readonly seq: number;
}

interface Placed {
  readonly seq: number;
  readonly x: number;
  readonly y: number;
}

export interface Pointer {
  /** What the game was told: all motion from the oldest counter to the newest. */
  readonly motion: { readonly oldest: Counted; readonly newest: Counted } | null;
  /** 0–1 of the picture, the newest. */
  readonly position: Placed | null;
}

export const pointerAnywhere: Pointer = { motion: null, position: null };

interface Told {
  readonly pointer: Pointer;
  readonly events: GameInput[];
}

/** After a counter of motion. */
export function moved(pointer: Pointer, counted: Counted): Told {
  const { motion } = pointer;
  if (motion === null) return { pointer: { ...pointer, motion: { oldest: counted, newest: counted } }, events: [] };
  const { oldest, newest } = motion;
  if (isNewer(counted.seq, newest.seq))
    return { pointer: { ...pointer, motion: { oldest, newest: counted } }, events: motionFrom(newest, counted) };
  if (isNewer(oldest.seq, counted.seq))
    return { pointer: { ...pointer, motion: { oldest: counted, newest } }, events: motionFrom(counted, oldest) };
  return { pointer, events: [] };
}

/** After a position. */
export function placed(pointer: Pointer, position: Placed): Told {
  const known = pointer.position;
  if (known !== null && !isNewer(position.seq, known.seq)) return { pointer, events: [] };
  return { pointer: { ...pointer, position }, events: [positionEvent(position)] };
}

/** After a button where the counter stood at `counted`. */
export function pressedAfterMotion(pointer: Pointer, counted: Counted, button: GameInput): Told {
  const { pointer: after, events } = moved(pointer, counted);
  const newest = after.motion!.newest;
  return {
    pointer: after,
    events: [...events, ...motionFrom(newest, counted), button, ...motionFrom(counted, newest)],
  };
}

/** After a button at a position. */
export function pressedAtPosition(pointer: Pointer, position: Placed, button: GameInput): Told {
  const { pointer: after, events } = placed(pointer, position);
  if (events.length > 0) return { pointer: after, events: [...events, button] };
  return { pointer, events: [positionEvent(position), button, positionEvent(after.position!)] };
}

const positionEvent = ({ x, y }: Placed): GameInput => ({ kind: "mouse-position", x, y });

/** The motion between two counters, nothing when there is none: the difference in 32 bits is right across the wrap. */
function motionFrom(from: MotionCount, to: MotionCount): GameInput[] {
  const dx = (to.x - from.x) | 0;
  const dy = (to.y - from.y) | 0;
  return dx === 0 && dy === 0 ? [] : [{ kind: "mouse-move", dx, dy }];
}
