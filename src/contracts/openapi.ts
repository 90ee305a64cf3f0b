// The OpenAPI 3.1 document, made from the routes and their zod schemas: it cannot say anything the servers do not do.
import * as z from "zod";
import { problemDocument, problemTypes } from "./problems.js";
import type { Route } from "./route.js";

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

/** JSON Schema 2020-12, the dialect of OpenAPI 3.1. `io`: what a client sends (input) or gets (output). */
const schemaOf = (schema: z.ZodType, io: "input" | "output"): Json => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: "draft-2020-12", io, unrepresentable: "any" });
  return rest;
};

const parametersOf = (schema: z.ZodObject | undefined, where: "path" | "query"): Json[] =>
  Object.entries(schema?.shape ?? {}).map(([name, field]) => ({
    name,
    in: where,
    required: where === "path" || !(field as z.ZodType).safeParse(undefined).success,
    schema: schemaOf(field as z.ZodType, "input"),
  }));

function operationOf(route: Route): Json {
  const open = route.callers.includes("anyone");
  const content = route.path.endsWith("/events") ? "text/event-stream" : "application/json";
  const responses = Object.entries(route.responses).map(([status, { description, schema }]) => [
    status,
    { description, content: { [content]: { schema: schemaOf(schema, "output") } } },
  ]);
  const schemes = new Set(route.callers.flatMap((caller) => (caller === "anyone" ? [] : [securityOf[caller]])));
  return {
    operationId: route.operationId,
    tags: [route.tag],
    summary: route.summary,
    description: open ? "No credential needed." : `For: ${route.callers.join(", ")}.`,
    parameters: [...parametersOf(route.params, "path"), ...parametersOf(route.query, "query")],
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: !route.body.safeParse(undefined).success,
            content: { "application/json": { schema: schemaOf(route.body, "input") } },
          },
        }),
    responses: { ...Object.fromEntries(responses), default: { $ref: "#/components/responses/Problem" } },
    security: open ? [] : [...schemes].map((scheme) => ({ [scheme]: [] })),
  };
}

/** The whole document; `version` is the package's. */
export function openApiDocument(routes: readonly Route[], version: string): Json {
  const paths: Record<string, Json> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
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
      responses: {
        Problem: {
          description: "An RFC 9457 problem document",
          content: { "application/problem+json": { schema: schemaOf(problemDocument, "output") } },
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
