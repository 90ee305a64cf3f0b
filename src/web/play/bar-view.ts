// The bar over the game: what runs, how well, and the few things to do. It shows itself when the mouse moves, at a tap,
// at Escape and when it has the focus, and goes away after a moment.
import { byId, el } from "./element.js";
import { type IconName, icon } from "./icons.js";
import type { PageState } from "./page-state.js";
import { wordsForMode, wordsForStats, wordsForWhy } from "./words.js";

const shownMs = 2_500;
/** A finger leaves `:hover` behind where it tapped. */
const canHover = matchMedia("(hover: hover)");

export interface BarActions {
  toggleSound(): boolean;
  toggleFullscreen(): void;
  toggleLatency(): void;
  help(): void;
  end(): void;
  /** The game is to have the keyboard again. */
  done(): void;
}

export class BarView {
  readonly #bar = byId("bar", HTMLElement);
  readonly #stage = byId("stage", HTMLElement);
  readonly #title = el("strong", { class: "bar-title" });
  readonly #mode = el("span", { class: "bar-mode", id: "mode" });
  readonly #why = el("span", { class: "bar-why" });
  readonly #stats = el("span", { class: "bar-stats", id: "stats", "data-testid": "stats" });
  readonly #sound: HTMLButtonElement;
  readonly #fullscreen: HTMLButtonElement;
  readonly #latency: HTMLButtonElement;
  #hiding: ReturnType<typeof setTimeout> | undefined;

  constructor(actions: BarActions) {
    this.#sound = barButton("mute", "Sound off", "soundOn", () => this.#drawSound(actions.toggleSound()));
    this.#fullscreen = barButton("fullscreen", "Full screen", "fullscreen", actions.toggleFullscreen);
    this.#fullscreen.hidden = document.fullscreenEnabled !== true;
    this.#latency = barButton("show-latency", "Latency (Ctrl + Shift + L)", "latency", actions.toggleLatency);
    this.#latency.setAttribute("aria-keyshortcuts", "Control+Shift+L");
    const end = barButton("end", "End session", "end", actions.end);
    end.append(el("span", {}, "End"));
    this.#bar.append(
      el("div", { class: "bar-facts" }, this.#title, this.#mode, this.#stats, this.#why),
      el(
        "div",
        { class: "bar-buttons" },
        this.#sound,
        this.#fullscreen,
        this.#latency,
        barButton("help", "Help", "help", actions.help),
        end,
      ),
    );
    // A click leaves the keyboard on the button: give it back to the game. Keyboard users stay in the bar.
    this.#bar.addEventListener("click", (event) => event.detail > 0 && actions.done());
    this.#bar.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      actions.done();
    });
    this.#stage.addEventListener("pointermove", ({ movementX, movementY, pointerType }) => {
      if (pointerType === "mouse" && document.pointerLockElement === null && (movementX !== 0 || movementY !== 0))
        this.show();
    });
    this.#stage.addEventListener("pointerdown", ({ pointerType, target }) => {
      if (pointerType !== "mouse" && !(target instanceof Element && target.closest("#pad"))) this.show();
    });
    // Before the game's own listener: it takes Escape, too.
    window.addEventListener("keydown", ({ key }) => key === "Escape" && this.show(), { capture: true });
    document.addEventListener("pointerlockchange", () => document.pointerLockElement === null && this.show());
    document.addEventListener("fullscreenchange", () => this.#drawFullscreen());
  }

  show(): void {
    this.#stage.classList.add("bar-shown");
    clearTimeout(this.#hiding);
    this.#hiding = setTimeout(() => {
      if (canHover.matches && this.#bar.matches(":hover")) this.show();
      else this.#stage.classList.remove("bar-shown");
    }, shownMs);
  }

  render({ phase, game, stream, stats, latencyAsked }: PageState): void {
    this.#bar.hidden = phase !== "playing" && phase !== "interrupted";
    this.#title.textContent = game?.title ?? "";
    this.#mode.textContent = stream === null ? "" : wordsForMode(stream.mode);
    this.#why.textContent = stream === null ? "" : wordsForWhy(stream);
    this.#stats.textContent = stats === null ? "" : wordsForStats(stats);
    this.#latency.setAttribute("aria-pressed", String(latencyAsked));
    // For measurements from outside (tests, benches): the figures as they are.
    for (const [name, value] of Object.entries(stats ?? {}))
      if (typeof value !== "object") this.#stats.dataset[name] = String(value);
  }

  /** A new session starts with sound. */
  reset(): void {
    this.#drawSound(false);
  }

  #drawSound(muted: boolean): void {
    draw(this.#sound, muted ? "Sound on" : "Sound off", muted ? "soundOff" : "soundOn");
  }

  #drawFullscreen(): void {
    const full = document.fullscreenElement !== null;
    draw(this.#fullscreen, full ? "Leave full screen" : "Full screen", full ? "window" : "fullscreen");
  }
}

function barButton(id: string, label: string, name: IconName, onclick: () => void): HTMLButtonElement {
  const button = el("button", { type: "button", class: "bar-button", id, "data-testid": id, onclick });
  draw(button, label, name);
  return button;
}

function draw(button: HTMLButtonElement, label: string, name: IconName): void {
  button.setAttribute("aria-label", label);
  button.title = label;
  button.querySelector("svg")?.remove();
  button.prepend(icon(name));
}
