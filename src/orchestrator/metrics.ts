// What operators see of the fleet: Prometheus metrics, and the seed's line in the log.
import type { ProviderId } from "../contracts/catalog.js";
import { Counter, Gauge, Histogram, type Registry } from "../platform/metrics.js";
import { sumSeats } from "./placement/capacity.js";
import type { Fleet, FleetVm } from "./placement/fleet.js";

export class FleetMeters {
  readonly #allocations: Counter<"outcome">;
  readonly #allocationSeconds: Histogram;
  readonly #reconcileSeconds: Histogram;
  readonly #providerErrors: Counter<"provider" | "kind">;
  readonly #orphans: Counter<"provider" | "kind">;

  /** `read`: the fleet and the length of the queue, asked for at every scrape. */
  constructor(registry: Registry, read: () => Promise<{ fleet: Fleet; waiting: number }>) {
    const registers = [registry];
    this.#allocations = new Counter({
      name: "hotseat_allocations_total",
      help: "Answers to assign requests, by what they got",
      labelNames: ["outcome"],
      registers,
    });
    this.#allocationSeconds = new Histogram({
      name: "hotseat_allocation_seconds",
      help: "Time to answer an assign request",
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
      registers,
    });
    this.#reconcileSeconds = new Histogram({
      name: "hotseat_reconcile_seconds",
      help: "Duration of a reconciler pass",
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 15],
      registers,
    });
    this.#providerErrors = new Counter({
      name: "hotseat_provider_errors_total",
      help: "Failed calls to providers; kind capacity: it had no room",
      labelNames: ["provider", "kind"],
      registers,
    });
    this.#orphans = new Counter({
      name: "hotseat_orphans_total",
      help: "Disagreements with a provider; kind machine: one without a VM's row, kind row: a VM whose machine is gone",
      labelNames: ["provider", "kind"],
      registers,
    });
    // One reading serves all gauges of a scrape.
    let reading: ReturnType<typeof read> | null = null;
    const current = () =>
      (reading ??= read().finally(() => {
        reading = null;
      }));
    new Gauge({
      name: "hotseat_vms",
      help: "VMs that are neither TEMPLATE nor TERMINATED",
      labelNames: ["status", "region", "template", "provider"],
      registers,
      async collect() {
        const { fleet } = await current();
        this.reset();
        for (const vm of fleet.vms) this.inc(labelsOf(vm));
      },
    });
    new Gauge({
      name: "hotseat_capacity_breakers",
      help: "Places whose provider lately had no capacity; state open: not asked, half-open: asked for one VM at a time",
      labelNames: ["state"],
      registers,
      async collect() {
        const { fleet } = await current();
        this.set({ state: "open" }, fleet.held.size);
        this.set({ state: "half-open" }, fleet.halfOpen.size);
      },
    });
    new Gauge({
      name: "hotseat_seat_units",
      help: "Seat units (60 a VM) of the fleet, used and free",
      labelNames: ["use"],
      registers,
      async collect() {
        const { units } = sumSeats((await current()).fleet.vms);
        this.set({ use: "used" }, units.used);
        this.set({ use: "free" }, units.free);
      },
    });
    new Gauge({
      name: "hotseat_waiting_sessions",
      help: "Sessions in the queue",
      registers,
      async collect() {
        this.set((await current()).waiting);
      },
    });
  }

  allocated(outcome: "assigned" | "provisioning" | "queued" | "refused", seconds: number): void {
    this.#allocations.inc({ outcome });
    this.#allocationSeconds.observe(seconds);
  }

  /** Call what it returns when the pass is over. */
  timeReconcile(): () => void {
    return this.#reconcileSeconds.startTimer();
  }

  orphan(provider: ProviderId, kind: "machine" | "row"): void {
    this.#orphans.inc({ provider, kind });
  }

  providerError(provider: ProviderId, kind: "list" | "launch" | "terminate" | "capacity"): void {
    this.#providerErrors.inc({ provider, kind });
  }
}

const labelsOf = ({ status, region, templateId, provider }: FleetVm) => ({
  status,
  region,
  template: templateId,
  provider,
});
