// A provider without machines, for trying out fleets: its VMs take their time, fail as often as they are told to, carry
// API sessions, and stream nothing. No agent runs on them, so this provider itself says when they are ready.
//
// Its machines are rows (simulated-store.ts), so `list` tells the truth after a restart and to every replica.
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import { CapacityError, type Instance, type LaunchSpec, type Provider, ProviderError } from "./provider.js";
import type { SimulatedConfig } from "./simulated-config.js";
import type { SimulatedInstances } from "./simulated-store.js";

const idleMsMax = 1_000;

export class SimulatedProvider implements Provider {
  readonly listLagMsMax = 0;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<() => void>();
  #wake = new AbortController();
  readonly #loop: Promise<void>;

  constructor(
    private readonly deps: {
      config: SimulatedConfig;
      instances: SimulatedInstances;
      /** Marks the VM READY; `early`: it is not BOOTING yet, ask again. */
      becomeReady: (vmId: string) => Promise<"done" | "early">;
      clock: Clock;
      random: () => number;
      log: Log;
    },
  ) {
    this.#loop = this.#run();
  }

  async launch({ vmId }: LaunchSpec): Promise<void> {
    const { config, instances, random, clock } = this.deps;
    if ((await instances.count()) >= config.instancesMax)
      throw new CapacityError(`The simulated cloud has its ${config.instancesMax} instances already.`, "provider");
    if (random() < config.capacityErrorShare) throw new CapacityError("The simulated cloud is full there.", "place");
    if (random() < config.launchErrorShare) throw new ProviderError("The simulated cloud failed.");
    const runningAt = new Date(clock.now() + config.provisioningMs);
    const boots = random() >= config.bootFailureShare;
    await instances.add(vmId, runningAt, boots ? new Date(runningAt.getTime() + config.bootMs) : null);
    this.#wake.abort();
  }

  /** As when a cloud takes a machine back. */
  async lose(vmId: string): Promise<void> {
    await this.deps.instances.remove(vmId);
    for (const listener of this.#listeners) listener();
  }

  async terminate(vmId: string): Promise<void> {
    await this.deps.instances.remove(vmId);
  }

  list(): Promise<Instance[]> {
    return this.deps.instances.list(new Date(this.deps.clock.now()));
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.deps;
    let waitMs = 0;
    while (!this.#stop.signal.aborted) {
      const expectsChange = waitMs < idleMsMax || this.#wake.signal.aborted;
      this.#wake = new AbortController();
      try {
        waitMs = await this.#announce(expectsChange);
      } catch (error) {
        waitMs = idleMsMax;
        log.warn({ err: error, at: clock.now() }, "the simulated provider could not look after its VMs");
      }
      const signal = AbortSignal.any([this.#stop.signal, this.#wake.signal]);
      await sleep(waitMs, undefined, { signal }).catch(() => undefined); // woken, or stopping
    }
  }

  /** Says which VMs are ready; answers when to look again, ms. Nobody is called while nothing changes. */
  async #announce(expectsChange: boolean): Promise<number> {
    const { instances, becomeReady, clock } = this.deps;
    const done: string[] = [];
    for (const vmId of await instances.due(new Date(clock.now())))
      if ((await becomeReady(vmId)) === "done") done.push(vmId);
    if (done.length > 0) await instances.markAnnounced(done);
    if (expectsChange || done.length > 0) for (const listener of this.#listeners) listener();
    const now = clock.now();
    const next = await instances.nextChangeAt(new Date(now));
    if (next === null) return idleMsMax;
    return Math.min(idleMsMax, Math.max(20, next.getTime() - now));
  }
}
