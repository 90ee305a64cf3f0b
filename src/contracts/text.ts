import * as z from "zod";
import { readAs } from "./read-as.js";

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

/** Text of whatever origin, as `text` takes it: what cannot be kept becomes U+FFFD, the rest is cut off. */
export const fitted = (given: string, charsMax: number): string =>
  given
    .slice(0, charsMax)
    .replaceAll("\u0000", "\ufffd")
    .replaceAll(/\p{Surrogate}/gu, "\ufffd");

/** A query parameter given once, several times, or with commas. */
export const anyOf = <V extends string>(one: z.ZodType<V>) =>
  z.union([text(200), z.array(text(200)).max(20)]).transform((given, context): V[] => {
    const values = [given].flat().flatMap((list) => list.split(","));
    const wrong = values.find((value) => !readAs(one, value).success);
    if (wrong === undefined) return values as V[];
    context.addIssue({ code: "custom", message: `"${wrong}" is not one of its values`, input: given });
    return z.NEVER;
  });
