// The reconciler's shell: looks at the providers, then at the database, asks the core (reconcile.ts) and does what it
// says. Several replicas may run it at once: every action is applied only if the row still allows it.
import { randomBytes } from "node:crypto";
import type { ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import { Problem } from "../../contracts/problems.js";
import { bootstrapPrefix } from "../../platform/auth.js";
import type { Clock } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import { hashKey } from "../../platform/secrets.js";
import type { FleetMeters } from "../metrics.js";
import { CapacityError, type CapacityScope, type Provider, ProviderError } from "../providers/provider.js";
import { type Action, type Deadlines, launchRetryMs, type Observed, reconcile, type VmRecord } from "./reconcile.js";
import type { CapacityHold, VmStore } from "./vm-store.js";

const bootstrapMs = 10 * 60_000;
/** Actions done at once: a provider's call may take seconds, the database has few connections. */
const actionsAtOnce = 16;

export interface ProviderSite {
  readonly provider: Provider;
  readonly deadlines: Deadlines;
}

export interface ReconcilerDeps {
  readonly vms: VmStore;
  readonly sites: ReadonlyMap<ProviderId, ProviderSite>;
  /** Every place the provider serves. */
  readonly placesOf: (provider: ProviderId) => { region: RegionId; templateId: TemplateId }[];
  readonly capacityHoldMs: number;
  readonly meters: FleetMeters;
  readonly clock: Clock;
  readonly log: Log;
}

export class Reconciler {
  readonly #listeningSinceMs: number;

  constructor(private readonly deps: ReconcilerDeps) {
    this.#listeningSinceMs = deps.clock.now();
  }

  /** One look and what follows from it. A single action's failure is logged and left to the next pass. */
  async pass(): Promise<void> {
    const { vms, sites, clock, meters } = this.deps;
    const took = meters.timeReconcile();
    const listedAtMs = clock.now();
    const observed = await Promise.all([...sites].map(([id, site]) => this.#observe(id, site)));
    const actions = reconcile({
      records: await vms.records(),
      observed,
      listedAtMs,
      listeningSinceMs: this.#listeningSinceMs,
      nowMs: clock.now(),
    });
    const queue = actions.values();
    const worker = async () => {
      for (const action of queue) await this.#apply(action);
    };
    await Promise.all(Array.from({ length: actionsAtOnce }, worker));
    took();
  }

  async #observe(id: ProviderId, { provider, deadlines }: ProviderSite): Promise<Observed> {
    try {
      return { provider: id, deadlines, instances: await provider.list() };
    } catch (error) {
      this.deps.meters.providerError(id, "list");
      this.deps.log.error({ err: error, provider: id }, "the provider does not say what it has");
      return { provider: id, deadlines, instances: null };
    }
  }

  async #apply(action: Action): Promise<void> {
    try {
      await this.#do(action);
    } catch (error) {
      // Somebody was faster; the next pass sees what is so.
      if (error instanceof Problem && (error.type === "illegal-transition" || error.type === "not-found")) return;
      this.deps.log.error({ err: error, action: action.kind }, "the reconciler could not act: it tries again");
    }
  }

  async #do(action: Action): Promise<void> {
    const { vms, log, clock } = this.deps;
    switch (action.kind) {
      case "launch":
        return this.#launch(action.vm);
      case "launched":
        return vms.markLaunched(action.vm.vmId);
      case "unreachable": {
        const { lease } = this.#site(action.vm.provider).deadlines;
        return vms.markUnreachable(action.vm.vmId, new Date(clock.now() - (lease?.silentMsMax ?? 0)));
      }
      case "fail":
        log.warn({ vmId: action.vm.vmId, code: action.code }, action.message);
        await vms.fail(action.vm.vmId, { code: action.code, message: action.message });
        return;
      case "terminate":
        await vms.terminate(action.vm.vmId, { reason: action.reason, force: true });
        return;
      case "destroy":
        return this.#destroy(action);
    }
  }

  async #launch(vm: VmRecord): Promise<void> {
    const { vms, clock, meters } = this.deps;
    const bootstrapToken = `${bootstrapPrefix}${randomBytes(32).toString("base64url")}`;
    const nowMs = clock.now();
    const claimed = await vms.claimLaunch(vm.vmId, {
      bootstrapHash: hashKey(bootstrapToken),
      expiresAt: new Date(nowMs + bootstrapMs),
      claimedBefore: new Date(nowMs - launchRetryMs),
    });
    if (!claimed) return;
    const { region, templateId } = await vms.get(vm.vmId);
    try {
      await this.#site(vm.provider).provider.launch({ vmId: vm.vmId, region, templateId, bootstrapToken });
    } catch (error) {
      meters.providerError(vm.provider, error instanceof CapacityError ? "capacity" : "launch");
      if (error instanceof CapacityError)
        await vms.fail(
          vm.vmId,
          { code: "capacity-exhausted", message: error.message },
          { holds: this.#holds(vm.provider, { region, templateId }, error.scope) },
        );
      else if (error instanceof ProviderError)
        await vms.fail(vm.vmId, { code: "launch-failed", message: error.message });
      else throw error;
    }
  }

  async #destroy({ vmId, provider, gone }: Extract<Action, { kind: "destroy" }>): Promise<void> {
    try {
      await this.#site(provider).provider.terminate(vmId);
    } catch (error) {
      this.deps.meters.providerError(provider, "terminate");
      throw error;
    }
    if (gone) await this.deps.vms.markDestroyed(vmId);
    else this.deps.log.info({ vmId, provider }, "the provider's machine was ended");
  }

  #holds(
    provider: ProviderId,
    place: { region: RegionId; templateId: TemplateId },
    scope: CapacityScope,
  ): CapacityHold[] {
    const until = new Date(this.deps.clock.now() + this.deps.capacityHoldMs);
    const places = scope === "provider" ? this.deps.placesOf(provider) : [place];
    return places.map((held) => ({ ...held, until }));
  }

  #site(provider: ProviderId): ProviderSite {
    const site = this.deps.sites.get(provider);
    if (site === undefined) throw new Error(`VMs of provider ${provider} exist, but it is not configured`);
    return site;
  }
}
