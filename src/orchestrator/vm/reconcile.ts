// What to do so that the database and the providers agree: a pure function of both, and of the time.
//
// Level-triggered: it takes no hint of what happened, and doing its actions twice does no harm, because each is keyed
// by our VM id and applied only to a row that still is as it was read. Both directions: a row without its machine is
// ended, a machine without its row is destroyed. A provider that does not answer (`instances` null) decides nothing
// about its machines, but time still runs for their rows.
import type { ProviderId } from "../../contracts/catalog.js";
import type { VmStatus } from "../../contracts/orchestrator.js";
import type { Instance } from "../providers/provider.js";

/** A VM as the reconciler sees it; times in ms since the epoch. */
export interface VmRecord {
  readonly vmId: string;
  readonly provider: ProviderId;
  readonly status: VmStatus;
  readonly version: number;
  readonly reachable: boolean;
  readonly sessions: number;
  readonly errorCode: string | null;
  readonly createdAtMs: number;
  readonly launchClaimedAtMs: number | null;
  readonly launchedAtMs: number | null;
  readonly readyAtMs: number | null;
  readonly heardAtMs: number | null;
  readonly drainDeadlineAtMs: number | null;
}

/**
 * Every VM that is neither TEMPLATE nor destroyed, by its id. Settled ones need nothing but their machines: READY or
 * IN_USE, reachable, and heard of lately where an agent is to be. Of a large fleet nearly all are, and no more is read.
 */
export interface Survey {
  readonly settled: ReadonlyMap<ProviderId, readonly string[]>;
  readonly unsettled: readonly string[];
}

export interface Deadlines {
  readonly launchMsMax: number;
  readonly bootMsMax: number;
  /** Null where no agent heartbeats. */
  readonly lease: { readonly silentMsMax: number; readonly lostMsMax: number } | null;
  /** A draining VM is terminated then, sessions or not. */
  readonly drainMsMax: number;
}

export interface Observed {
  readonly provider: ProviderId;
  /** Null: the provider did not answer. */
  readonly instances: readonly Instance[] | null;
  /** The list may be as old as this: of what was seen alive since it says nothing. */
  readonly asOfMs: number;
  readonly deadlines: Deadlines;
}

export type Action =
  | { readonly kind: "launch"; readonly vm: VmRecord }
  | { readonly kind: "launched"; readonly vm: VmRecord }
  | { readonly kind: "unreachable"; readonly vm: VmRecord }
  | { readonly kind: "fail"; readonly vm: VmRecord; readonly code: FailureCode; readonly message: string }
  | { readonly kind: "terminate"; readonly vm: VmRecord; readonly reason: string }
  | {
      readonly kind: "destroy";
      readonly vmId: string;
      readonly provider: ProviderId;
      /** The row may be closed: the provider shows no machine any more. */
      readonly gone: boolean;
      /** There is no row: nobody knows where the machine came from. */
      readonly orphan: boolean;
    };

/** A launch call that gave no answer for so long is made again. */
export const launchRetryMs = 10_000;

/** What stores agree on (vm-store.ts says it in SQL). `heardSinceMs` null: no agent is to be heard there. */
export const isSettled = (
  { status, reachable, heardAtMs }: Pick<VmRecord, "status" | "reachable" | "heardAtMs">,
  heardSinceMs: number | null,
): boolean =>
  (status === "READY" || status === "IN_USE") &&
  reachable &&
  (heardAtMs ?? Number.NEGATIVE_INFINITY) >= (heardSinceMs ?? Number.NEGATIVE_INFINITY);

/** The VMs to look at: those that are not settled, and the settled ones whose provider shows no machine. */
export function questionable({ settled, unsettled }: Survey, observed: readonly Observed[]): string[] {
  const missing = observed.flatMap(({ provider, instances }) => {
    if (instances === null) return [];
    const machines = new Set(instances.map(({ vmId }) => vmId));
    return (settled.get(provider) ?? []).filter((vmId) => !machines.has(vmId));
  });
  return [...unsettled, ...missing];
}

/**
 * @param survey read after `instances` were listed: so a machine that is not in it is nobody's.
 * @param records of those that are `questionable`.
 * @param listeningSinceMs since when agents could reach us: silence before that is our own.
 */
