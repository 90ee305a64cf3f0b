// Prometheus metrics (prom-client): one registry a process. Names follow the Prometheus naming guide: base units, and
// `_total` only on counters, which is why Node's own `*_total` gauges are left out.
//
// A scrape answers whatever is broken: what must be asked for (of the database, above all) is asked once a scrape, for
// a few seconds at most, and when that fails its gauges are missing from the answer rather than wrong in it. What hangs
// is not asked for again beside itself: scrapes must not fill the pool that they report on.
import { type CollectFunction, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { platformRoutes } from "../contracts/routes.js";
import { type HttpServer, serve } from "./http.js";
import type { Log } from "./log.js";

export { Counter, Gauge, Histogram, Registry } from "prom-client";

/** Less than Prometheus waits for a scrape. */
const readMsMax = 3_000;

export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of ["handles", "requests", "resources"]) registry.removeSingleMetric(`nodejs_active_${name}_total`);
  return registry;
}

/**
 * Counts what happens thousands of times a second: a counter with labels hashes them at each `inc`, which took longer
 * than to relay a message. Its counter takes the sum at each scrape.
 */
export class Tally {
  #count = 0;

  add(): void {
    this.#count += 1;
  }

  /** What was added since it was taken last. */
  take(): number {
    const count = this.#count;
    this.#count = 0;
    return count;
  }
}

/** `/metrics` and `/healthz`, the same in every role, and the counts of all requests. Before other routes are mounted. */
export function mountHealth(server: HttpServer, registry: Registry): void {
  countRequests(server, registry);
  serve(server, platformRoutes.metrics, async ({ reply }) => {
    void reply.type(registry.contentType);
    return { status: 200, body: await registry.metrics() };
  });
  serve(server, platformRoutes.health, async () => ({ status: 200, body: { status: "ok" as const } }));
}

function countRequests({ app }: HttpServer, registry: Registry): void {
  const registers = [registry];
  const requests = new Counter({
    name: "hotseat_http_requests_total",
    help: "Answered API requests, by operation id and status",
    labelNames: ["operation", "status"],
    registers,
  });
  const seconds = new Histogram({
    name: "hotseat_http_request_seconds",
    help: "Time to answer an API request; feeds are not in it",
    labelNames: ["operation"],
    buckets: [0.005, 0.025, 0.1, 0.25, 1, 2.5, 10],
    registers,
  });
  app.addHook("onResponse", async ({ routeOptions: { url, config } }, reply) => {
    const { operationId: operation } = config;
    if (operation === undefined) return;
    requests.inc({ operation, status: reply.statusCode });
    if (!url?.endsWith("/events")) seconds.observe({ operation }, reply.elapsedTime / 1000);
  });
}

/** Gauges that show what one reading says: all of them are read once a scrape, and missing from it when that fails. */
export class ReadGauges<T> {
  readonly #read: () => Promise<T>;
  #reading: Promise<T | null> | null = null;
  #fails = false;

  /** `what`: in words, for the log. */
  constructor(private readonly from: { registry: Registry; what: string; read: () => Promise<T>; log: Log }) {
    this.#read = askedWithin(readMsMax, from.read);
  }

  add<L extends string>(
    config: { name: string; help: string; labelNames?: L[] },
    show: (gauge: Gauge<L>, reading: T) => void,
  ): void {
    const current = () => this.#current();
    const collect: CollectFunction<Gauge<L>> = async function () {
      const reading = await current();
      this.reset();
      if (config.labelNames === undefined) this.remove(); // a reset alone would show 0
      if (reading !== null) show(this, reading);
    };
    new Gauge<L>({ ...config, registers: [this.from.registry], collect });
  }

  #current(): Promise<T | null> {
    this.#reading ??= this.#readOrNull().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #readOrNull(): Promise<T | null> {
    const { what, log } = this.from;
    try {
      const reading = await this.#read();
      if (this.#fails) log.info(`${what} can be read again`);
      this.#fails = false;
      return reading;
    } catch (error) {
      if (!this.#fails) log.warn({ err: error }, `${what} could not be read: its metrics are missing as long`);
      this.#fails = true;
      return null;
    }
  }
}

/**
 * Asks, and waits so long. While an earlier question is still open it does not ask again.
 * @throws Error when there is no answer by then
 */
export function askedWithin<T>(msMax: number, ask: () => Promise<T>): () => Promise<T> {
  let open = false;
  return async () => {
    if (open) throw new Error("an earlier question is not answered yet");
    open = true;
    const answer = ask().finally(() => {
      open = false;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${msMax} ms`)), msMax);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  };
}
