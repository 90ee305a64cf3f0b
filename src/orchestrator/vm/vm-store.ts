// VMs in PostgreSQL. Each verb is a whole transaction: the change, checked against the lifecycle table under the row's
// lock, and its events, or nothing. Refused calls throw a Problem and leave no trace.
import type { Capabilities, ProviderId } from "../../contracts/catalog.js";
import type { EventData } from "../../contracts/events.js";
import type { Vm } from "../../contracts/orchestrator.js";
import type { Clock } from "../../platform/clock.js";
import type { Database, Queryable } from "../../platform/database.js";
import type { ExpectedVersions } from "../../platform/etag.js";
import { appendEvents, type NewEvent, vmEventOf } from "../events/outbox-store.js";
import { closeHolds, openHolds } from "../placement/capacity-holds-store.js";
import type { FleetVm } from "../placement/fleet.js";
import { Growth, type GrowthRules } from "../placement/growth.js";
import type { NewVm } from "../placement/waiting.js";
import { hasSessions, noRoomToGrow } from "../refusals.js";
import type { HeardSince, LaunchClaim, NoCapacity, VmPage, VmPageQuery, Vms } from "../store.js";
import { noSuchVm } from "./lifecycle.js";
import type { Survey, VmRecord } from "./reconcile.js";
import { findVm, listVms } from "./vm-page-store.js";
import { changeVm, type LockedVm, lockVm, placeOf, takeGrowthLock } from "./vm-rows-store.js";

type ReleasedReason = "vm-failed" | "vm-terminated";

