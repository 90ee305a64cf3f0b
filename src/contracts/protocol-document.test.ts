import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { generatedPart, protocolSections } from "./protocol-document.js";
import { closeCodes, signallingLimits } from "./signalling.js";

const page = readFileSync("docs/protocol.md", "utf8");

it("docs/protocol.md says what the schemas say (else: npm run openapi)", () => {
  expect(generatedPart(page)?.trim()).toBe(protocolSections());
});

it("a page without the marks has no generated part", () => {
  expect(generatedPart("# Protocol")).toBeNull();
});

it("every message, limit and close code is told of, and every field of a message", () => {
  const sections = protocolSections();
  const named = ["hello", "offer", "bye", "report", "progress", "welcome", "ice-servers", "join", "refused", "session"];
  for (const name of named) expect(sections).toContain(`**\`${name}\`**`);
  for (const code of Object.values(closeCodes)) expect(sections).toContain(`| ${code} |`);
  for (const limit of Object.values(signallingLimits)) expect(sections).toContain(`| ${limit.toLocaleString("en")} |`);
  expect(sections).toContain("| `stream.mode.fps` | integer, 1–240 |");
  expect(sections).toContain("| `iceServers[].urls` | array of strings |");
  expect(sections).toContain("| `proof.jti` | string | Of a genuine ticket");
  expect(sections).toContain("| `message` | the message `offer` or the message `candidate` |");
  expect(sections).toContain("| `recent.jitterMs` | number, 0–60000 |");
  expect(sections).toContain("| 5–8 | u32 | rtpTimestamp |");
});
