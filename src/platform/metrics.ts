// Prometheus metrics (prom-client): one registry a process. Names follow the Prometheus naming guide: base units, and
// `_total` only on counters, which is why Node's own `*_total` gauges are left out.
import { collectDefaultMetrics, Registry } from "prom-client";
import { platformRoutes } from "../contracts/routes.js";
import { type HttpServer, serve } from "./http.js";

export { Counter, Gauge, Histogram, Registry } from "prom-client";

export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of ["handles", "requests", "resources"]) registry.removeSingleMetric(`nodejs_active_${name}_total`);
  return registry;
}

/** `/metrics` and `/healthz`, the same in every role. */
export function mountHealth(server: HttpServer, registry: Registry): void {
  serve(server, platformRoutes.metrics, async ({ reply }) => {
    void reply.type(registry.contentType);
    return { status: 200, body: await registry.metrics() };
  });
  serve(server, platformRoutes.health, async () => ({ status: 200, body: { status: "ok" as const } }));
}
