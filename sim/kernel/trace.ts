// What happened, in order: a hash over all of it, and the last lines for whoever looks into a failure.
//
// The hash (cyrb53's two 32-bit lanes, by bryc; public domain) is the simulation's fingerprint: two runs of one seed
// that differ anywhere differ in it.

export class Trace {
  #low = 0xdeadbeef;
  #high = 0x41c6ce57;
  readonly #lines: string[] = [];
  #next = 0;

  /** `linesMax`: how many of the last lines are kept. `print`: also gets every line at once. */
  constructor(
    private readonly clock: { readonly nowMs: number },
    private readonly startMs: number,
    private readonly linesMax: number,
    private readonly print: ((line: string) => void) | null = null,
  ) {}

  add(what: string): void {
    const line = `${this.clock.nowMs - this.startMs} ${what}`;
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      this.#low = Math.imul(this.#low ^ code, 2_654_435_761);
      this.#high = Math.imul(this.#high ^ code, 1_597_334_677);
    }
    this.#lines[this.#next] = line;
    this.#next = (this.#next + 1) % this.linesMax;
    this.print?.(line);
  }

  get hash(): string {
    const word = (value: number) => (value >>> 0).toString(16).padStart(8, "0");
    return word(this.#high) + word(this.#low);
  }

  /** Oldest first. */
  last(): string[] {
    return [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)];
  }
}

const textMax = 48;
const itemsMax = 3;
const depthMax = 2;

/** In few words and always the same: what is deep or long is cut. */
export function describe(value: unknown, depth = 0): string {
  if (typeof value === "string") return value.length > textMax ? `${value.slice(0, textMax)}…` : value;
  if (typeof value !== "object" || value === null) return typeof value === "function" ? "ƒ" : String(value);
  if (value instanceof Date) return String(value.getTime());
  if (value instanceof Error) return `${value.name} ${value.message}`;
  if (value instanceof Map || value instanceof Set) return `(${value.size})`;
  if (Array.isArray(value)) {
    const shown = depth >= depthMax ? 0 : itemsMax;
    const items = value.slice(0, shown).map((item) => describe(item, depth + 1));
    return `[${items.join(", ")}${value.length > shown ? ` … ${value.length}` : ""}]`;
  }
  if (depth >= depthMax) return "{…}";
  const fields: string[] = [];
  for (const key in value) {
    const field = (value as Record<string, unknown>)[key];
    if (field !== undefined && field !== null) fields.push(`${key} ${describe(field, depth + 1)}`);
  }
  return `{${fields.join(", ")}}`;
}
