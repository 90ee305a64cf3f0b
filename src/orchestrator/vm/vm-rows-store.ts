// A VM's row inside a transaction: locked, changed by the table, told of. The verbs of both stores are made of these.
//
// Order of locks, everywhere, so that no two transactions wait for each other: the growth lock, then VMs by id, then
// placements by session id. (Batches of seats do the same in one statement: placement/seats-store.ts.)
import type { Capabilities, ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import type { VmStatus } from "../../contracts/orchestrator.js";
import type { Queryable } from "../../platform/database.js";
import { type ExpectedVersions, expectVersion } from "../../platform/etag.js";
import { nextStatusOr409, noSuchVm, type VmChange } from "./lifecycle.js";

export interface LockedVm {
  readonly vmId: string;
  readonly templateId: TemplateId;
  readonly region: RegionId;
  readonly provider: ProviderId;
  readonly status: VmStatus;
  readonly version: number;
  readonly reachable: boolean;
  readonly usedUnits: number;
  readonly sessionsMax: number | null;
  readonly createdAtMs: number;
}

/** SQL for the columns of a Candidate; `v` is the vms row. */
export const candidateColumns = `
  v.vm_id as "vmId", v.template_id as "templateId", v.region, v.provider, v.status, v.version, v.reachable,
  v.used_units as "usedUnits", (v.capabilities->>'sessionsMax')::integer as "sessionsMax",
  (extract(epoch from v.created_at) * 1000)::float8 as "createdAtMs"`;

/** Locked in id order; ids without a row are missing. Their state is the newest committed one. */
export async function lockVms(tx: Queryable, vmIds: readonly string[]): Promise<Map<string, LockedVm>> {
  const rows = await tx.query<LockedVm>(
    {
      name: "vms-lock",
      text: `select ${candidateColumns} from orchestrator.vms v
              where v.vm_id = any($1::text[]) order by v.vm_id for no key update`,
    },
    [vmIds],
  );
  return new Map(rows.map((vm) => [vm.vmId, vm]));
}

/** @throws Problem not-found; stale-version when it is none of the expected ones */
export async function lockVm(tx: Queryable, vmId: string, expected: ExpectedVersions = null): Promise<LockedVm> {
  const vm = (await lockVms(tx, [vmId])).get(vmId);
  if (vm === undefined) throw noSuchVm(vmId);
  expectVersion(vm.version, expected);
  return vm;
}

/** What a change sets beside the status; what is left out stays. */
export interface VmPatch {
  readonly usedUnits?: number;
  readonly capabilities?: Capabilities;
  readonly error?: { readonly code: string; readonly message: string };
  readonly reason?: string;
  readonly launchedAt?: Date;
  readonly readyAt?: Date;
  readonly drainDeadlineAt?: Date;
  readonly terminatedAt?: Date;
}

/** Applies one change of the lifecycle to a locked VM. @throws Problem illegal-transition */
export async function changeVm(tx: Queryable, vm: LockedVm, change: VmChange, patch: VmPatch = {}): Promise<LockedVm> {
  const status = nextStatusOr409(vm, change);
  const usedUnits = patch.usedUnits ?? vm.usedUnits;
  await tx.query(
    {
      name: "vms-change",
      text: `
        update orchestrator.vms set status = $2, used_units = $3, version = version + 1,
          capabilities = coalesce($4, capabilities), error = coalesce($5, error), reason = coalesce($6, reason),
          launched_at = coalesce($7, launched_at), ready_at = coalesce($8, ready_at),
          drain_deadline_at = coalesce($9, drain_deadline_at), terminated_at = coalesce($10, terminated_at)
         where vm_id = $1`,
    },
    [
      vm.vmId,
      status,
      usedUnits,
      patch.capabilities ?? null,
      patch.error ?? null,
      patch.reason ?? null,
      patch.launchedAt ?? null,
      patch.readyAt ?? null,
      patch.drainDeadlineAt ?? null,
      patch.terminatedAt ?? null,
    ],
  );
  return { ...vm, status, usedUnits, version: vm.version + 1 };
}

export const placeOf = ({ vmId, region, templateId }: Pick<LockedVm, "vmId" | "region" | "templateId">) => ({
  vmId,
  region,
  templateId,
});

/** Held while VMs are made or waiting sessions are placed: limits are counted and kept by one replica at a time. */
export async function takeGrowthLock(tx: Queryable): Promise<void> {
  await tx.query("select pg_advisory_xact_lock(hashtextextended('hotseat growth', 0))");
}
