// What operators see of this replica's own work: what it answered, how long that took, and whether its rounds come.
// What the fleet is, whoever made it so, is read at each scrape (fleet-gauges.ts).
import { type ProviderId, providerId } from "../contracts/catalog.js";
import type { Vm } from "../contracts/orchestrator.js";
import { Counter, Gauge, Histogram, type Registry } from "../platform/metrics.js";
import { isKept, type MetEta } from "./placement/eta.js";
import { failureCodes } from "./vm/reconcile.js";

const allocationOutcomes = ["assigned", "provisioning", "queued", "refused", "failed"] as const;
type AllocationOutcome = (typeof allocationOutcomes)[number];
/** Why a VM was given up; `reported`: its agent or an operator said so, in words of their own. */
const failureReasons = [...failureCodes, "launch-failed", "capacity-exhausted", "reported"] as const;
export type FailureReason = (typeof failureReasons)[number];
/** What is committed in batches: seats given, seats given back, sessions that join the queue. */
export type Batch = "seats" | "releases" | "queue";

export class FleetMeters {
  readonly #allocations: Counter<"outcome">;
  readonly #allocationSeconds: Histogram;
  readonly #batchSessions: Histogram<"batch">;
  readonly #rounds: Gauge<"work">;
  readonly #reconcileSeconds: Histogram;
  readonly #orphans: Counter<"provider" | "kind">;
  readonly #orphanMachines: Gauge<"provider">;
  readonly #vmFailures: Counter<"provider" | "reason">;
  readonly #vmReadySeconds: Histogram<"provider">;
  readonly #etaErrorSeconds: Histogram;
  readonly #etaKept: Counter<"kept">;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#allocations = new Counter({
      name: "hotseat_allocations_total",
      help: "Answers to assign requests, by what they got; refused: the caller's mistake or limit, failed: ours",
      labelNames: ["outcome"],
      registers,
    });
    this.#allocationSeconds = new Histogram({
      name: "hotseat_allocation_seconds",
      help: "Time to answer an assign request",
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
      registers,
    });
    this.#batchSessions = new Histogram({
      name: "hotseat_allocation_batch_sessions",
      help: "Sessions that shared a commit, by what it did for them",
      labelNames: ["batch"],
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
      registers,
    });
    this.#rounds = new Gauge({
      name: "hotseat_work_last_success_timestamp_seconds",
      help: "When a round of this repeated work last went well, in Unix time; before any did, when this process began",
      labelNames: ["work"],
      registers,
    });
    this.#reconcileSeconds = new Histogram({
      name: "hotseat_reconcile_seconds",
      help: "Duration of a reconciler pass",
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 15],
      registers,
    });
    this.#orphans = new Counter({
      name: "hotseat_orphans_total",
      help: "Disagreements with a provider; kind machine: one without a VM's row, kind row: a VM whose machine is gone",
      labelNames: ["provider", "kind"],
      registers,
    });
    this.#orphanMachines = new Gauge({
      name: "hotseat_orphan_machines",
      help: "Machines without a VM's row that the last reconciler pass saw and asked the provider to end",
      labelNames: ["provider"],
      registers,
    });
    this.#vmFailures = new Counter({
      name: "hotseat_vm_failures_total",
      help: "VMs given up, by why; reported: their agent or an operator said so",
      labelNames: ["provider", "reason"],
      registers,
    });
    this.#etaErrorSeconds = new Histogram({
      name: "hotseat_eta_error_seconds",
      help: "How much later than first told a session that waited got its seat; negative: sooner",
      buckets: [-600, -300, -120, -60, -30, -10, 0, 10, 30, 60, 120, 300, 600],
      registers,
    });
    this.#etaKept = new Counter({
      name: "hotseat_eta_kept_total",
      help: "Sessions that waited, by whether their seat came within 10 s, or a quarter of the time, of what was first told",
      labelNames: ["kept"],
      registers,
    });
    this.#vmReadySeconds = new Histogram({
      name: "hotseat_vm_ready_seconds",
      help: "From a VM's creation to READY",
      labelNames: ["provider"],
      buckets: [1, 2.5, 5, 10, 20, 40, 60, 90, 120, 180, 300],
      registers,
    });
    this.#startAtZero();
  }

  /** So that the first of a kind is seen as an increase. */
  #startAtZero(): void {
    for (const outcome of allocationOutcomes) this.#allocations.inc({ outcome }, 0);
    for (const kept of ["yes", "no"]) this.#etaKept.inc({ kept }, 0);
    for (const provider of providerId.options) {
      for (const kind of ["machine", "row"]) this.#orphans.inc({ provider, kind }, 0);
      for (const reason of failureReasons) this.#vmFailures.inc({ provider, reason }, 0);
    }
  }

  etaMet(eta: MetEta): void {
    this.#etaErrorSeconds.observe(eta.lateSeconds);
    this.#etaKept.inc({ kept: isKept(eta) ? "yes" : "no" });
  }

  allocated(outcome: AllocationOutcome, seconds: number): void {
    this.#allocations.inc({ outcome });
    this.#allocationSeconds.observe(seconds);
  }

  committed(batch: Batch, sessions: number): void {
    this.#batchSessions.observe({ batch }, sessions);
  }

  workGoesWell(work: string, atMs: number): void {
    this.#rounds.set({ work }, atMs / 1000);
  }

  /** Call what it returns when the pass is over. */
  timeReconcile(): () => void {
    return this.#reconcileSeconds.startTimer();
  }

  orphan(provider: ProviderId, kind: "machine" | "row"): void {
    this.#orphans.inc({ provider, kind });
  }

  orphanMachines(provider: ProviderId, machines: number): void {
    this.#orphanMachines.set({ provider }, machines);
  }

  vmFailed(provider: ProviderId, reason: FailureReason): void {
    this.#vmFailures.inc({ provider, reason });
  }

  vmReady({ provider, createdAt, readyAt }: Vm): void {
    if (readyAt !== null)
      this.#vmReadySeconds.observe({ provider }, (Date.parse(readyAt) - Date.parse(createdAt)) / 1000);
  }
}