export function reconcile(options: {
  survey: Survey;
  records: readonly VmRecord[];
  observed: readonly Observed[];
  listeningSinceMs: number;
  nowMs: number;
}): Action[] {
  const { survey, records, observed, ...times } = options;
  const known = new Set(survey.unsettled);
  for (const vmIds of survey.settled.values()) for (const vmId of vmIds) known.add(vmId);
  // Few: 100,000 machines in a map, and ids gathered by copies, took 115 ms instead of 20.
  const looked = new Set(records.map(({ vmId }) => vmId));
  return observed.flatMap(({ provider, instances, asOfMs, deadlines }) => {
    const own = records.filter((vm) => vm.provider === provider);
    const theirs = instances === null ? null : instances.filter(({ vmId }) => looked.has(vmId));
    const byId = theirs && new Map(theirs.map((instance) => [instance.vmId, instance]));
    const orphans = (instances ?? []).filter((instance) => !known.has(instance.vmId));
    return [
      ...own.flatMap(
        (vm) => actionFor(vm, byId && { instance: byId.get(vm.vmId) ?? null, asOfMs }, deadlines, times) ?? [],
      ),
      ...orphans.map(({ vmId }): Action => ({ kind: "destroy", vmId, provider, gone: false, orphan: true })),
    ];
  });
}

type Seen = { instance: Instance | null; asOfMs: number };
type Times = { listeningSinceMs: number; nowMs: number };

function actionFor(vm: VmRecord, seen: Seen | null, deadlines: Deadlines, times: Times): Action | null {
  const { nowMs } = times;
  switch (vm.status) {
    case "TEMPLATE":
      return null;
    case "PROVISIONING":
      if (seen?.instance?.state === "running") return { kind: "launched", vm };
      if (nowMs - vm.createdAtMs > deadlines.launchMsMax)
        return fail(vm, "launch-timeout", `The provider did not bring it up in ${deadlines.launchMsMax / 1000} s.`);
      return seen !== null && seen.instance === null && nowMs - (vm.launchClaimedAtMs ?? 0) > launchRetryMs
        ? { kind: "launch", vm }
        : null;
    case "BOOTING":
      if (nowMs - (vm.launchedAtMs ?? vm.createdAtMs) > deadlines.bootMsMax)
        return fail(vm, "boot-timeout", `Its agent was not ready in ${deadlines.bootMsMax / 1000} s.`);
      return lost(vm, seen);
    case "READY":
    case "IN_USE":
      return lost(vm, seen) ?? silence(vm, deadlines, times);
    case "DRAINING":
      if (vm.sessions === 0) return { kind: "terminate", vm, reason: "drained" };
      if (vm.drainDeadlineAtMs !== null && nowMs >= vm.drainDeadlineAtMs)
        return { kind: "terminate", vm, reason: "drain-deadline" };
      return lost(vm, seen) ?? silence(vm, deadlines, times);
    case "ERROR":
      return { kind: "terminate", vm, reason: vm.errorCode ?? "error" };
    case "TERMINATED":
      return (
        seen && {
          kind: "destroy",
          vmId: vm.vmId,
          provider: vm.provider,
          gone: seen.instance === null,
          orphan: false,
        }
      );
  }
}

export const lostCode = "vm-lost";
export const failureCodes = ["launch-timeout", "boot-timeout", "agent-lost", lostCode] as const;
export type FailureCode = (typeof failureCodes)[number];

const fail = (vm: VmRecord, code: FailureCode, message: string): Action => ({ kind: "fail", vm, code, message });

/** Proof of life that is newer than the list goes before it: lists lag, and somebody may be playing there. */
function lost(vm: VmRecord, seen: Seen | null): Action | null {
  if (seen === null || seen.instance !== null) return null;
  const aliveAtMs = Math.max(vm.launchedAtMs ?? 0, vm.readyAtMs ?? 0, vm.heardAtMs ?? 0);
  if (aliveAtMs >= seen.asOfMs) return null;
  return fail(vm, lostCode, "The provider no longer has it.");
}

/** Given up is only who is unreachable already: an agent that returns then changes the version it would be done at. */
function silence(vm: VmRecord, { lease }: Deadlines, { listeningSinceMs, nowMs }: Times): Action | null {
  if (lease === null) return null;
  const silentMs = nowMs - Math.max(vm.heardAtMs ?? 0, vm.readyAtMs ?? 0, listeningSinceMs);
  if (vm.reachable) return silentMs > lease.silentMsMax ? { kind: "unreachable", vm } : null;
  return silentMs > lease.lostMsMax
    ? fail(vm, "agent-lost", `Its agent was silent for ${lease.lostMsMax / 1000} s.`)
    : null;
}
