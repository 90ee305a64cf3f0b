// The simulated provider's machines, in a table of its own: so they outlive the orchestrator, are the same for every
// replica, and can disagree with the VM rows, as a cloud's can.
import type { Database } from "../../platform/database.js";
import type { Instance } from "./provider.js";

export class SimulatedInstances {
  constructor(private readonly db: Database) {}

  /** `readyAt` null: it never becomes ready. One that exists already stays as it is. */
  async add(vmId: string, runningAt: Date, readyAt: Date | null): Promise<void> {
    await this.db.query(
      `insert into orchestrator.simulated_instances (vm_id, running_at, ready_at)
       values ($1, $2, coalesce($3, 'infinity'::timestamptz)) on conflict (vm_id) do nothing`,
      [vmId, runningAt, readyAt],
    );
  }

  async remove(vmId: string): Promise<void> {
    await this.db.query("delete from orchestrator.simulated_instances where vm_id = $1", [vmId]);
  }

  async list(now: Date): Promise<Instance[]> {
    return this.db.query<Instance>(
      `select vm_id as "vmId", case when running_at <= $1 then 'running' else 'pending' end as state
         from orchestrator.simulated_instances`,
      [now],
    );
  }

  async count(): Promise<number> {
    const { count } = await this.db.one<{ count: number }>("select count(*) from orchestrator.simulated_instances");
    return count;
  }

  /** Those that are up and have not been said to be ready. */
  async due(now: Date): Promise<string[]> {
    const rows = await this.db.query<{ vmId: string }>(
      `select vm_id as "vmId" from orchestrator.simulated_instances
        where not announced and ready_at <= $1 order by ready_at limit 500`,
      [now],
    );
    return rows.map(({ vmId }) => vmId);
  }

  async markAnnounced(vmIds: readonly string[]): Promise<void> {
    await this.db.query("update orchestrator.simulated_instances set announced = true where vm_id = any($1::text[])", [
      vmIds,
    ]);
  }

  /** When the next one starts running or becomes ready; null: nothing is to come. */
  async nextChangeAt(now: Date): Promise<Date | null> {
    const row = await this.db.one<{ at: Date | null }>(
      `select min(case when running_at > $1 then running_at else ready_at end) as at
         from orchestrator.simulated_instances where not announced and ready_at < 'infinity'`,
      [now],
    );
    return row.at;
  }
}
