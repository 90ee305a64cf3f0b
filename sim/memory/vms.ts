// VMs in memory: the port's verbs as vm/vm-store.ts does them in SQL.
import type { Capabilities, ProviderId } from "../../src/contracts/catalog.js";
import type { Vm } from "../../src/contracts/orchestrator.js";
import { type NewEvent, vmEventOf } from "../../src/orchestrator/events/outbox-store.js";
import { holdAfter } from "../../src/orchestrator/placement/capacity-hold.js";
import { launchKey, placeKey } from "../../src/orchestrator/placement/fleet.js";
import { Growth, type GrowthRules } from "../../src/orchestrator/placement/growth.js";
import { unitsPerVm } from "../../src/orchestrator/placement/seats.js";
import type { NewVm } from "../../src/orchestrator/placement/waiting.js";
import { hasSessions, noRoomToGrow } from "../../src/orchestrator/refusals.js";
import type {
  HeardSince,
  LaunchClaim,
  NoCapacity,
  StoreSettings,
  VmPage,
  VmPageQuery,
  Vms,
} from "../../src/orchestrator/store.js";
import { pageCursor, parsePageCursor } from "../../src/orchestrator/vm/page-cursor.js";
import { isSettled, type Survey, type VmRecord } from "../../src/orchestrator/vm/reconcile.js";
import { placeOf } from "../../src/orchestrator/vm/vm-rows-store.js";
import { sessionReleased } from "../../src/orchestrator/vm/vm-store.js";
import type { ExpectedVersions } from "../../src/platform/etag.js";
import { type MemoryTables, seatsInOrder, sessionsMaxOf, type VmRow } from "./tables.js";

export class MemoryVms implements Vms {
  constructor(
    private readonly tables: MemoryTables,
    private readonly settings: Pick<StoreSettings, "clock" | "waitMsMax">,
  ) {}

