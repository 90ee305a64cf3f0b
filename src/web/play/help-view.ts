// The help dialog: how to play this game, how to get out of it, what it runs at and why, what this browser leaves out.
import { byId, el } from "./element.js";
import { browserFacts, featureNotes } from "./features.js";
import { icon } from "./icons.js";
import type { PageState } from "./page-state.js";
import { wordsForMode, wordsForStats, wordsForWhy } from "./words.js";

export class HelpView {
  readonly #dialog = byId("help-dialog", HTMLDialogElement);
  readonly #body = el("div", { class: "help-body" });
  #drawn = "";

  /** `closed`: the game is to have the keyboard again. */
  constructor(closed: () => void) {
    const close = el(
      "button",
      { type: "button", class: "icon-button", "aria-label": "Close", onclick: () => this.#dialog.close() },
      icon("close"),
    );
    this.#dialog.append(
      el("div", { class: "help-head" }, el("h2", { id: "help-title" }, "How to play"), close),
      this.#body,
    );
    this.#dialog.addEventListener("close", closed);
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
  }

  get isOpen(): boolean {
    return this.#dialog.open;
  }

  open(): void {
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  render(state: PageState): void {
    if (state.phase !== "playing" && this.#dialog.open) this.#dialog.close();
    if (!this.#dialog.open && this.#drawn !== "" && state.game === null) return;
    const stream = streamLines(state);
    const drawn = JSON.stringify([state.game?.gameId, stream]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    const notes = featureNotes(browserFacts());
    this.#body.replaceChildren(
      definitions([
        ...(matchMedia("(pointer: coarse)").matches ? [touchLine] : []),
        ...(state.game?.controls.map(({ input, text }) => [input, text] as const) ?? []),
      ]),
      el("h3", {}, "This page"),
      definitions([
        ["Esc", "Shows the bar, lets the mouse go, leaves full screen. The game gets it too."],
        ["Shift + Tab", "Takes the keyboard out of the game, to the bar above it."],
        ["Reload", "Nothing is lost: you come back to the same game."],
      ]),
      el("h3", {}, "The stream"),
      definitions(stream),
      ...(notes.length === 0
        ? []
        : [el("h3", {}, "Off in this browser"), el("ul", {}, ...notes.map((note) => el("li", {}, note)))]),
    );
  }
}

const touchLine = ["Touch", "The pad under your left thumb is the arrow keys, A is Space."] as const;

const definitions = (rows: readonly (readonly [string, string])[]) =>
  el("dl", {}, ...rows.flatMap(([term, text]) => [el("dt", {}, term), el("dd", {}, text)]));

function streamLines({ stream, stats, inputBy }: PageState): (readonly [string, string])[] {
  if (stream === null) return [["Picture", "Not running yet"]];
  return [
    ["Picture", `${wordsForMode(stream.mode)}, H.264 by ${stream.encoder}`],
    ...(stream.why === null ? [] : [["Why so", wordsForWhy(stream)] as const]),
    ...(stats === null ? [] : [["Now", `${wordsForStats(stats)} round trip`] as const]),
    ...(inputBy === null
      ? []
      : [
          [
            "Input",
            inputBy === "websocket" ? "By WebSocket, through the server" : "By data channel, straight to the machine",
          ] as const,
        ]),
  ];
}
