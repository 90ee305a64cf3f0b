// Which directions a finger on the pad means. Pure.

export type Direction = "left" | "right" | "up" | "down";

/** Within this of the centre (0.5 is the rim) nothing is pressed. */
const deadZone = 0.09;
/** Diagonals take as much of the circle as the four directions: sin 22.5°. */
const diagonalFrom = 0.3827;

/** `x`, `y`: −0.5 to 0.5 from the pad's centre, y downwards; beyond the rim counts as on it. */
export function directionsAt(x: number, y: number): ReadonlySet<Direction> {
  const distance = Math.hypot(x, y);
  const directions = new Set<Direction>();
  if (!(distance > deadZone)) return directions;
  if (x / distance < -diagonalFrom) directions.add("left");
  if (x / distance > diagonalFrom) directions.add("right");
  if (y / distance < -diagonalFrom) directions.add("up");
  if (y / distance > diagonalFrom) directions.add("down");
  return directions;
}
