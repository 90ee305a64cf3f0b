// On-screen controls for touch: a pad for eight directions and a fire button, which press the same keys as a keyboard.
import type { KeyCode } from "../../contracts/input.js";
import { byId, el, svg } from "./element.js";
import { type Direction, directionsAt } from "./touch-directions.js";

const keys: Record<Direction, KeyCode> = {
  left: "ArrowLeft",
  right: "ArrowRight",
  up: "ArrowUp",
  down: "ArrowDown",
};

/** Hidden where there is no touch. `press` is called for each change. */
export function touchPad(press: (code: KeyCode, down: boolean) => void): void {
  const pad = byId("pad", HTMLElement);
  const directions = el("div", { class: "pad-directions", id: "pad-directions", "aria-label": "Directions" }, cross());
  const fire = el(
    "button",
    { type: "button", class: "pad-fire", id: "pad-fire", tabindex: -1, "aria-label": "Fire" },
    "A",
  );
  pad.append(directions, fire);
  pad.hidden = !matchMedia("(pointer: coarse)").matches;
  steer(directions, press);
  hold(fire, (down) => press("Space", down));
  pad.addEventListener("contextmenu", (event) => event.preventDefault());
}

function steer(directions: HTMLElement, press: (code: KeyCode, down: boolean) => void): void {
  const held = new Set<Direction>();
  const become = (next: ReadonlySet<Direction>) => {
    for (const direction of [...held]) if (!next.has(direction)) change(direction, false);
    for (const direction of next) if (!held.has(direction)) change(direction, true);
  };
  const change = (direction: Direction, down: boolean) => {
    if (down) held.add(direction);
    else held.delete(direction);
    directions.classList.toggle(`holds-${direction}`, down);
    press(keys[direction], down);
    if (down) navigator.vibrate?.(8);
  };
  const follow = (event: PointerEvent) => {
    const { left, top, width, height } = directions.getBoundingClientRect();
    become(directionsAt((event.clientX - left) / width - 0.5, (event.clientY - top) / height - 0.5));
  };
  directions.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    directions.setPointerCapture(event.pointerId);
    follow(event);
  });
  directions.addEventListener("pointermove", (event) => directions.hasPointerCapture(event.pointerId) && follow(event));
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"] as const)
    directions.addEventListener(end, () => become(new Set()));
}

function hold(button: HTMLElement, held: (down: boolean) => void): void {
  button.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    button.setPointerCapture(event.pointerId);
    button.classList.add("held");
    held(true);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"] as const)
    button.addEventListener(end, () => {
      button.classList.remove("held");
      held(false);
    });
}

const arrow = (direction: Direction, turn: number) =>
  svg("path", { class: `pad-arrow pad-${direction}`, d: "M50 12l11 15H39z", transform: `rotate(${turn} 50 50)` });

const cross = () =>
  svg(
    "svg",
    { viewBox: "0 0 100 100", "aria-hidden": "true" },
    svg("circle", { class: "pad-base", cx: 50, cy: 50, r: 49 }),
    arrow("up", 0),
    arrow("right", 90),
    arrow("down", 180),
    arrow("left", 270),
  );
