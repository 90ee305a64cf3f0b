// A replica's store as the wire leaves it: every verb of every port goes over it, and news come late, twice, out of
// order, or not at all for a while.
import type { RelayStore } from "../src/orchestrator/events/relay.js";
import type { FleetFeed, OrchestratorStore } from "../src/orchestrator/store.js";
import type { Process } from "./kernel/process.js";
import type { Stage } from "./stage.js";
import type { CallKind, Wire } from "./wire.js";

/** Verbs that change nothing; all others may. */
const reads = new Set([
  "get",
  "list",
  "find",
  "read",
  "records",
  "readFleet",
  "readQueue",
  "waitingDemand",
  "someoneWaits",
  "position",
  "waitingByRegion",
  "learntSessionsMax",
  "survey",
  "keyOf",
  "check",
  "waits",
  "backlogs",
]);

/** Verbs that change neither VMs nor sessions. */
const notes = new Set(["lead", "publishedTo", "stopLeading", "sayHere", "sayGone", "forget"]);

/** The port with every verb going over the wire. */
export function overWire<Port extends object>(name: string, port: Port, wire: Wire): Port {
  const verbs = new Map<string | symbol, unknown>();
  return new Proxy(port, {
    get(target, verb) {
      if (!verbs.has(verb)) verbs.set(verb, wired(target, verb));
      return verbs.get(verb);
    },
  });
  function wired(target: Port, verb: string | symbol): unknown {
    const method: unknown = Reflect.get(target, verb);
    if (typeof method !== "function" || typeof verb !== "string") return method;
    const kind: CallKind = reads.has(verb) ? "read" : notes.has(verb) ? "note" : "write";
    const what = `${name}.${verb}`;
    return (...args: unknown[]) => wire.call(kind, what, args, async () => method.apply(target, args));
  }
}

export function faultyStore(store: OrchestratorStore, wire: Wire, hearing: Hearing): OrchestratorStore {
  const { vms, placements, seats, decisions, pools, holds, leases, enrolments, replicas } = store;
  const { fleetFeed, outbox, signals } = store;
  return {
    vms: overWire("vms", vms, wire),
    placements: overWire("placements", placements, wire),
    seats: overWire("seats", seats, wire),
    decisions: overWire("decisions", decisions, wire),
    pools: overWire("pools", pools, wire),
    holds: overWire("holds", holds, wire),
    leases: overWire("leases", leases, wire),
    enrolments: overWire("enrolments", enrolments, wire),
    replicas: overWire("replicas", replicas, wire),
    fleetFeed: {
      read: overWire<Pick<FleetFeed, "read">>("fleetFeed", fleetFeed, wire).read,
      listen: faultyNotices(fleetFeed, "news", hearing).listen,
    },
    outbox: {
      forSink: (sink) => overWire<RelayStore>(`relay ${sink}`, outbox.forSink(sink), wire),
      backlogs: overWire("outbox", outbox, wire).backlogs,
      prune: overWire("outbox", outbox, wire).prune,
    },
    signals: faultyNotices(signals, "signals", hearing),
  };
}

interface Hearing {
  readonly stage: Stage;
  readonly process: Process;
}

interface Listening {
  readonly kind: "listening";
}

/** Deafness ends by saying so, as a listener's new connection does. */
function faultyNotices<Notice extends { readonly kind: string }>(
  source: { listen(hear: (notice: Notice | Listening) => void): AsyncDisposable },
  what: string,
  { stage, process }: Hearing,
): { listen(hear: (notice: Notice | Listening) => void): AsyncDisposable } {
  const { faults, kernel } = stage;
  const random = stage.random(`${what} ${process.name}`);
  let deaf = false;
  const faulty = (hear: (notice: Notice | Listening) => void) => (notice: Notice | Listening) => {
    if (!process.alive || deaf) return;
    if (faults.strikes("news-gap", `${what} ${process.name}`)) {
      deaf = true;
      kernel.after(faults.random("news-gap").between(100, 20_000), () => {
        deaf = false;
        process.after(1, () => hear({ kind: "listening" }));
      });
      return;
    }
    const late = faults.strikes("reordered-message", what);
    const delayMs = late ? faults.random("reordered-message").between(50, 3_000) : random.between(0, 3);
    process.after(delayMs, () => hear(notice));
    if (!faults.strikes("duplicate-message", what)) return;
    process.after(faults.random("duplicate-message").between(10, 10_000), () => hear(notice));
  };
  return { listen: (hear) => source.listen(faulty(hear)) };
}
