// Asks for the key, where there is no cookie: what to open, and a field to paste into.
import { byId, el } from "./element.js";
import type { PageState } from "./page-state.js";

export class KeyView {
  readonly #section = byId("key", HTMLElement);
  readonly #title = el("h1", { id: "key-title" });
  readonly #text = el("p", { id: "key-text" });
  readonly #field = el("input", {
    id: "key-field",
    type: "password",
    required: true,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "hs_…",
    "aria-describedby": "key-text",
  });

  constructor(unlock: (key: string) => void) {
    const form = el(
      "form",
      { class: "key-form" },
      el("label", { for: "key-field" }, "Key"),
      el("div", { class: "key-row" }, this.#field, el("button", { class: "primary", type: "submit" }, "Open")),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      unlock(keyIn(this.#field.value));
      this.#field.value = "";
    });
    this.#section.append(this.#title, this.#text, form);
  }

  render({ phase, message }: PageState): void {
    if (phase !== "locked" || message === null) return;
    if (this.#title.textContent === message.title) return;
    this.#title.textContent = message.title;
    this.#text.textContent = message.text;
    this.#field.focus();
  }
}

/** The key in a link's fragment or in pasted text: people paste the whole link. */
export function keyIn(text: string): string {
  return /(?:^|[#&])key=([^&\s]+)/.exec(text)?.[1] ?? text.trim();
}
