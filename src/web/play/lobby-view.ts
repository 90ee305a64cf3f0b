// The games list: a card and a Play button each, the choice of quality and, where the server tells, of region.

import type { RegionCapacity } from "../../contracts/capacity.js";
import { type GameSummary, type RegionId, regionId, type VideoMode } from "../../contracts/catalog.js";
import { readAs } from "../../contracts/read-as.js";
import { artwork } from "./artwork.js";
import { byId, el } from "./element.js";
import { icon } from "./icons.js";
import type { PageState } from "./page-state.js";
import type { Choice } from "./session-flow.js";
import { presetWords, regionWords, wordsForMode, wordsForSeconds } from "./words.js";

const caps: readonly VideoMode[] = [
  { width: 1280, height: 720, fps: 60 },
  { width: 1280, height: 720, fps: 30 },
  { width: 960, height: 540, fps: 30 },
];
const qualityKey = "hotseat.quality";
const regionKey = "hotseat.region";

export class LobbyView {
  readonly #games = byId("games", HTMLUListElement);
  readonly #choices = byId("choices", HTMLFormElement);
  readonly #play: (game: GameSummary) => void;
  #drawn: readonly GameSummary[] | null = null;

  constructor(play: (game: GameSummary) => void) {
    this.#play = play;
    this.#choices.addEventListener("submit", (event) => event.preventDefault());
    this.#choices.addEventListener("change", () => this.#remember());
  }

  /** What is chosen beside the game. */
  get choice(): Choice {
    const chosen = new FormData(this.#choices);
    const region = readAs(regionId, chosen.get("region"));
    return {
      cap: caps.find((cap) => wordsForMode(cap) === chosen.get("quality")),
      region: region.success ? region.data : undefined,
    };
  }

  render({ games, regions }: PageState): void {
    if (games === this.#drawn) return;
    this.#drawn = games;
    this.#games.replaceChildren(...games.map((game) => this.#card(game)));
    this.#choices.replaceChildren(
      qualityChoice(localStorage.getItem(qualityKey)),
      ...(regions === null ? [] : [regionChoice(regions, localStorage.getItem(regionKey))]),
    );
  }

  #card(game: GameSummary): HTMLLIElement {
    const titleId = `title-${game.gameId}`;
    return el(
      "li",
      { class: "card", "data-game": game.gameId },
      el("div", { class: "card-art" }, artwork(game.gameId, "card")),
      el(
        "div",
        { class: "card-text" },
        el("p", { class: "eyebrow" }, `Up to ${presetWords[game.presetId]}`),
        el("h2", { id: titleId }, game.title),
        el("p", { class: "tagline" }, game.tagline),
        el("ul", { class: "inputs", "aria-label": "Played with" }, ...game.controls.map(inputLine)),
        el("div", { class: "play" }, this.#playOrWhyNot(game, titleId)),
      ),
    );
  }

  #playOrWhyNot(game: GameSummary, titleId: string): HTMLElement {
    if (game.unavailable !== null) return el("p", { class: "unavailable" }, `Not available here: ${game.unavailable}.`);
    return el(
      "button",
      {
        type: "button",
        class: "primary",
        "aria-describedby": titleId,
        "data-testid": `play-${game.gameId}`,
        onclick: () => this.#play(game),
      },
      icon("play"),
      "Play",
    );
  }

  #remember(): void {
    const chosen = new FormData(this.#choices);
    localStorage.setItem(qualityKey, String(chosen.get("quality")));
    if (chosen.has("region")) localStorage.setItem(regionKey, String(chosen.get("region")));
  }
}

const inputLine = ({ input, text }: GameSummary["controls"][number]) =>
  el("li", {}, el("span", { class: "input-name" }, input), ` ${text}`);

function qualityChoice(chosen: string | null): HTMLFieldSetElement {
  const known = caps.some((cap) => wordsForMode(cap) === chosen);
  const option = (value: string, label: string) => {
    const checked = value === (known ? chosen : "auto");
    return el("label", {}, el("input", { type: "radio", name: "quality", value, checked }), el("span", {}, label));
  };
  return el(
    "fieldset",
    { class: "segments", id: "quality" },
    el("legend", {}, "Picture"),
    option("auto", "Auto"),
    ...caps.map((cap) => option(wordsForMode(cap), wordsForMode(cap))),
  );
}

function regionChoice(regions: readonly RegionCapacity[], chosen: string | null): HTMLLabelElement {
  const option = (value: string, label: string) => el("option", { value, selected: value === chosen }, label);
  return el(
    "label",
    { class: "select" },
    el("span", {}, "Region"),
    el(
      "select",
      { name: "region", id: "region" },
      option("auto", "Automatic"),
      ...regions.map((capacity) => option(capacity.region, regionLabel(capacity))),
    ),
  );
}

function regionLabel({ region, queueSeconds }: RegionCapacity): string {
  const wait =
    queueSeconds === null ? "" : queueSeconds === 0 ? " · free now" : ` · in about ${wordsForSeconds(queueSeconds)}`;
  return `${regionWords[region satisfies RegionId]}${wait}`;
}
