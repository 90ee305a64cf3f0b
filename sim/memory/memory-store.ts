// The orchestrator's store in memory, put together: what a simulated replica gets where the product gets PostgreSQL.
import { decodeDecision } from "../../src/orchestrator/placement/decision.js";
import { silentMsMax } from "../../src/orchestrator/placement/replicas-store.js";
import type { Decisions, OrchestratorStore, Rank, Replicas, StoreSettings } from "../../src/orchestrator/store.js";
import { MemoryEnrolments, MemoryLeases } from "./agents.js";
import { MemoryOutbox } from "./outbox.js";
import { MemoryPlacements } from "./placements.js";
import { MemoryHolds, MemoryPools } from "./pools.js";
import { MemorySeats } from "./seats.js";
import { knownVm, type MemoryTables } from "./tables.js";
import { MemoryVms } from "./vms.js";

export function memoryStore(tables: MemoryTables, settings: StoreSettings): OrchestratorStore {
  const { clock, replicaId } = settings;
  return {
    vms: new MemoryVms(tables, settings),
    placements: new MemoryPlacements(tables, settings),
    seats: new MemorySeats(tables),
    decisions: memoryDecisions(tables),
    pools: new MemoryPools(tables, settings),
    holds: new MemoryHolds(tables),
    leases: new MemoryLeases(tables, clock),
    enrolments: new MemoryEnrolments(tables, clock),
    replicas: memoryReplicas(tables, settings),
    fleetFeed: {
      read: async () => [...tables.tracked].filter(({ status }) => status !== "TERMINATED").map(knownVm),
      listen: (hear) => tables.listenToFleet(hear),
    },
    outbox: new MemoryOutbox(tables, replicaId),
    signals: { listen: (hear) => tables.listenToSignals(hear) },
  };
}

const memoryDecisions = ({ decisions }: MemoryTables): Decisions => ({
  async find(sessionId) {
    const kept = decisions.get(sessionId);
    return kept === undefined ? null : { ...kept, why: decodeDecision(kept.why) };
  },
  async forget(before) {
    for (const [sessionId, { decidedAt }] of decisions) if (decidedAt < before) decisions.delete(sessionId);
  },
});

const memoryReplicas = ({ replicas }: MemoryTables, { replicaId, clock }: StoreSettings): Replicas => ({
  async sayHere(): Promise<Rank> {
    const nowMs = clock.now();
    replicas.set(replicaId, nowMs);
    for (const [id, seenAtMs] of replicas) if (seenAtMs < nowMs - silentMsMax) replicas.delete(id);
    return { index: [...replicas.keys()].sort().indexOf(replicaId), count: replicas.size };
  },
  async sayGone() {
    replicas.delete(replicaId);
  },
});
