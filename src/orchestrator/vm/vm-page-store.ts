// VMs as they are read: one, or a page of those that match.
import type { Capabilities, ProviderId, RegionId, TemplateId } from "../../contracts/catalog.js";
import type { Vm, VmStatus } from "../../contracts/orchestrator.js";
import type { Queryable } from "../../platform/database.js";
import type { VmPage, VmPageQuery } from "../store.js";
import { pageCursor, parsePageCursor } from "./page-cursor.js";

export async function findVm(db: Queryable, vmId: string): Promise<Vm | null> {
  const row = await db.maybeOne<VmRow>({ name: "vm-find", text: `${selectVm} where v.vm_id = $1` }, [vmId]);
  return row && toVm(row);
}

/**
 * Newest first. Pages go by creation and id, which never change: whatever happens between two pages, a VM that was
 * there all the time is on exactly one of them. @throws Problem invalid-request for a cursor that is not ours
 */
export async function listVms(db: Queryable, query: VmPageQuery): Promise<VmPage> {
  const { limit, cursor } = query;
  const after = cursor === undefined ? null : parsePageCursor(cursor);
  const rows = await db.query<VmRow>(
    `${selectVm}
      where ($1::text[] is null or v.status = any($1)) and ($2::text is null or v.region = $2)
        and ($3::text is null or v.template_id = $3) and ($4::text is null or v.provider = $4)
        and ($5::boolean is null or v.reachable = $5)
        and ($6::text is null or v.vm_id = (select s.vm_id from orchestrator.placements s where s.session_id = $6))
        and ($7::text is null or v.tenant = $7)
        and ($8::timestamptz is null or (v.created_at, v.vm_id) < ($8, $9))
      order by v.created_at desc, v.vm_id desc limit $10`,
    [
      query.status ?? null,
      query.region ?? null,
      query.templateId ?? null,
      query.provider ?? null,
      query.reachable ?? null,
      query.sessionId ?? null,
      query.tenant ?? null,
      after && instantOf(after.createdAtMicros),
      after?.vmId ?? null,
      limit + 1,
    ],
  );
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return {
    vms: page.map(toVm),
    nextCursor: rows.length > limit && last ? pageCursor(last.cursorAt, last.vmId) : null,
  };
}

interface VmRow {
  vmId: string;
  templateId: TemplateId;
  region: RegionId;
  provider: ProviderId;
  tenant: string | null;
  status: VmStatus;
  reachable: boolean;
  usedUnits: number;
  sessions: string[];
  capabilities: Capabilities | null;
  error: { code: string; message: string } | null;
  reason: string | null;
  createdAt: Date;
  readyAt: Date | null;
  terminatedAt: Date | null;
  version: number;
  cursorAt: string;
}

const selectVm = `
  select v.vm_id as "vmId", v.template_id as "templateId", v.region, v.provider, v.tenant, v.status, v.reachable,
         v.used_units as "usedUnits", v.capabilities, v.error, v.reason, v.created_at as "createdAt",
         v.ready_at as "readyAt", v.terminated_at as "terminatedAt", v.version,
         (extract(epoch from v.created_at) * 1000000)::bigint::text as "cursorAt",
         array(select p.session_id from orchestrator.placements p where p.vm_id = v.vm_id
                order by p.assigned_at, p.session_id) as sessions
    from orchestrator.vms v`;

function toVm({ usedUnits, cursorAt: _, ...row }: VmRow): Vm {
  return {
    ...row,
    units: { total: 60, used: usedUnits },
    createdAt: row.createdAt.toISOString(),
    readyAt: row.readyAt?.toISOString() ?? null,
    terminatedAt: row.terminatedAt?.toISOString() ?? null,
  };
}

/** PostgreSQL counts in µs, JavaScript in ms. */
function instantOf(micros: number): string {
  const fraction = String(micros % 1_000_000).padStart(6, "0");
  return new Date(Math.floor(micros / 1_000_000) * 1000).toISOString().replace(/\.000Z$/, `.${fraction}Z`);
}
