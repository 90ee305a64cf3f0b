import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
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
