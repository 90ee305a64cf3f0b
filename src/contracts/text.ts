import * as z from "zod";

/**
 * A string that PostgreSQL can keep as text and jsonb: no U+0000, no half of a surrogate pair. Every free text on the
 * wire is one; ids and enumerations have narrower forms of their own.
 */
export const text = (charsMax: number, charsMin = 0) =>
  z
    .string()
    .min(charsMin)
    .max(charsMax)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the control character is what is refused
    .regex(/^[^\u0000\ud800-\udfff]*$/u, "has no U+0000 and no lone surrogates");
