// The help dialog: how to play this game, how to get out of it, what it runs at and why, what this browser leaves out.
import type { GameSummary } from "../../contracts/catalog.js";
import { byId, el } from "./element.js";
import { browserFacts, featureNotes } from "./features.js";
import { icon } from "./icons.js";
import type { PageState } from "./page-state.js";
import { rumbleWanted } from "./rumble-setting.js";
import { wordsForMode, wordsForStats, wordsForWhy } from "./words.js";

export class HelpView {
  readonly #dialog = byId("help-dialog", HTMLDialogElement);
  readonly #body = el("div", { class: "help-body" });
  #drawn = "";

  readonly #rumble: HTMLInputElement;

  /** `closed`: the game is to have the keyboard again. */
  constructor({ closed, setRumble }: { closed: () => void; setRumble: (wanted: boolean) => void }) {
    this.#rumble = el("input", { type: "checkbox", id: "rumble-setting" });
    this.#rumble.checked = rumbleWanted();
    this.#rumble.addEventListener("change", () => setRumble(this.#rumble.checked));
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
    const notes = featureNotes(browserFacts());
    const keys = pageLines(state);
    const drawn = JSON.stringify([state.game?.gameId, stream, keys, notes]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#body.replaceChildren(
      definitions([
        ...touchLines(state.game),
        ...(state.game?.controls.map(({ input, text }) => [input, text] as const) ?? []),
      ]),
      el("h3", {}, "This page"),
      definitions(keys),
      el("label", { class: "setting" }, this.#rumble, "Let gamepads and phones vibrate"),
      el("h3", {}, "The stream"),
      definitions(stream),
      ...(notes.length === 0
        ? []
        : [el("h3", {}, "Off in this browser"), el("ul", {}, ...notes.map((note) => el("li", {}, note)))]),
    );
  }
}

function touchLines(game: GameSummary | null): (readonly [string, string])[] {
  if (game === null || !matchMedia("(any-pointer: coarse)").matches) return [];
  if (game.touch === null) return [["Touch", "A finger on the picture is the mouse."]];
  const { directions, buttons } = game.touch;
  return [
    [
      "Touch",
      [
        ...(directions ? ["The pad under your left thumb is the arrow keys."] : []),
        ...buttons.map(({ label, key }) => `${label} is ${key}.`),
      ].join(" "),
    ],
  ];
}

const pageLines = ({ pointer, keyboardLocked }: PageState): (readonly [string, string])[] => [
  keyboardLocked
    ? ["Esc", "The game has it, and the system's keys. Hold it to leave full screen."]
    : ["Esc", "Shows the bar, lets the mouse go, leaves full screen. The game gets it too."],
  ["Shift + Tab", "Takes the keyboard out of the game, to the bar above it."],
  ["Ctrl + Shift + L", "Shows where the time goes between a key and its picture."],
  ["Reload", "Nothing is lost: you come back to the same game."],
  ["Mouse", mouseWords(pointer)],
];

function mouseWords(pointer: PageState["pointer"]): string {
  if (pointer === null) return "A click on the picture gives it to a game that wants its motion.";
  return pointer.unadjusted
    ? "Unadjusted: the game has its motion as your hand makes it, without the system's acceleration."
    : "The game has its motion with the system's acceleration: this browser cannot leave it out.";
}

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
