import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { closeCodes } from "./signalling.js";

test("docs/protocol.md tells of every close code, and of no other", () => {
  const page = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");
  const section = page.split("\n## ").find((part) => part.startsWith("Close codes"))!;
  const told = [...section.matchAll(/^\| (\d{4}) /gm)].map(([, code]) => Number(code));
  expect(told).toEqual(Object.values(closeCodes).toSorted((a, b) => a - b));
});
