// Which replicas of the orchestrator run, so that each may prefer its own share of the VMs.
import type { Database } from "../../platform/database.js";
import type { Rank } from "../store.js";

/** A replica that has not said so for that long is taken to be gone. */
export const silentMsMax = 20_000;

export async function sayHere(db: Database, replicaId: string, now: Date): Promise<Rank> {
  await db.query(
    `insert into orchestrator.replicas (replica_id, seen_at) values ($1, $2)
     on conflict (replica_id) do update set seen_at = excluded.seen_at`,
    [replicaId, now],
  );
  await db.query("delete from orchestrator.replicas where seen_at < $1", [new Date(now.getTime() - silentMsMax)]);
  const ids = await db.query<{ id: string }>("select replica_id as id from orchestrator.replicas order by replica_id");
  const index = ids.findIndex(({ id }) => id === replicaId);
  return { index: Math.max(0, index), count: Math.max(1, ids.length) };
}

export async function sayGone(db: Database, replicaId: string): Promise<void> {
  await db.query("delete from orchestrator.replicas where replica_id = $1", [replicaId]);
}
