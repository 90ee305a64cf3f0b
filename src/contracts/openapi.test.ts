import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import * as z from "zod";
import { openApiDocument } from "./openapi.js";
import { allRoutes } from "./routes.js";

const { version } = JSON.parse(readFileSync("package.json", "utf8"));

it("the committed openapi.json is what the routes say (else: npm run openapi)", () => {
  const committed = JSON.parse(readFileSync("openapi.json", "utf8"));
  expect(committed).toStrictEqual(JSON.parse(JSON.stringify(openApiDocument(allRoutes, version))));
});

it("has the seed's fifteen endpoints at the seed's paths", () => {
  const seed = readFileSync("test/seed-endpoints.txt", "utf8").trim().split("\n");
  const served = new Set(allRoutes.map(({ method, path }) => `${method} ${path}`));
  expect(seed).toHaveLength(15);
  expect(seed.filter((endpoint) => !served.has(endpoint))).toStrictEqual([]);
});

it("no two routes share an operation id or a method and path", () => {
  const ids = allRoutes.map((route) => route.operationId);
  const places = allRoutes.map(({ method, path }) => `${method} ${path}`);
  expect(new Set(ids).size).toBe(ids.length);
  expect(new Set(places).size).toBe(places.length);
});

it("every string a client may send has a form: none can carry what the database refuses", () => {
  const formless: string[] = [];
  const walk = (node: unknown, path: string) => {
    if (typeof node !== "object" || node === null) return;
    const { type, pattern, format } = node as { type?: string; pattern?: string; format?: string };
    if (type === "string" && !("enum" in node) && !("const" in node) && pattern === undefined && format === undefined)
      formless.push(path);
    for (const [name, child] of Object.entries(node)) walk(child, `${path}.${name}`);
  };
  for (const { operationId, body, query, params } of allRoutes)
    for (const schema of [body, query, params])
      if (schema !== undefined) walk(z.toJSONSchema(schema, { io: "input" }), operationId);
  expect(formless).toStrictEqual([]);
});