export class VmStore implements Vms {
  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
    private readonly options: { waitMsMax: number },
  ) {}

  async create(vm: NewVm, rules: GrowthRules): Promise<Vm> {
    await this.db.transaction(async (tx) => {
      await takeGrowthLock(tx);
      // Made by an earlier try of the same call, which was not answered.
      if ((await findVm(tx, vm.vmId)) !== null) return;
      const vms = await tx.query<Pick<FleetVm, "region" | "templateId" | "status" | "tenant">>(
        `select region, template_id as "templateId", status, tenant from orchestrator.vms
          where status not in ('TEMPLATE', 'TERMINATED')`,
      );
      const growth = new Growth({ vms }, rules);
      const refusal = growth.refusal(vm.region, vm.templateId, vm.tenant);
      if (refusal !== null) throw noRoomToGrow(refusal, vm, rules, growth);
      await insertVms(tx, [vm], this.#now());
    });
    return this.get(vm.vmId);
  }

  async get(vmId: string): Promise<Vm> {
    const vm = await findVm(this.db, vmId);
    if (vm === null) throw noSuchVm(vmId);
    return vm;
  }

  list(page: VmPageQuery): Promise<VmPage> {
    return listVms(this.db, page);
  }

  async markLaunched(vmId: string): Promise<void> {
    await this.db.transaction(async (tx) => {
      const vm = await changeVm(tx, await lockVm(tx, vmId), "launched", { launchedAt: this.#now() });
      await closeHolds(tx, vm);
    });
  }

  async markReady(vmId: string, capabilities?: Capabilities, expected?: ExpectedVersions): Promise<Vm> {
    const now = this.#now();
    await this.db.transaction(async (tx) => {
      const vm = await changeVm(tx, await lockVm(tx, vmId, expected), "ready", {
        readyAt: now,
        ...(capabilities && { capabilities }),
      });
      // A VM more weighs a fifth: the average follows a change of image or driver within a few launches.
      await tx.query(
        `insert into orchestrator.launch_times (provider, template_id, average_ms) values ($1, $2, $3)
         on conflict (provider, template_id)
         do update set average_ms = launch_times.average_ms * 0.8 + excluded.average_ms * 0.2`,
        [vm.provider, vm.templateId, now.getTime() - vm.createdAtMs],
      );
      await appendEvents(tx, [vmEventOf("VMReady", vm, vmId, placeOf(vm))], now, ["waiting"]);
    });
    return this.get(vmId);
  }

  async drain(
    vmId: string,
    { reason, deadlineAt, expected }: { reason: string; deadlineAt: Date; expected?: ExpectedVersions },
  ): Promise<Vm> {
    await this.db.transaction(async (tx) => {
      await changeVm(tx, await lockVm(tx, vmId, expected), "drained", { reason, drainDeadlineAt: deadlineAt });
      await appendEvents(tx, [], this.#now(), ["reconcile"]);
    });
    return this.get(vmId);
  }

  async fail(
    vmId: string,
    error: { code: string; message: string },
    { noCapacity, expected }: { noCapacity?: NoCapacity; expected?: ExpectedVersions } = {},
  ): Promise<Vm> {
    const now = this.#now();
    await this.db.transaction(async (tx) => {
      const vm = await changeVm(tx, await lockVm(tx, vmId, expected), "failed", { usedUnits: 0, error });
      const released = await tx.query<{ sessionId: string; again: boolean }>(
        `select session_id as "sessionId", again from orchestrator.placements
          where vm_id = $1 order by assigned_at, session_id`,
        [vmId],
      );
      await tx.query("delete from orchestrator.placements where vm_id = $1 and again", [vmId]);
      await tx.query(
        `update orchestrator.placements
            set vm_id = null, units = null, assigned_at = null, again = true, expires_at = $2,
                queued_at = $3, overtaken_at = null, eta_told_at = null, eta_at = null
          where vm_id = $1`,
        [vmId, new Date(now.getTime() + this.options.waitMsMax), now],
      );
      if (noCapacity) await openHolds(tx, vm.provider, noCapacity, now);
      const events = released.map(({ sessionId, again }) =>
        sessionReleased(vm, sessionId, "vm-failed", again ? "none" : "waiting"),
      );
      const failed = vmEventOf("VMError", vm, vmId, {
        ...placeOf(vm),
        errorCode: error.code,
        errorMessage: error.message,
      });
      await appendEvents(tx, [failed, ...events], now, ["reconcile", "waiting"]);
    });
    return this.get(vmId);
  }

  async terminate(
    vmId: string,
    { reason, force, expected }: { reason: string; force: boolean; expected?: ExpectedVersions },
  ): Promise<Vm> {
    const now = this.#now();
    await this.db.transaction(async (tx) => {
      const before = await lockVm(tx, vmId, expected);
      const vm = await changeVm(tx, before, "terminated", { usedUnits: 0, reason, terminatedAt: now });
      const sessions = await tx.query<{ sessionId: string }>(
        `with gone as (
           delete from orchestrator.placements where vm_id = $1 returning session_id, assigned_at)
         select session_id as "sessionId" from gone order by assigned_at, session_id`,
        [vmId],
      );
      if (sessions.length > 0 && !force) throw hasSessions(vmId, sessions.length);
      const events = sessions.map(({ sessionId }) => sessionReleased(vm, sessionId, "vm-terminated", "none"));
      const ended = vmEventOf("VMTerminated", vm, vmId, { ...placeOf(vm), reason });
      await appendEvents(tx, [...events, ended], now, ["reconcile", "waiting"]);
    });
    return this.get(vmId);
  }

  async markDestroyed(vmId: string): Promise<void> {
    await this.db.transaction(async (tx) => {
      const closed = await tx.maybeOne<Pick<LockedVm, "region" | "templateId" | "provider"> & { launched: boolean }>(
        `update orchestrator.vms set destroyed_at = $2
          where vm_id = $1 and status = 'TERMINATED' and destroyed_at is null
          returning region, template_id as "templateId", provider, launched_at is not null as launched`,
        [vmId, this.#now()],
      );
      if (!closed?.launched) return;
      await closeHolds(tx, closed);
      await appendEvents(tx, [], this.#now(), ["waiting"]);
    });
  }

  async markUnreachable(vmId: string, heardBefore: Date): Promise<void> {
    await this.db.query(
      `update orchestrator.vms v set reachable = false, version = version + 1
        where vm_id = $1 and reachable and status in ('READY', 'IN_USE', 'DRAINING')
          and not exists (select from orchestrator.leases l where l.vm_id = v.vm_id and l.heard_at >= $2)`,
      [vmId, heardBefore],
    );
  }

  async claimLaunch(vmId: string, claim: LaunchClaim): Promise<number | null> {
    const claimed = await this.db.maybeOne<{ epoch: number }>(
      `update orchestrator.vms
          set launch_claimed_at = $2, epoch = epoch + 1,
              launches = launches || jsonb_build_object('epoch', epoch + 1, 'hash', $3::text, 'expiresAt', $4::timestamptz)
        where vm_id = $1 and status = 'PROVISIONING' and agent_key is null
          and (launch_claimed_at is null or launch_claimed_at < $5)
        returning epoch`,
      [vmId, this.#now(), claim.bootstrapHash, claim.expiresAt, claim.claimedBefore],
    );
    return claimed?.epoch ?? null;
  }

  async survey(heardSince: HeardSince): Promise<Survey> {
    const rows = await this.db.query<{ provider: ProviderId; settled: boolean; vmIds: string[] }>(
      {
        name: "vms-survey",
        text: `
          select v.provider,
                 v.status in ('READY', 'IN_USE') and v.reachable
                   and coalesce(due.provider is null or l.heard_at >= due.heard_since, false) as settled,
                 json_agg(v.vm_id) as "vmIds"
            from orchestrator.vms v left join orchestrator.leases l using (vm_id)
            left join unnest($1::text[], $2::timestamptz[]) as due (provider, heard_since) using (provider)
           where v.status not in ('TEMPLATE', 'TERMINATED') or (v.status = 'TERMINATED' and v.destroyed_at is null)
           group by 1, 2`,
      },
      [[...heardSince.keys()], [...heardSince.values()]],
    );
    return {
      settled: new Map(rows.filter(({ settled }) => settled).map(({ provider, vmIds }) => [provider, vmIds])),
      unsettled: rows.filter(({ settled }) => !settled).flatMap(({ vmIds }) => vmIds),
    };
  }

  async records(vmIds: readonly string[]): Promise<VmRecord[]> {
    if (vmIds.length === 0) return [];
    return this.db.query<VmRecord>(
      `select ${recordColumns} from orchestrator.vms v left join orchestrator.leases l using (vm_id)
        where v.vm_id = any($1::text[]) and v.status <> 'TEMPLATE' and v.destroyed_at is null`,
      [vmIds],
    );
  }

  async learntSessionsMax(provider: ProviderId): Promise<number | null> {
    const row = await this.db.maybeOne<{ sessionsMax: number }>(
      `select (capabilities->>'sessionsMax')::integer as "sessionsMax" from orchestrator.vms
        where provider = $1 and capabilities is not null order by ready_at desc limit 1`,
      [provider],
    );
    return row?.sessionsMax ?? null;
  }

  async prune(before: Date): Promise<void> {
    await this.db.query(
      `with gone as (delete from orchestrator.vms where destroyed_at < $1 returning vm_id)
       delete from orchestrator.leases where vm_id in (select vm_id from gone)`,
      [before],
    );
  }

  #now(): Date {
    return new Date(this.clock.now());
  }
}

const ms = (column: string) => `(extract(epoch from ${column}) * 1000)::float8`;

/** SQL for the columns of a VmRecord; `v` is the vms row, `heard_at` its lease's. */
const recordColumns = `
  v.vm_id as "vmId", v.provider, v.status, v.version, v.reachable, v.error->>'code' as "errorCode",
  (select count(*) from orchestrator.placements p where p.vm_id = v.vm_id) as sessions,
  ${ms("v.created_at")} as "createdAtMs", ${ms("v.launch_claimed_at")} as "launchClaimedAtMs",
  ${ms("v.launched_at")} as "launchedAtMs", ${ms("v.ready_at")} as "readyAtMs", ${ms("heard_at")} as "heardAtMs",
  ${ms("v.drain_deadline_at")} as "drainDeadlineAtMs"`;

/** Rows of new VMs, PROVISIONING, and their events. Under the growth lock. */
export async function insertVms(tx: Queryable, vms: readonly NewVm[], now: Date): Promise<void> {
  await tx.query(
    `insert into orchestrator.vms (vm_id, template_id, region, provider, tenant, status, created_at)
     select vm_id, template_id, region, provider, tenant, 'PROVISIONING', $6
       from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
              as new (vm_id, template_id, region, provider, tenant)`,
    [
      vms.map((vm) => vm.vmId),
      vms.map((vm) => vm.templateId),
      vms.map((vm) => vm.region),
      vms.map((vm) => vm.provider),
      vms.map((vm) => vm.tenant),
      now,
    ],
  );
  const events = vms.map(({ tenant: _, ...vm }) => vmEventOf("VMProvisioned", { ...vm, version: 1 }, vm.vmId, vm));
  await appendEvents(tx, events, now, ["reconcile"]);
}

export function sessionReleased(
  vm: Pick<LockedVm, "vmId" | "region" | "templateId" | "version">,
  sessionId: string,
  reason: ReleasedReason | (string & {}),
  next: EventData<"SessionReleased">["next"],
): NewEvent {
  return vmEventOf("SessionReleased", vm, vm.vmId, { ...placeOf(vm), sessionId, reason, next });
}
