// On-screen controls for touch, as the game's catalogue entry wants them: a pad for eight directions and up to four
// buttons, which press the same keys as a keyboard. Each finger holds its own: they may be on several at once.
//
// Shown where fingers are what one points with, and from the first touch on where there is a mouse, too. A game without
// a pad has fingers as its pointer.
import type { TouchPad } from "../../contracts/catalog.js";
import type { KeyCode } from "../../contracts/input.js";
import { byId, el, svg } from "./element.js";
import type { PageState } from "./page-state.js";
import { type Direction, directionsAt } from "./touch-directions.js";

const keys: Record<Direction, KeyCode> = {
  left: "ArrowLeft",
  right: "ArrowRight",
  up: "ArrowUp",
  down: "ArrowDown",
};

type Press = (code: KeyCode, down: boolean) => void;

export class TouchPadView {
  readonly #pad = byId("pad", HTMLElement);
  readonly #press: Press;
  #touched = matchMedia("(pointer: coarse)").matches;
  #touch: TouchPad | null = null;

  /** `press` is called for each change. */
  constructor(press: Press) {
    this.#press = press;
    this.#pad.addEventListener("contextmenu", (event) => event.preventDefault());
    byId("stage", HTMLElement).addEventListener("pointerdown", ({ pointerType }) => {
      if (pointerType === "touch") this.#touched = true;
      this.#show();
    });
  }

  render({ game }: PageState): void {
    const touch = game?.touch ?? null;
    if (touch !== this.#touch) {
      this.#touch = touch;
      this.#pad.replaceChildren(...(touch === null ? [] : controls(touch, this.#press)));
    }
    this.#show();
  }

  #show(): void {
    this.#pad.hidden = !this.#touched || this.#touch === null;
  }
}

function controls({ directions, buttons }: TouchPad, press: Press): HTMLElement[] {
  const under = el("div", { class: "pad-buttons" });
  for (const { label, key } of buttons) {
    const button = el("button", { type: "button", class: "pad-button", "data-key": key, tabindex: -1 }, label);
    hold(button, (down) => press(key, down));
    under.append(button);
  }
  if (!directions) return [el("div"), under];
  const pad = el("div", { class: "pad-directions", id: "pad-directions", "aria-label": "Directions" }, cross());
  steer(pad, press);
  return [pad, under];
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
