// The store in PostgreSQL, put together.
import type { Database } from "../platform/database.js";
import { EnrolmentStore } from "./agents/enrolment-store.js";
import { LeaseStore } from "./agents/lease-store.js";
import { PoolStore } from "./autoscaling/pool-store.js";
import { listenForChanges, pruneEvents } from "./events/outbox-store.js";
import { readBacklogs, SqlRelayStore } from "./events/relay-store.js";
import { forgetHolds, readHolds } from "./placement/capacity-holds-store.js";
import { PlacementDecisions } from "./placement/decisions-store.js";
import { SqlFleetFeed } from "./placement/fleet-feed-store.js";
import { PlacementStore } from "./placement/placement-store.js";
import { sayGone, sayHere } from "./placement/replicas-store.js";
import { SeatsStore } from "./placement/seats-store.js";
import type { OrchestratorStore, StoreSettings } from "./store.js";
import { VmStore } from "./vm/vm-store.js";

export function sqlStore(db: Database, settings: StoreSettings): OrchestratorStore {
  const { replicaId, clock, waitMsMax, places, budget, quotas, newVmId, etaMet, drainMsOf } = settings;
  return {
    vms: new VmStore(db, clock, { waitMsMax }),
    placements: new PlacementStore(db, clock, { places, budget, quotas, waitMsMax, newVmId, etaMet }),
    seats: new SeatsStore(db),
    decisions: new PlacementDecisions(db),
    pools: new PoolStore(db, clock, {
      newVm: (place) => ({
        ...place,
        vmId: newVmId(),
        provider: places(place.region, place.templateId).provider,
        tenant: null,
      }),
      drainMsOf,
    }),
    holds: {
      read: () => readHolds(db),
      forget: (before) => forgetHolds(db, before),
    },
    leases: new LeaseStore(db, clock),
    enrolments: new EnrolmentStore(db, clock),
    replicas: {
      sayHere: () => sayHere(db, replicaId, new Date(clock.now())),
      sayGone: () => sayGone(db, replicaId),
    },
    fleetFeed: new SqlFleetFeed(db),
    outbox: {
      forSink: (sink) => new SqlRelayStore(db, sink, replicaId),
      backlogs: (sinks) => readBacklogs(db, sinks),
      prune: (before) => pruneEvents(db, before),
    },
    signals: { listen: (hear) => listenForChanges(db, hear) },
  };
}
