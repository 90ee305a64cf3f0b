// The reconciler's shell: looks at the providers, then at the database, asks the core (reconcile.ts) and does what it
// says. Several replicas may run it at once: every action is applied only if the row still allows it.
//
// Agents are silent while we cannot hear them: before we started, while the database was away, while this machine slept.
// So silence counts from the last time that passes came regularly.
import type { ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import { Problem, type ProblemType } from "../../contracts/problems.js";
import { bootstrapPrefix } from "../../platform/auth.js";
import type { Clock } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import { hashKey } from "../../platform/secrets.js";
import type { FailureReason, FleetMeters } from "../metrics.js";
import type { HoldPolicy } from "../placement/capacity-hold.js";
import { CapacityError, type CapacityScope, type Provider, ProviderError } from "../providers/provider.js";
import type { HeardSince, NoCapacity, Vms } from "../store.js";
import {
  type Action,
  type Deadlines,
  launchRetryMs,
  lostCode,
  type Observed,
  questionable,
  reconcile,
  type VmRecord,
} from "./reconcile.js";

const bootstrapMs = 10 * 60_000;
/** Actions done at once: a provider's call may take seconds, the database has few connections. */
const actionsAtOnce = 16;

/** What an action that came too late is refused for. */
const fasterOnes: readonly ProblemType[] = ["illegal-transition", "not-found", "stale-version"];

export interface ProviderSite {
  readonly provider: Provider;
  readonly deadlines: Deadlines;
}

export interface ReconcilerDeps {
  readonly vms: Vms;
  readonly sites: ReadonlyMap<ProviderId, ProviderSite>;
  /** Every place the provider serves. */
  readonly placesOf: (provider: ProviderId) => { region: RegionId; templateId: TemplateId }[];
  readonly holdPolicy: HoldPolicy;
  /** Passes come regularly: after such a gap we were not there. */
  readonly passGapMsMax: number;
  /** 256 random bits as text. */
  readonly newToken: () => string;
  readonly meters: FleetMeters;
  readonly clock: Clock;
  readonly log: Log;
}

export class Reconciler {
  #listeningSinceMs: number;
  #passedAtMs: number;
  /** Machines without a row, as the last pass saw them: each is counted once. */
  #orphans: ReadonlySet<string> = new Set();

  constructor(private readonly deps: ReconcilerDeps) {
    this.#listeningSinceMs = deps.clock.now();
    this.#passedAtMs = this.#listeningSinceMs;
  }

  /** One look and what follows from it. A single action's failure is logged and left to the next pass. */
  async pass(): Promise<void> {
    const { vms, sites, clock, meters } = this.deps;
    const took = meters.timeReconcile();
    const listedAtMs = clock.now();
    if (listedAtMs - this.#passedAtMs > this.deps.passGapMsMax) this.#listeningSinceMs = listedAtMs;
    this.#passedAtMs = Number.NEGATIVE_INFINITY; // one that fails is a gap: agents were not heard either
    const observed = await Promise.all([...sites].map(([id, site]) => this.#observe(id, site, listedAtMs)));
    const survey = await vms.survey(this.#heardSince());
    const records = await vms.records(questionable(survey, observed));
    const actions = reconcile({
      survey,
      records,
      observed,
      listeningSinceMs: this.#listeningSinceMs,
      nowMs: clock.now(),
    });
    const queue = actions.values();
    const worker = async () => {
      for (const action of queue) await this.#apply(action);
    };
    await Promise.all(Array.from({ length: actionsAtOnce }, worker));
    this.#countOrphans(actions);
    this.#passedAtMs = clock.now();
    took();
  }

  #heardSince(): HeardSince {
    const nowMs = this.deps.clock.now();
    const leases = [...this.deps.sites].flatMap(
      ([
        id,
        {
          deadlines: { lease },
        },
      ]) => (lease === null ? [] : [[id, new Date(nowMs - lease.silentMsMax)] as const]),
    );
    return new Map(leases);
  }

  #countOrphans(actions: readonly Action[]): void {
    const orphans = actions.flatMap((action) => (action.kind === "destroy" && action.orphan ? [action] : []));
    for (const { vmId, provider } of orphans)
      if (!this.#orphans.has(vmId)) this.deps.meters.orphan(provider, "machine");
    for (const id of this.deps.sites.keys())
      this.deps.meters.orphanMachines(id, orphans.filter(({ provider }) => provider === id).length);
    this.#orphans = new Set(orphans.map(({ vmId }) => vmId));
  }

  async #observe(id: ProviderId, { provider, deadlines }: ProviderSite, listedAtMs: number): Promise<Observed> {
    const asOfMs = listedAtMs - provider.listLagMsMax;
    try {
      return { provider: id, deadlines, asOfMs, instances: await provider.list() };
    } catch (error) {
      this.deps.log.error({ err: error, provider: id }, "the provider does not say what it has");
      return { provider: id, deadlines, asOfMs, instances: null };
    }
  }

  async #apply(action: Action): Promise<void> {
    try {
      await this.#do(action);
    } catch (error) {
      // Somebody was faster; the next pass sees what is so.
      if (error instanceof Problem && fasterOnes.includes(error.type)) return;
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
        await this.#fail(action.vm, { code: action.code, message: action.message });
        if (action.code === lostCode) this.deps.meters.orphan(action.vm.provider, "row");
        return;
      case "terminate":
        await vms.terminate(action.vm.vmId, { reason: action.reason, force: true });
        return;
      case "destroy":
        return this.#destroy(action);
    }
  }

  async #launch(vm: VmRecord): Promise<void> {
    const { vms, clock } = this.deps;
    const bootstrapToken = `${bootstrapPrefix}${this.deps.newToken()}`;
    const nowMs = clock.now();
    const epoch = await vms.claimLaunch(vm.vmId, {
      bootstrapHash: hashKey(bootstrapToken),
      expiresAt: new Date(nowMs + bootstrapMs),
      claimedBefore: new Date(nowMs - launchRetryMs),
    });
    if (epoch === null) return;
    const { region, templateId } = await vms.get(vm.vmId);
    try {
      await this.#site(vm.provider).provider.launch({ vmId: vm.vmId, epoch, region, templateId, bootstrapToken });
    } catch (error) {
      if (error instanceof CapacityError)
        await this.#fail(
          vm,
          { code: "capacity-exhausted", message: error.message },
          this.#noCapacity(vm.provider, { region, templateId }, error.scope),
        );
      else if (error instanceof ProviderError) await this.#fail(vm, { code: "launch-failed", message: error.message });
      else throw error;
    }
  }

  async #fail(vm: VmRecord, error: { code: FailureReason; message: string }, noCapacity?: NoCapacity): Promise<void> {
    // As it was seen: it may have launched, become ready or been heard since.
    await this.deps.vms.fail(vm.vmId, error, { noCapacity, expected: [vm.version] });
    this.deps.meters.vmFailed(vm.provider, error.code);
  }

  async #destroy({ vmId, provider, gone }: Extract<Action, { kind: "destroy" }>): Promise<void> {
    await this.#site(provider).provider.terminate(vmId);
    if (gone) await this.deps.vms.markDestroyed(vmId);
    else this.deps.log.info({ vmId, provider }, "the provider's machine was ended");
  }

  #noCapacity(
    provider: ProviderId,
    place: { region: RegionId; templateId: TemplateId },
    scope: CapacityScope,
  ): NoCapacity {
    const places = scope === "provider" ? this.deps.placesOf(provider) : [place];
    return { scope, places, policy: this.deps.holdPolicy };
  }

  #site(provider: ProviderId): ProviderSite {
    const site = this.deps.sites.get(provider);
    if (site === undefined) throw new Error(`VMs of provider ${provider} exist, but it is not configured`);
    return site;
  }
}
