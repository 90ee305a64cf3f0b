// The simulated cloud: machines that exist whatever the database says of them.
//
// It keeps the provider port's contract, and behaves beside it as clouds do: lists that lag, machines made by calls that
// timed out, ends that were promised and did not come, capacity that runs out in a place or everywhere, throttling.
import type { ProviderId } from "../src/contracts/catalog.js";
import { placeKey } from "../src/orchestrator/placement/fleet.js";
import {
  CapacityError,
  type Instance,
  type LaunchSpec,
  type Provider,
  ProviderError,
} from "../src/orchestrator/providers/provider.js";
import type { Random } from "./kernel/random.js";
import type { Stage } from "./stage.js";
import type { Wire } from "./wire.js";

export interface Machine {
  /** The cloud's own name for it: two machines of one VM differ in it. */
  readonly id: string;
  readonly spec: LaunchSpec;
  readonly provider: ProviderId;
  readonly createdAtMs: number;
  readonly runningAtMs: number;
  endedAtMs: number | null;
  /** Until then it survives being ended. */
  undeadUntilMs: number;
}

interface Outage {
  readonly untilMs: number;
  /** Null: everything the provider has. */
  readonly place: string | null;
}

/** How long an ended machine may still be in a list. */
const listLagMsMax = 25_000;

export class Cloud {
  readonly #machines = new Map<string, Machine>();
  /** Ended ones that a lagging list may still show. */
  #ended: Machine[] = [];
  #outages: Outage[] = [];
  #throttledUntilMs = 0;
  readonly #listeners = new Set<() => void>();
  readonly #random: Random;
  #made = 0;

  constructor(
    private readonly stage: Stage,
    readonly provider: ProviderId,
    private readonly deps: {
      /** Machines of a template in a region. */
      readonly roomPerPlace: number;
      readonly launchMs: readonly [least: number, most: number];
      /** A call reaches the cloud: is what it asks for intended? */
      readonly onLaunch: (spec: LaunchSpec) => void;
      readonly onRunning: (machine: Machine) => void;
      readonly onEnded: (machine: Machine) => void;
    },
  ) {
    this.#random = stage.random(`cloud ${provider}`);
  }

  /** Every machine there is. */
  machines(): IterableIterator<Machine> {
    return this.#machines.values();
  }

  /** The port, as one life of a replica has it. */
  port(wire: Wire): Provider {
    const listeners = new Set<() => void>();
    const name = this.provider;
    return {
      listLagMsMax,
      launch: (spec) =>
        wire.call("provider", `${name}.launch`, [spec.vmId, spec.epoch], async () => this.#launch(spec)),
      terminate: (vmId) => wire.call("provider", `${name}.terminate`, [vmId], async () => this.#terminate(vmId)),
      list: () => wire.call("provider", `${name}.list`, [], async () => this.#list()),
      onChange: (listener) => {
        listeners.add(listener);
        this.#listeners.add(listener);
      },
      [Symbol.asyncDispose]: async () => {
        for (const listener of listeners) this.#listeners.delete(listener);
      },
    };
  }

  /** No room there for so long; `everywhere`: for nothing at all. */
  runOut(lastsMs: number, everywhere: boolean, place: string): void {
    this.#outages.push({ untilMs: this.stage.kernel.nowMs + lastsMs, place: everywhere ? null : place });
  }

  get isThrottled(): boolean {
    return this.stage.kernel.nowMs < this.#throttledUntilMs;
  }

  throttle(lastsMs: number): void {
    this.#throttledUntilMs = this.stage.kernel.nowMs + lastsMs;
  }

  /** The machine is gone at once, and nobody asked for it. */
  end(machine: Machine): void {
    if (machine.endedAtMs !== null) return;
    machine.endedAtMs = this.stage.kernel.nowMs;
    this.#machines.delete(machine.id);
    this.#ended = this.#ended.filter(({ endedAtMs }) => endedAtMs! > this.stage.kernel.nowMs - listLagMsMax);
    this.#ended.push(machine);
    this.stage.trace.add(`machine ${machine.id} of ${machine.spec.vmId} ended`);
    this.deps.onEnded(machine);
    this.#tell();
  }

  #launch(spec: LaunchSpec): void {
    const { faults, kernel } = this.stage;
    this.deps.onLaunch(spec);
    this.#checkThrottle();
    const own = [...this.#machines.values()].filter((machine) => machine.spec.vmId === spec.vmId);
    const twice = own.length === 1 && faults.strikes("double-launch", spec.vmId);
    if (own.length > 0 && !twice) return;
    const place = placeKey(spec.region, spec.templateId);
    const { nowMs } = kernel;
    this.#outages = this.#outages.filter(({ untilMs }) => untilMs > nowMs);
    const outage = this.#outages.find((out) => out.place === null || out.place === place);
    if (outage !== undefined) {
      faults.note("capacity-error", place);
      throw new CapacityError("there is no capacity", outage.place === null ? "provider" : "place");
    }
    const there = [...this.#machines.values()].filter(
      (machine) => placeKey(machine.spec.region, machine.spec.templateId) === place,
    );
    if (there.length >= this.deps.roomPerPlace) throw new CapacityError("the place is full", "place");
    if (faults.strikes("create-failed", spec.vmId)) throw new ProviderError("the cloud failed");
    this.#make(spec);
    // The first call's token goes to the first machine: the second call's to the second.
    if (faults.strikes("create-timed-out", spec.vmId)) throw new ProviderError("it timed out");
  }

  #make(spec: LaunchSpec): void {
    const { kernel, trace } = this.stage;
    const machine: Machine = {
      id: `${this.provider}-${++this.#made}`,
      spec,
      provider: this.provider,
      createdAtMs: kernel.nowMs,
      runningAtMs: kernel.nowMs + Math.round(this.#random.between(...this.deps.launchMs)),
      endedAtMs: null,
      undeadUntilMs: 0,
    };
    this.#machines.set(machine.id, machine);
    trace.add(`machine ${machine.id} made for ${spec.vmId} epoch ${spec.epoch}`);
    kernel.after(machine.runningAtMs - kernel.nowMs, () => {
      if (machine.endedAtMs !== null) return;
      this.deps.onRunning(machine);
      this.#tell();
    });
  }

  #terminate(vmId: string): void {
    this.#checkThrottle();
    for (const machine of [...this.#machines.values()]) {
      if (machine.spec.vmId !== vmId || machine.undeadUntilMs > this.stage.kernel.nowMs) continue;
      if (!this.stage.faults.strikes("delete-ignored", machine.id)) this.end(machine);
    }
  }

  #list(): Instance[] {
    const { faults, kernel } = this.stage;
    this.#checkThrottle();
    const lagMs = faults.strikes("stale-list", this.provider)
      ? faults.random("stale-list").between(1_000, listLagMsMax)
      : 0;
    const asOfMs = kernel.nowMs - lagMs;
    return [...this.#machines.values(), ...this.#ended]
      .filter(({ createdAtMs, endedAtMs }) => createdAtMs <= asOfMs && (endedAtMs === null || endedAtMs > asOfMs))
      .map(({ spec, runningAtMs }) => ({ vmId: spec.vmId, state: runningAtMs <= asOfMs ? "running" : "pending" }));
  }

  #checkThrottle(): void {
    if (!this.isThrottled) return;
    this.stage.faults.note("throttled", this.provider);
    throw new ProviderError("429: too many requests");
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
