// Versions as entity tags (RFC 9110, 8.8 and 13.1): `"7"` is version 7. What is not of that form matches nothing.
import { Problem } from "../contracts/problems.js";

/** The versions a write is meant for; null: any, or the header was not sent. */
export type ExpectedVersions = readonly number[] | null;

export const etagOf = (version: number): string => `"${version}"`;

const tag = /^(W\/)?"([\x21\x23-\x7e]*)"$/;

/** @throws Problem invalid-request when it is not a list of entity tags */
export function parseIfMatch(header: string | undefined): ExpectedVersions {
  const tags = parseTags("If-Match", header);
  // Strong comparison: a weak tag says too little to write by.
  return tags === "any" ? null : tags.flatMap(({ weak, version }) => (weak || version === null ? [] : [version]));
}

/** Whether the reader has this version already. @throws Problem invalid-request */
export function isKnown(header: string | undefined, version: number): boolean {
  if (header === undefined) return false;
  const tags = parseTags("If-None-Match", header);
  return tags === "any" || tags.some((known) => known.version === version);
}

/** Call it under the row's lock, before any change. @throws Problem stale-version */
export function expectVersion(version: number, expected: ExpectedVersions): void {
  if (expected === null || expected.includes(version)) return;
  throw new Problem("stale-version", `It is at version ${version} now: read it again before you change it.`);
}

function parseTags(name: string, header: string | undefined): "any" | { weak: boolean; version: number | null }[] {
  if (header === undefined || header.trim() === "*") return "any";
  return header.split(",").map((part) => {
    const match = tag.exec(part.trim());
    if (match === null)
      throw new Problem("invalid-request", `${name} is not a list of entity tags.`, {
        errors: [{ field: name, message: 'must be entity tags like "7", or *' }],
      });
    const text = match[2]!;
    return { weak: match[1] !== undefined, version: /^\d{1,15}$/.test(text) ? Number(text) : null };
  });
}
