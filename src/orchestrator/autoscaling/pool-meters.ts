// What operators see of the warm pools, as this replica's last round found them.
import { Counter, Gauge, type Registry } from "../../platform/metrics.js";
import type { Place, PoolState } from "./scaling-plan.js";

type PlaceLabels = "region" | "template";

export class PoolMeters {
  readonly #scaled: Counter<"direction" | PlaceLabels>;
  readonly #freeSeats: Gauge<PlaceLabels>;
  readonly #wantedSeats: Gauge<PlaceLabels>;
  readonly #missingVms: Gauge<PlaceLabels>;

  constructor(registry: Registry) {
    const registers = [registry];
    const labelNames: PlaceLabels[] = ["region", "template"];
    this.#scaled = new Counter({
      name: "hotseat_pool_scaled_vms_total",
      help: "VMs the warm pools made (out) or drained (in)",
      labelNames: ["direction", ...labelNames],
      registers,
    });
    this.#freeSeats = new Gauge({
      name: "hotseat_pool_free_seats",
      help: "Seats for standard sessions that nobody has or waits for, those of VMs under way included",
      labelNames,
      registers,
    });
    this.#wantedSeats = new Gauge({
      name: "hotseat_pool_wanted_seats",
      help: "Free seats the pool's settings ask for",
      labelNames,
      registers,
    });
    this.#missingVms = new Gauge({
      name: "hotseat_pool_missing_vms",
      help: "VMs the pool lacks; it stays so where none may be made",
      labelNames,
      registers,
    });
  }

  found(pools: readonly PoolState[]): void {
    for (const gauge of [this.#freeSeats, this.#wantedSeats, this.#missingVms]) gauge.reset();
    for (const { freeSeats, wantedSeats, missingVms, ...place } of pools) {
      this.#freeSeats.set(labelsOf(place), freeSeats);
      this.#wantedSeats.set(labelsOf(place), wantedSeats);
      this.#missingVms.set(labelsOf(place), missingVms);
    }
  }

  scaled(direction: "out" | "in", place: Place): void {
    this.#scaled.inc({ direction, ...labelsOf(place) });
  }
}

const labelsOf = ({ region, templateId }: Place) => ({ region, template: templateId });