  async create(vm: NewVm, rules: GrowthRules): Promise<Vm> {
    return this.tables.commit(() => {
      const { tables } = this;
      if (!tables.vms.has(vm.vmId)) {
        const vms = [...tables.tracked].filter(({ status }) => status !== "TERMINATED");
        const growth = new Growth({ vms }, rules);
        const refusal = growth.refusal(vm.region, vm.templateId, vm.tenant);
        if (refusal !== null) throw noRoomToGrow(refusal, vm, rules, growth);
        insertVms(tables, [vm], this.#now());
      }
      return toVm(tables.vm(vm.vmId));
    });
  }

  async get(vmId: string): Promise<Vm> {
    return toVm(this.tables.vm(vmId));
  }

  async list(query: VmPageQuery): Promise<VmPage> {
    const { limit, cursor } = query;
    const after = cursor === undefined ? null : parsePageCursor(cursor);
    const vms = [...this.tables.vms.values()]
      .filter((vm) => this.#matches(vm, query) && (after === null || isAfter(vm, after)))
      .sort((a, b) => b.createdAtMs - a.createdAtMs || (a.vmId < b.vmId ? 1 : -1));
    const page = vms.slice(0, limit);
    const last = page.at(-1);
    return {
      vms: page.map(toVm),
      nextCursor: vms.length > limit && last ? pageCursor(microsOf(last), last.vmId) : null,
    };
  }

  async markLaunched(vmId: string): Promise<void> {
    this.tables.commit(() => {
      const vm = this.tables.vm(vmId);
      this.tables.changeVm(vm, "launched", { launchedAtMs: this.#nowMs() });
      this.tables.closeHolds(vm);
    });
  }

  async markReady(vmId: string, capabilities?: Capabilities, expected?: ExpectedVersions): Promise<Vm> {
    return this.tables.commit(() => {
      const { tables } = this;
      const nowMs = this.#nowMs();
      const vm = tables.vm(vmId, expected);
      tables.changeVm(vm, "ready", { readyAtMs: nowMs, ...(capabilities && { capabilities }) });
      const key = launchKey(vm.provider, vm.templateId);
      const [average, tookMs] = [tables.launchMs.get(key), nowMs - vm.createdAtMs];
      tables.launchMs.set(key, average === undefined ? tookMs : average * 0.8 + tookMs * 0.2);
      tables.append([vmEventOf("VMReady", vm, vmId, placeOf(vm))], this.#now());
      tables.signal("waiting");
      return toVm(vm);
    });
  }

  async drain(
    vmId: string,
    { reason, deadlineAt, expected }: { reason: string; deadlineAt: Date; expected?: ExpectedVersions },
  ): Promise<Vm> {
    return this.tables.commit(() => {
      const vm = this.tables.vm(vmId, expected);
      this.tables.changeVm(vm, "drained", { reason, drainDeadlineAtMs: deadlineAt.getTime() });
      this.tables.signal("reconcile");
      return toVm(vm);
    });
  }

  async fail(
    vmId: string,
    error: { code: string; message: string },
    { noCapacity, expected }: { noCapacity?: NoCapacity; expected?: ExpectedVersions } = {},
  ): Promise<Vm> {
    return this.tables.commit(() => {
      const { tables } = this;
      const vm = tables.vm(vmId, expected);
      tables.changeVm(vm, "failed", { usedUnits: 0, error });
      const released = seatsInOrder(vm).map((placement): NewEvent => {
        const next = placement.again ? "none" : "waiting";
        if (placement.again) tables.removePlacement(placement);
        else {
          const queuedAtMs = this.#nowMs();
          tables.waitAgain(placement, { queuedAtMs, expiresAtMs: queuedAtMs + this.settings.waitMsMax });
        }
        return sessionReleased(vm, placement.sessionId, "vm-failed", next);
      });
      if (noCapacity) this.#openHolds(vm.provider, noCapacity);
      const failed = vmEventOf("VMError", vm, vmId, {
        ...placeOf(vm),
        errorCode: error.code,
        errorMessage: error.message,
      });
      tables.append([failed, ...released], this.#now());
      tables.signal("reconcile", "waiting");
      return toVm(vm);
    });
  }

  async terminate(
    vmId: string,
    { reason, force, expected }: { reason: string; force: boolean; expected?: ExpectedVersions },
  ): Promise<Vm> {
    return this.tables.commit(() => {
      const { tables } = this;
      const vm = tables.vm(vmId, expected);
      const sessions = seatsInOrder(vm);
      if (sessions.length > 0 && !force) throw hasSessions(vmId, sessions.length);
      tables.changeVm(vm, "terminated", { usedUnits: 0, reason, terminatedAtMs: this.#nowMs() });
      for (const placement of sessions) tables.removePlacement(placement);
      const released = sessions.map(({ sessionId }) => sessionReleased(vm, sessionId, "vm-terminated", "none"));
      const ended = vmEventOf("VMTerminated", vm, vmId, { ...placeOf(vm), reason });
      tables.append([...released, ended], this.#now());
      tables.signal("reconcile", "waiting");
      return toVm(vm);
    });
  }

  async markDestroyed(vmId: string): Promise<void> {
    this.tables.commit(() => {
      const vm = this.tables.vms.get(vmId);
      if (vm?.status !== "TERMINATED" || vm.destroyedAtMs !== null) return;
      this.tables.closeVm(vm, this.#nowMs());
      if (vm.launchedAtMs === null) return;
      this.tables.closeHolds(vm);
      this.tables.signal("waiting");
    });
  }

  async markUnreachable(vmId: string, heardBefore: Date): Promise<void> {
    this.tables.commit(() => {
      const vm = this.tables.vms.get(vmId);
      if (vm === undefined || !vm.reachable || (vm.heardAtMs ?? 0) >= heardBefore.getTime()) return;
      if (vm.status !== "READY" && vm.status !== "IN_USE" && vm.status !== "DRAINING") return;
      vm.reachable = false;
      this.tables.touchVm(vm);
    });
  }

  async claimLaunch(vmId: string, claim: LaunchClaim): Promise<number | null> {
    return this.tables.commit(() => {
      const vm = this.tables.vms.get(vmId);
      if (vm?.status !== "PROVISIONING" || vm.agentKey !== null) return null;
      if (vm.launchClaimedAtMs !== null && vm.launchClaimedAtMs >= claim.claimedBefore.getTime()) return null;
      vm.launchClaimedAtMs = this.#nowMs();
      vm.epoch += 1;
      const launch = { epoch: vm.epoch, hash: claim.bootstrapHash, expiresAtMs: claim.expiresAt.getTime() };
      vm.launches = [...vm.launches, launch];
      return vm.epoch;
    });
  }

  async survey(heardSince: HeardSince): Promise<Survey> {
    const settled = new Map<ProviderId, string[]>();
    const unsettled: string[] = [];
    for (const vm of this.tables.tracked) {
      const { provider, vmId } = vm;
      const ids = isSettled(vm, heardSince.get(provider)?.getTime() ?? null)
        ? (settled.get(provider) ?? [])
        : unsettled;
      ids.push(vmId);
      if (ids !== unsettled) settled.set(provider, ids);
    }
    return { settled, unsettled };
  }

  async records(vmIds: readonly string[]): Promise<VmRecord[]> {
    const vms = vmIds.map((vmId) => this.tables.vms.get(vmId)).filter((vm) => vm !== undefined);
    return vms
      .filter((vm) => this.tables.tracked.has(vm))
      .map((vm) => ({
        vmId: vm.vmId,
        provider: vm.provider,
        status: vm.status,
        version: vm.version,
        reachable: vm.reachable,
        errorCode: vm.error?.code ?? null,
        sessions: vm.seats.size,
        createdAtMs: vm.createdAtMs,
        launchClaimedAtMs: vm.launchClaimedAtMs,
        launchedAtMs: vm.launchedAtMs,
        readyAtMs: vm.readyAtMs,
        heardAtMs: vm.heardAtMs,
        drainDeadlineAtMs: vm.drainDeadlineAtMs,
      }));
  }

  async learntSessionsMax(provider: ProviderId): Promise<number | null> {
    let newest: VmRow | null = null;
    for (const vm of this.tables.vms.values())
      if (vm.provider === provider && vm.capabilities !== null && vm.readyAtMs! >= (newest?.readyAtMs ?? 0))
        newest = vm;
    return newest && sessionsMaxOf(newest);
  }

  async prune(before: Date): Promise<void> {
    this.tables.commit(() => {
      for (const vm of this.tables.vms.values())
        if (vm.destroyedAtMs !== null && vm.destroyedAtMs < before.getTime()) this.tables.forgetVm(vm);
    });
  }

  #openHolds(provider: ProviderId, { scope, places, policy }: NoCapacity): void {
    const { holds } = this.tables;
    for (const { region, templateId } of places) {
      const key = placeKey(region, templateId);
      holds.set(key, holdAfter(holds.get(key), { region, templateId, provider, scope, policy }, this.#nowMs()));
    }
  }

  #matches(vm: VmRow, { status, region, templateId, provider, tenant, reachable, sessionId }: VmPageQuery): boolean {
    return (
      (status === undefined || status.includes(vm.status)) &&
      (region === undefined || vm.region === region) &&
      (templateId === undefined || vm.templateId === templateId) &&
      (provider === undefined || vm.provider === provider) &&
      (tenant === undefined || vm.tenant === tenant) &&
      (reachable === undefined || vm.reachable === (reachable === "true")) &&
      (sessionId === undefined || this.tables.placements.get(sessionId)?.seat?.vm === vm)
    );
  }

  #nowMs(): number {
    return this.settings.clock.now();
  }

  #now(): Date {
    return new Date(this.#nowMs());
  }
}

/** Rows of new VMs, PROVISIONING, and their events. */
export function insertVms(tables: MemoryTables, vms: readonly NewVm[], now: Date): void {
  for (const vm of vms) tables.addVm(vm, now.getTime());
  tables.append(
    vms.map(({ tenant: _, ...vm }) => vmEventOf("VMProvisioned", { ...vm, version: 1 }, vm.vmId, vm)),
    now,
  );
  tables.signal("reconcile");
}

const microsOf = (vm: VmRow): number => vm.createdAtMs * 1000;

const isAfter = (vm: VmRow, after: ReturnType<typeof parsePageCursor>): boolean =>
  microsOf(vm) < after.createdAtMicros || (microsOf(vm) === after.createdAtMicros && vm.vmId < after.vmId);

const instant = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

function toVm(vm: VmRow): Vm {
  return {
    vmId: vm.vmId,
    templateId: vm.templateId,
    region: vm.region,
    provider: vm.provider,
    tenant: vm.tenant,
    status: vm.status,
    reachable: vm.reachable,
    units: { total: unitsPerVm, used: vm.usedUnits },
    sessions: seatsInOrder(vm).map(({ sessionId }) => sessionId),
    capabilities: vm.capabilities,
    error: vm.error,
    reason: vm.reason,
    createdAt: new Date(vm.createdAtMs).toISOString(),
    readyAt: instant(vm.readyAtMs),
    terminatedAt: instant(vm.terminatedAtMs),
    version: vm.version,
  };
}
