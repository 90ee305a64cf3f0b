// Makes player.d.ts, what a page of an integrator's is type-checked by: src/player/api.ts with the types it imports
// written out from their schemas, so that one file says everything and nothing is said twice.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as z from "zod";

/** @param {string} dist where the contracts have been built to */
export async function playerTypes(root, dist) {
  const contract = (name) => import(pathToFileURL(join(dist, "contracts", name)).href);
  const names = ["session.js", "signalling.js", "input.js", "latency.js", "latency-verdict.js"];
  const [session, signalling, input, latency, verdict] = await Promise.all(names.map(contract));
  const schemas = {
    KeyCode: z.enum(input.keyCodes),
    EndReason: session.endReason,
    StreamUrls: session.streamUrls,
    Ticket: session.ticket,
    Progress: signalling.progress,
    StreamInfo: signalling.streamInfo,
    RecentLatency: latency.recentLatency,
    Verdict: verdict.verdict,
  };
  const api = readFileSync(join(root, "src/player/api.ts"), "utf8");
  const named = /^export type \{ (.*) \};\n/m.exec(api)[1].split(", ");
  const missing = named.filter((name) => !(name in schemas));
  if (missing.length > 0) throw new Error(`player-types.mjs has no schema for ${missing.join(", ")}`);
  return [
    "// Hotseat's player SDK, /assets/player.js.",
    ...named.map((name) => `export type ${name} = ${typeOf(z.toJSONSchema(schemas[name], { reused: "inline" }))};`),
    api.replace(/^(\/\/.*\n|import .*\n)+/, "").replace(/^export type \{.*\n/m, ""),
    "/** Starts at once; listeners added in the same task miss nothing. */",
    "export declare function connect(target: Target, options: PlayerOptions): Player;\n",
  ].join("\n");
}

/** TypeScript of as much of JSON Schema as the contracts use. */
function typeOf(schema, definitions = schema.$defs) {
  const inner = (part) => typeOf(part, definitions);
  if (schema.$ref !== undefined) return inner(definitions[schema.$ref.replace("#/$defs/", "")]);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf !== undefined) return schema.anyOf.map(inner).join(" | ");
  if (schema.type === "array") return `ReadonlyArray<${inner(schema.items)}>`;
  if (schema.type === "integer") return "number";
  if (Array.isArray(schema.type)) return schema.type.join(" | ");
  if (["string", "number", "boolean", "null"].includes(schema.type)) return schema.type;
  if (schema.type !== "object") throw new Error(`no TypeScript for ${JSON.stringify(schema)}`);
  if (schema.propertyNames !== undefined) {
    const named = inner(schema.propertyNames);
    return `{ readonly [Name in ${named}]?: ${inner(schema.additionalProperties)} }`;
  }
  const required = new Set(schema.required);
  const fields = Object.entries(schema.properties).map(
    ([name, field]) => `readonly ${name}${required.has(name) ? "" : "?"}: ${inner(field)}`,
  );
  return `{ ${fields.join("; ")} }`;
}
