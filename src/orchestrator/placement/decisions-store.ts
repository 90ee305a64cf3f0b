// Why sessions got their VMs, kept for as long as events are. (Written with each seat: seats-store.ts, placement-store.ts.)
import type { Database } from "../../platform/database.js";
import type { Decisions, KeptDecision } from "../store.js";
import { decodeDecision } from "./decision.js";

export class PlacementDecisions implements Decisions {
  constructor(private readonly db: Database) {}

  async find(sessionId: string): Promise<KeptDecision | null> {
    const row = await this.db.maybeOne<{ vmId: string; decidedAt: Date; why: string }>(
      `select vm_id as "vmId", decided_at as "decidedAt", why from orchestrator.decisions where session_id = $1`,
      [sessionId],
    );
    return row && { ...row, why: decodeDecision(row.why) };
  }

  async forget(before: Date): Promise<void> {
    await this.db.query("delete from orchestrator.decisions where decided_at < $1", [before]);
  }
}
