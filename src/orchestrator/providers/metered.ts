// A provider whose calls are counted, timed and told apart by how they ended.
import type { ProviderId } from "../../contracts/catalog.js";
import { Counter, Histogram, type Registry } from "../../platform/metrics.js";
import { CapacityError, type Provider, ProviderError } from "./provider.js";

const verbs = ["launch", "terminate", "list"] as const;
const results = ["ok", "no-capacity", "failed", "unexpected"] as const;

export class ProviderMeters {
  readonly #calls: Counter<"provider" | "verb" | "result">;
  readonly #seconds: Histogram<"provider" | "verb">;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#calls = new Counter({
      name: "hotseat_provider_calls_total",
      help: "Calls to providers; failed: the provider's own error, unexpected: one its driver does not know",
      labelNames: ["provider", "verb", "result"],
      registers,
    });
    this.#seconds = new Histogram({
      name: "hotseat_provider_call_seconds",
      help: "Duration of calls to providers",
      labelNames: ["provider", "verb"],
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    });
  }

  /** The same provider, metered. */
  meter(id: ProviderId, provider: Provider): Provider {
    for (const verb of verbs) for (const result of results) this.#calls.inc({ provider: id, verb, result }, 0);
    const metered = async <T>(verb: (typeof verbs)[number], call: Promise<T>): Promise<T> => {
      const took = this.#seconds.startTimer({ provider: id, verb });
      try {
        const answer = await call;
        this.#calls.inc({ provider: id, verb, result: "ok" });
        return answer;
      } catch (error) {
        this.#calls.inc({ provider: id, verb, result: resultOf(error) });
        throw error;
      } finally {
        took();
      }
    };
    return {
      listLagMsMax: provider.listLagMsMax,
      launch: (spec) => metered("launch", provider.launch(spec)),
      terminate: (vmId) => metered("terminate", provider.terminate(vmId)),
      list: () => metered("list", provider.list()),
      onChange: (listener) => provider.onChange(listener),
      [Symbol.asyncDispose]: () => provider[Symbol.asyncDispose](),
    };
  }
}

function resultOf(error: unknown): (typeof results)[number] {
  if (error instanceof CapacityError) return "no-capacity";
  return error instanceof ProviderError ? "failed" : "unexpected";
}
