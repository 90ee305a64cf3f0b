// Which key speaks for a VM. Bootstrap tokens are kept by their hash alone and are used up by the first to show them.
import { Problem } from "../../contracts/problems.js";
import type { Clock } from "../../platform/clock.js";
import type { Database } from "../../platform/database.js";
import { noSuchVm } from "../vm/vm-rows-store.js";
import type { AgentKey } from "./proof.js";

export class EnrolmentStore {
  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
  ) {}

  /** @throws Problem not-found for the VM, forbidden for a token that is wrong, used, expired or another VM's */
  async enrol(vmId: string, bootstrapHash: string, key: AgentKey): Promise<void> {
    const enrolled = await this.db.query(
      `update orchestrator.vms set agent_key = $3, bootstrap_hash = null, bootstrap_expires_at = null, heard_at = $4
        where vm_id = $1 and bootstrap_hash = $2 and bootstrap_expires_at > $4
          and status in ('PROVISIONING', 'BOOTING')
        returning vm_id`,
      [vmId, bootstrapHash, key, new Date(this.clock.now())],
    );
    if (enrolled.length > 0) return;
    const known = await this.db.maybeOne("select from orchestrator.vms where vm_id = $1", [vmId]);
    if (known === null) throw noSuchVm(vmId);
    throw new Problem("forbidden", "The bootstrap token is not this VM's, or was used, or has expired.");
  }

  /** @throws Problem not-found, or forbidden while no agent has enrolled */
  async keyOf(vmId: string): Promise<AgentKey> {
    const row = await this.db.maybeOne<{ key: AgentKey | null }>(
      "select agent_key as key from orchestrator.vms where vm_id = $1",
      [vmId],
    );
    if (row === null) throw noSuchVm(vmId);
    if (row.key === null) throw new Problem("forbidden", `No agent has enrolled for VM ${vmId}.`);
    return row.key;
  }
}
