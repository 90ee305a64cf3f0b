// The OpenAPI 3.1 document, made from the routes and their zod schemas: it cannot say anything the servers do not do.
import * as z from "zod";
import { problemDocument, problemTypes } from "./problems.js";
import { readAs } from "./read-as.js";
import { type Route, takesIdempotencyKey } from "./route.js";

type Json = Record<string, unknown>;

const securityOf = {
  operate: "apiKey",
  session: "apiKey",
  read: "apiKey",
  service: "apiKey",
  agent: "agentToken",
  bootstrap: "bootstrapToken",
  player: "ticket",
} as const;

type SchemaOf = (schema: z.ZodType, io: "input" | "output") => Json;

/**
 * JSON Schema 2020-12, the dialect of OpenAPI 3.1; `io`: what a client sends (input) or gets (output). Schemas that have
 * a name (`.meta({ id })`) are collected in `named` and referred to, so that generated clients have types of that name.
 */
const schemaWriter =
  (named: Record<string, Json>): SchemaOf =>
  (schema, io) => {
    const written = z.toJSONSchema(schema, { target: "draft-2020-12", io, unrepresentable: "any" });
    const { $schema: _, $defs = {}, ...rest } = refersToComponents(written);
    const own = typeof rest.id === "string" ? { [rest.id]: rest } : {};
    for (const [name, definition] of Object.entries({ ...($defs as Record<string, Json>), ...own })) {
      const { id: __, ...known } = definition;
      if (named[name] !== undefined && JSON.stringify(named[name]) !== JSON.stringify(known))
        throw new Error(`two schemas are named ${name}`);
      named[name] = known;
    }
    return typeof rest.id === "string" ? { $ref: `#/components/schemas/${rest.id}` } : rest;
  };

const refersToComponents = (schema: unknown): Json =>
  JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/'));

const parametersOf = (schema: z.ZodObject | undefined, where: "path" | "query", schemaOf: SchemaOf): Json[] =>
  Object.entries(schema?.shape ?? {}).map(([name, field]) => ({
    name,
    in: where,
    required: where === "path" || !readAs(field as z.ZodType, undefined).success,
    schema: schemaOf(field as z.ZodType, "input"),
  }));

const header = (name: string, description: string): Json => ({
  name,
  in: "header",
  required: false,
  description,
  schema: { type: "string" },
});

const requestHeaders = (route: Route): Json[] => [
  ...(takesIdempotencyKey(route)
    ? [
        header(
          "Idempotency-Key",
          "Up to 128 visible ASCII characters. For 24 h the same call with the same key is answered as the first time, with `Idempotency-Replayed: true`; another call with it is a 422, one while the first is under way a 409",
        ),
      ]
    : []),
  ...(route.versioned && route.method === "GET"
    ? [header("If-None-Match", "The ETag of an earlier answer: 304 while it still holds")]
    : []),
  ...(route.versioned && route.method !== "GET"
    ? [
        header(
          "If-Match",
          "The ETag of an earlier answer: 412 `stale-version` and nothing changed if it no longer holds",
        ),
      ]
    : []),
];

const responseHeaders = (route: Route): Json => {
  const headers = {
    ...(route.versioned
      ? { ETag: { description: 'The VM\'s version, quoted: `"7"`', schema: { type: "string" } } }
      : {}),
    ...(takesIdempotencyKey(route)
      ? { "Idempotency-Replayed": { description: "`true`: an earlier answer again", schema: { type: "string" } } }
      : {}),
  };
  return Object.keys(headers).length === 0 ? {} : { headers };
};

function operationOf(route: Route, schemaOf: SchemaOf): Json {
  const open = route.callers.includes("anyone");
  const content = route.path.endsWith("/events") ? "text/event-stream" : "application/json";
  const responses: [string, Json][] = Object.entries(route.responses).map(([status, { description, schema }]) => [
    status,
    { description, ...responseHeaders(route), content: { [content]: { schema: schemaOf(schema, "output") } } },
  ]);
  if (route.versioned && route.method === "GET") responses.push(["304", { description: "It has not changed" }]);
  const schemes = new Set(route.callers.flatMap((caller) => (caller === "anyone" ? [] : [securityOf[caller]])));
  return {
    operationId: route.operationId,
    tags: [route.tag],
    summary: route.summary,
    description: open ? "No credential needed." : `For: ${route.callers.join(", ")}.`,
    parameters: [
      ...parametersOf(route.params, "path", schemaOf),
      ...parametersOf(route.query, "query", schemaOf),
      ...requestHeaders(route),
    ],
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: !readAs(route.body, undefined).success,
            content: { "application/json": { schema: schemaOf(route.body, "input") } },
          },
        }),
    responses: { ...Object.fromEntries(responses), default: { $ref: "#/components/responses/Problem" } },
    security: open ? [] : [...schemes].map((scheme) => ({ [scheme]: [] })),
  };
}

/** The whole document; `version` is the package's. */
export function openApiDocument(routes: readonly Route[], version: string): Json {
  const schemas: Record<string, Json> = {};
  const schemaOf = schemaWriter(schemas);
  const problem = schemaOf(problemDocument, "output");
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route, schemaOf) };
  }
  const problems = Object.entries(problemTypes).map(
    ([name, { status, title }]) => `\`${name}\` (${status}): ${title}.`,
  );
  return {
    openapi: "3.1.0",
    info: {
      title: "Hotseat",
      version,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      description: `Self-hosted cloud gaming.\n\nErrors are RFC 9457 problem documents of type \`urn:hotseat:problem:<name>\`:\n\n${problems.map((line) => `- ${line}`).join("\n")}`,
    },
    paths,
    components: {
      schemas,
      responses: {
        Problem: {
          description: "An RFC 9457 problem document",
          content: { "application/problem+json": { schema: problem } },
        },
      },
      securitySchemes: {
        apiKey: {
          type: "http",
          scheme: "bearer",
          description: "An API key, hs_<scope>_…; pages use the cookie instead",
        },
        agentToken: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "An agent's 5-minute token" },
        bootstrapToken: { type: "http", scheme: "bearer", description: "A VM's single-use bootstrap token" },
        ticket: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "A player's ticket" },
      },
    },
  };
}
