// The help dialog: how to play this game, how to get out of it, what it runs at and why, what this browser leaves out.
//
// The figures change once a second while somebody reads: nothing is built again but what says something else, or focus,
// selection and a screen reader's place would be gone each time.
import type { GameSummary } from "../../contracts/catalog.js";
import { byId, el } from "./element.js";
import { browserFacts, featureNotes } from "./features.js";
import { icon } from "./icons.js";
import type { PageState } from "./page-state.js";
import { rumbleWanted } from "./rumble-setting.js";
import { wordsForMode, wordsForStats, wordsForWhy } from "./words.js";

export class HelpView {
  readonly #dialog = byId("help-dialog", HTMLDialogElement);
  readonly #controls = el("dl");
  readonly #page = el("dl");
  readonly #stream = el("dl");
  readonly #notes = el("ul");
  readonly #off = el("section", {}, el("h3", {}, "Off in this browser"), this.#notes);

  /** `closed`: the game is to have the keyboard again. */
  constructor({ closed, setRumble }: { closed: () => void; setRumble: (wanted: boolean) => void }) {
    const rumble = el("input", { type: "checkbox", id: "rumble-setting" });
    rumble.checked = rumbleWanted();
    rumble.addEventListener("change", () => setRumble(rumble.checked));
    const close = el(
      "button",
      { type: "button", class: "icon-button", "aria-label": "Close", onclick: () => this.#dialog.close() },
      icon("close"),
    );
    this.#dialog.append(
      el("div", { class: "help-head" }, el("h2", { id: "help-title" }, "How to play"), close),
      el(
        "div",
        { class: "help-body" },
        this.#controls,
        el("h3", {}, "This page"),
        this.#page,
        el("label", { class: "setting" }, rumble, "Let gamepads and phones vibrate"),
        el("h3", {}, "The stream"),
        this.#stream,
        this.#off,
      ),
    );
    this.#dialog.addEventListener("close", closed);
    this.#dialog.addEventListener("click", (event) => event.target === this.#dialog && this.#dialog.close());
  }

  get isOpen(): boolean {
    return this.#dialog.open;
  }

  open(state: PageState): void {
    if (this.#dialog.open) return;
    this.#dialog.showModal();
    this.#draw(state);
  }

  render(state: PageState): void {
    if (!this.#dialog.open) return;
    if (state.phase === "playing") this.#draw(state);
    else this.#dialog.close();
  }

  #draw(state: PageState): void {
    const notes = featureNotes(browserFacts());
    drawTexts(this.#controls, controlLines(state).flat(), ["dt", "dd"]);
    drawTexts(this.#page, pageLines(state).flat(), ["dt", "dd"]);
    drawTexts(this.#stream, streamLines(state).flat(), ["dt", "dd"]);
    drawTexts(this.#notes, notes, ["li"]);
    this.#off.hidden = notes.length === 0;
  }
}

/** `tags`: of the children, in turn. They are made anew only when there are more or fewer texts. */
function drawTexts(list: HTMLElement, texts: readonly string[], tags: readonly ("dt" | "dd" | "li")[]): void {
  if (list.children.length !== texts.length)
    list.replaceChildren(...texts.map((text, i) => el(tags[i % tags.length]!, {}, text)));
  for (const [i, child] of [...list.children].entries())
    if (child.textContent !== texts[i]) child.textContent = texts[i]!;
}

type Line = readonly [term: string, text: string];

const controlLines = ({ game }: PageState): Line[] => [
  ...touchLines(game),
  ...(game?.controls.map(({ input, text }) => [input, text] as const) ?? []),
];

function touchLines(game: GameSummary | null): Line[] {
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

const pageLines = ({ pointer, keyboardLocked }: PageState): Line[] => [
  keyboardLocked
    ? ["Esc", "The game has it, and the system's keys. Hold it to leave full screen."]
    : ["Esc", "Shows the bar, lets the mouse go, leaves full screen. The game gets it too."],
  [
    "Shift + Tab",
    "In the window: takes the keyboard out of the game, to the bar above it. In full screen the game gets it.",
  ],
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

function streamLines({ stream, stats, inputBy }: PageState): Line[] {
  if (stream === null) return [["Picture", "Not running yet"]];
  return [
    ["Picture", `${wordsForMode(stream.mode)}, H.264 by ${stream.encoder}`],
    ...(stream.why === null ? [] : [["Why so", wordsForWhy(stream)] as const]),
    ...(stats === null
      ? []
      : [["Now", `${wordsForStats(stats)}${stats.rttMs === null ? "" : " round trip"}`] as const]),
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
