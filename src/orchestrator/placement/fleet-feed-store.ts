// The fleet for the replicas' memory (live-fleet.ts): read whole, and told of by the trigger in 002-group-commit.sql.
import { providerId, regionId, templateId } from "../../contracts/catalog.js";
import { vmStatus } from "../../contracts/orchestrator.js";
import type { Database } from "../../platform/database.js";
import type { FleetFeed, FleetNotice } from "../store.js";
import { candidateColumns } from "../vm/vm-rows-store.js";
import type { KnownVm } from "./fleet-index.js";

const fleetChannel = "orchestrator_fleet";

export class SqlFleetFeed implements FleetFeed {
  constructor(private readonly db: Database) {}

  read(): Promise<KnownVm[]> {
    return this.db.query<KnownVm>({
      name: "live-fleet",
      text: `select ${candidateColumns} from orchestrator.vms v where v.status not in ('TEMPLATE', 'TERMINATED')`,
    });
  }

  listen(hear: (notice: FleetNotice) => void): AsyncDisposable {
    return this.db.listen(fleetChannel, (notice) =>
      hear(notice.kind === "listening" ? notice : parseNews(notice.payload)),
    );
  }
}

/** As the trigger writes it: a line for each VM; of one that is gone only its id. */
function parseNews(payload: string): FleetNotice {
  const vms: KnownVm[] = [];
  const gone: string[] = [];
  for (const line of payload.split("\n")) {
    const [vmId = "", ...facts] = line.split("|");
    if (facts.length > 1) vms.push(parseFacts(vmId, facts));
    else gone.push(vmId);
  }
  return { kind: "changed", vms, gone };
}

function parseFacts(vmId: string, facts: readonly string[]): KnownVm {
  const [region, template, provider, status, version, reachable, usedUnits, sessionsMax] = facts;
  return {
    vmId,
    region: regionId.parse(region),
    templateId: templateId.parse(template),
    provider: providerId.parse(provider),
    status: vmStatus.parse(status),
    version: Number(version),
    reachable: reachable === "1",
    usedUnits: Number(usedUnits),
    sessionsMax: sessionsMax === "-" ? null : Number(sessionsMax),
  };
}
