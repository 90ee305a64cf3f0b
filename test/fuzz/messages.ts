// Bad messages: what a contract allows, with things done to it, and what no contract allows.
//
// Most of them come close: a garbage string is refused at the first byte, and tries nothing behind that. The seed decides
// everything; whoever uses it says it when something fails.
import fc from "fast-check";
import type * as z from "zod";
import { Random } from "../../sim/kernel/random.js";
import { signallingLimits } from "../../src/contracts/signalling.js";
import { type KnownValues, valuesOf } from "./values.js";

/** Of this run: `FUZZ_SEED` repeats one, otherwise it is another each time. */
export const fuzzSeed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
export const again = `FUZZ_SEED=${fuzzSeed}`;

export type Fuzzed = string | Uint8Array;
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** fast-check makes a stock of valid messages; changing them is too much work for it at 10,000 (1 ms each, measured). */
const stockSize = 80;

const strange: readonly Json[] = [
  ...[null, true, false, "", " ", 0, -1, 0.5, 1e308, 2 ** 53, [], {}, [[]], "\u0000", "\ud800", "%s%n", "../..", "𝕏"],
  { toString: 1, constructor: null, length: -1 },
  { length: { toString: 1 }, size: { toString: 1 } },
  { type: "hello" },
  "x".repeat(3_000),
];
const splinters = ["\u0000", "\ufeff", '"', "}", "\\u0000", "\\ud800", "\ud800", "e9", ",", "[", "\u202e", "\\"];
const noMessages = [
  ...["", "null", "0", "[]", "{}", '{"type":null}', '{"type":"__proto__"}', '{"__proto__":{"type":"bye"}}', "NaN"],
  ...['{"type":"hello","type":"bye"}', '{"constructor":{"prototype":{"type":"bye"}}}'],
];

export interface Attack {
  /** What the socket takes: most messages are nearly that. */
  readonly expected: z.ZodType;
  /** What other sockets take: said in the wrong place. */
  readonly others: readonly z.ZodType[];
  readonly known?: KnownValues;
  /** How many are as the contract has them: a socket that is closed at each message is never tried in earnest. */
  readonly validShare?: number;
}

/** Makes messages for one socket. */
export class Attacker {
  readonly #random: Random;
  readonly #expected: readonly Json[];
  readonly #others: readonly Json[];

  readonly #validShare: number;

  constructor({ expected, others, known, validShare = 0.1 }: Attack, seed = fuzzSeed) {
    this.#random = new Random(seed, "attacker");
    this.#validShare = validShare;
    const stock = (schema: z.ZodType) =>
      fc.sample(valuesOf(schema, known), { numRuns: stockSize, seed }).map((value) => value as Json);
    this.#expected = stock(expected);
    this.#others = others.flatMap(stock);
  }

  message(): Fuzzed {
    const random = this.#random;
    if (random.chance(this.#validShare)) return JSON.stringify(random.pick(this.#expected));
    const kind = random.next();
    if (kind < 0.6) return this.#mangled(this.#expected);
    if (kind < 0.78 && this.#others.length > 0) return this.#mangled(this.#others);
    if (kind < 0.8) return "x".repeat(signallingLimits.messageBytesMax + random.whole(1, 1_000));
    return this.#garbage();
  }

  messages(count: number): Fuzzed[] {
    return Array.from({ length: count }, () => this.message());
  }

  /** As the contract has it, or changed in up to three places; values, where no text is between the two ends. */
  value(): unknown {
    const random = this.#random;
    const message = structuredClone(random.pick(this.#expected));
    return Array.from({ length: random.whole(0, 3) }).reduce<Json>((changed) => this.#change(changed), message);
  }

  #mangled(stock: readonly Json[]): string {
    const random = this.#random;
    let message = structuredClone(random.pick(stock));
    if (random.chance(0.7)) for (let i = random.whole(1, 3); i > 0; i--) message = this.#change(message);
    const text = JSON.stringify(message);
    return random.chance(0.15) ? this.#changeText(text) : text;
  }

  /** One place of the message. */
  #change(message: Json): Json {
    const random = this.#random;
    const places = placesIn(message);
    if (places.length === 0) return this.#strange();
    const { parent, key } = random.pick(places);
    const old = parent[key]!;
    switch (random.pick(["drop", "replace", "replace", "add", "rename", "lengthen", "nest"] as const)) {
      case "drop":
        delete parent[key];
        break;
      case "replace":
        parent[key] = this.#strange();
        break;
      case "add":
        parent[`also ${key}`] = this.#strange();
        break;
      case "rename":
        delete parent[key];
        parent[key.toUpperCase()] = old;
        break;
      case "lengthen":
        parent[key] = typeof old === "string" ? old.padEnd(random.whole(65, 64_000), "long ") : [old, old];
        break;
      case "nest":
        parent[key] = structuredClone(message);
        break;
    }
    return message;
  }

  #strange(): Json {
    return structuredClone(this.#random.pick(strange));
  }

  /** Cut short, something put into it, or said twice. */
  #changeText(text: string): string {
    const random = this.#random;
    const at = random.whole(0, text.length);
    const how = random.pick(["cut", "insert", "twice"] as const);
    if (how === "twice") return text + text;
    return text.slice(0, at) + (how === "cut" ? "" : random.pick(splinters) + text.slice(at));
  }

  #garbage(): Fuzzed {
    const random = this.#random;
    const length = random.whole(0, 200);
    switch (random.pick(["bytes", "text", "deep", "half", "none"] as const)) {
      case "bytes":
        return Uint8Array.from({ length }, () => random.whole(0, 255));
      case "text":
        return String.fromCharCode(...Array.from({ length }, () => random.whole(0, 0x2fff)));
      case "deep":
        return "[".repeat(length * 100) + "]".repeat(length * 100);
      case "half":
        return '{"type":'.repeat(length * 20);
      case "none":
        return random.pick(noMessages);
    }
  }
}

interface Place {
  readonly parent: { [key: string]: Json };
  readonly key: string;
}

/** Each place in it that has a value; arrays by their numbers. */
const placesIn = (value: Json): Place[] =>
  typeof value !== "object" || value === null || value instanceof Uint8Array
    ? []
    : Object.entries(value).flatMap(([key, child]) => [{ parent: value as Place["parent"], key }, ...placesIn(child)]);
