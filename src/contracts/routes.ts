// Every HTTP route of Hotseat, by operation id.
import * as z from "zod";
import { agentRoutes } from "./agents.js";
import { orchestratorRoutes } from "./orchestrator.js";
import { type Route, route } from "./route.js";
import { sessionRoutes } from "./session.js";
import { streamingRoutes } from "./streaming.js";
import { text } from "./text.js";

export const platformRoutes = {
  metrics: route({
    method: "GET",
    path: "/metrics",
    operationId: "prometheusMetrics",
    tag: "platform",
    summary: "Metrics in the Prometheus text format",
    callers: ["operate", "read"],
    responses: { 200: { description: "text/plain; version=0.0.4", schema: z.string() } },
  }),
  health: route({
    method: "GET",
    path: "/healthz",
    operationId: "health",
    tag: "platform",
    summary: "Whether this process serves requests",
    callers: ["anyone"],
    responses: { 200: { description: "It does", schema: z.object({ status: z.literal("ok") }) } },
  }),
  cookie: route({
    method: "POST",
    path: "/auth/cookie",
    operationId: "exchangeKey",
    tag: "platform",
    summary: "Trade an API key for an HttpOnly cookie, for pages",
    callers: ["anyone"],
    body: z.strictObject({ key: text(200) }),
    responses: {
      200: { description: "The cookie is set", schema: z.object({ scope: z.string(), tenant: z.string() }) },
    },
  }),
} as const;

export const allRoutes: readonly Route[] = [
  ...Object.values(orchestratorRoutes),
  ...Object.values(agentRoutes),
  ...Object.values(sessionRoutes),
  ...Object.values(streamingRoutes),
  ...Object.values(platformRoutes),
];
