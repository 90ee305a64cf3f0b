// Where the time goes between an input and its picture, over the game: by stage, with a verdict. Shown when asked for,
// by the bar's button or Ctrl + Shift + L; it takes no pointer, so that the game beneath stays playable.
import { type LatencyStage, latencyStages, type RecentLatency } from "../../contracts/latency.js";
import { byId, el, svg } from "./element.js";
import type { PageState } from "./page-state.js";
import { latencyFootnote, latencyWords, wordsForMs } from "./words.js";

/** A stage's bar is full at this; all of 720p60 takes about half of it. */
const barMs = 50;

export class LatencyView {
  readonly #section = byId("latency", HTMLElement);
  readonly #verdict = el("p", { class: "latency-verdict", "data-testid": "verdict" });
  readonly #rows = latencyStages.map((stage) => new StageRow(stage));
  readonly #table: HTMLTableElement;
  readonly #footnote = el("p", { class: "latency-footnote" });

  constructor() {
    const [first, ...others] = ["Milliseconds", "half", "95 %", "99 %"].map((text) => el("th", { scope: "col" }, text));
    const body = el("tbody", {}, ...this.#rows.map(({ row }) => row));
    this.#table = el("table", {}, el("thead", {}, el("tr", {}, first!, el("td"), ...others)), body);
    this.#section.append(el("h2", { id: "latency-title" }, "Latency"), this.#verdict, this.#table, this.#footnote);
  }

  render({ phase, stats, latencyAsked }: PageState): void {
    this.#section.hidden = !latencyAsked || phase !== "playing";
    if (this.#section.hidden) return;
    const latency = stats?.latency ?? null;
    this.#section.dataset.kind = stats?.verdict.kind ?? "not-measured";
    this.#verdict.textContent = stats === null ? "Measuring…" : asSentence(stats.verdict.detail);
    this.#table.hidden = latency === null;
    for (const row of this.#rows) row.draw(latency);
    this.#footnote.textContent = latency === null ? "" : latencyFootnote(latency);
  }
}

/** One line of the table: its bar is the median, its thinner part reaches to the 95th percentile. */
class StageRow {
  readonly row: HTMLTableRowElement;
  readonly #half = svg("rect", { class: "latency-half", y: 1, height: 6, rx: 1 });
  readonly #most = svg("rect", { class: "latency-most", y: 3, height: 2, rx: 1 });
  readonly #cells = ["p50", "p95", "p99"].map((name) => el("td", { "data-percentile": name }));

  constructor(private readonly stage: LatencyStage) {
    const bar = svg("svg", { viewBox: "0 0 60 8", "aria-hidden": "true" }, this.#most, this.#half);
    const name = el("th", { scope: "row" }, latencyWords[stage]);
    this.row = el("tr", { "data-stage": stage }, name, el("td", { class: "latency-bar" }, bar), ...this.#cells);
  }

  draw(latency: RecentLatency | null): void {
    const measured = latency?.stages[this.stage];
    const values = measured === undefined ? [] : [measured.p50, measured.p95, measured.p99];
    for (const [i, cell] of this.#cells.entries()) cell.textContent = wordsForMs(values[i] ?? null);
    this.#half.setAttribute("width", barWidth(measured?.p50));
    this.#most.setAttribute("width", barWidth(measured?.p95));
  }
}

const barWidth = (ms = 0) => String(Math.min(60, (ms / barMs) * 60));

const asSentence = (words: string) => `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
