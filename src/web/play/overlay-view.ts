// Over the stage: the steps of a start, an interruption, the end, a failure. One heading, one text, at most two buttons.
import type { GameSummary } from "../../contracts/catalog.js";
import { artwork } from "./artwork.js";
import { byId, el } from "./element.js";
import { icon } from "./icons.js";
import type { PageState } from "./page-state.js";
import { currentStep, onStage, type Phase, steps } from "./phase.js";
import { nextWords, stepWords, wordsForStep } from "./words.js";

export interface OverlayActions {
  /** Back to the games; cancels a start. */
  leave(): void;
  /** What the message's main button promises. */
  next(): void;
}

export class OverlayView {
  readonly #overlay = byId("overlay", HTMLElement);
  readonly #status = byId("status", HTMLElement);
  readonly #actions: OverlayActions;
  readonly #title = el("h2", { id: "overlay-title", tabindex: -1 });
  readonly #text = el("p", { class: "overlay-text" });
  readonly #queue = el("p", { class: "queue" });
  readonly #steps = el("ol", { class: "steps" });
  readonly #buttons = el("div", { class: "overlay-buttons" });
  readonly #art = el("div", { class: "overlay-art" });
  #game: GameSummary | null = null;
  #phase: Phase | null = null;

  constructor(actions: OverlayActions) {
    this.#actions = actions;
    const panel = el("div", { class: "panel" }, this.#title, this.#steps, this.#text, this.#queue, this.#buttons);
    this.#overlay.append(this.#art, panel);
    this.#overlay.addEventListener("keydown", ({ key }) => key === "Escape" && actions.leave());
    this.#steps.append(
      ...steps.map((step) =>
        el(
          "li",
          { "data-step": step },
          el("span", { class: "step-mark" }, icon("check")),
          el("span", {}, stepWords[step]),
        ),
      ),
    );
  }

  render(state: PageState): void {
    const { phase, game } = state;
    const shown = onStage(phase) && phase !== "playing";
    this.#overlay.hidden = !shown;
    if (shown) {
      if (game !== this.#game) this.#art.replaceChildren(...(game === null ? [] : [artwork(game.gameId, "stage")]));
      this.#game = game;
      this.#overlay.dataset.kind = currentStep(phase) === null ? phase : "starting";
      this.#fill(state);
    }
    const said = saying(state);
    if (this.#status.textContent !== said) this.#status.textContent = said;
    if (phase !== this.#phase && shown) this.#drawButtons(state);
    this.#phase = phase;
  }

  #fill(state: PageState): void {
    const { phase, game, progress, message } = state;
    const step = currentStep(phase);
    const at = step === null ? -1 : steps.indexOf(step);
    this.#steps.hidden = step === null;
    for (const [i, item] of [...this.#steps.children].entries()) {
      if (i === at) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
      item.classList.toggle("done", i < at);
    }
    this.#title.textContent =
      step !== null ? (game?.title ?? "") : phase === "interrupted" ? "Reconnecting…" : (message?.title ?? "");
    this.#text.textContent =
      step !== null
        ? wordsForStep(step, progress)
        : phase === "interrupted"
          ? "The picture stopped. This usually takes a few seconds."
          : (message?.text ?? "");
    this.#queue.textContent = step === "finding-seat" ? (progress?.reason ?? "") : "";
  }

  #drawButtons({ phase, message }: PageState): void {
    const button = (label: string, kind: string, onclick: () => void) =>
      el("button", { type: "button", class: kind, onclick }, label);
    const buttons =
      phase === "ended" || phase === "failed"
        ? [
            button(nextWords[message?.next ?? "play-again"], "primary", this.#actions.next),
            button("Back to the games", "quiet", this.#actions.leave),
          ]
        : [button(phase === "interrupted" ? "Leave" : "Cancel", "quiet", this.#actions.leave)];
    this.#buttons.replaceChildren(...buttons);
    // Never a button that undoes what the player is pressing keys for: a start is left by Escape or Tab, and while the
    // picture is gone the keyboard stays with the game.
    if (phase === "ended" || phase === "failed") buttons[0]?.focus({ preventScroll: true });
    else if (phase !== "interrupted") this.#title.focus({ preventScroll: true });
  }
}

/** What a screen reader hears. */
function saying({ phase, progress, message, game }: PageState): string {
  const step = currentStep(phase);
  if (step !== null) return `${stepWords[step]}. ${wordsForStep(step, progress)}`;
  if (phase === "playing") return `Playing ${game?.title ?? ""}.`;
  if (phase === "interrupted") return "Reconnecting…";
  return message === null ? "" : `${message.title}. ${message.text}`;
}
