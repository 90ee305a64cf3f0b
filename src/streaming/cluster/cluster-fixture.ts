// A node among others on a bus in memory, whose links and players are the test's.

import type { Session } from "../../contracts/session.js";
import type { ToAgent } from "../../contracts/signalling.js";
import type { StreamStatus } from "../../contracts/streaming.js";
import { createLog } from "../../platform/log.js";
import type { MemoryHub } from "../../platform/memory-bus.js";
import { Registry } from "../../platform/metrics.js";
import { StreamingMetrics } from "../metrics.js";
import type { AgentAnswer } from "../signalling/relay.js";
import { Cluster } from "./cluster.js";

export const statusOf = ({ sessionId, vmId }: Session): StreamStatus => ({
  sessionId,
  vmId,
  connection: "waiting",
  players: 1,
  since: null,
  latency: null,
});

export interface TestNode extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly metrics: StreamingMetrics;
  /** What reached the agents linked here, and the players. */
  readonly heard: { readonly agents: (ToAgent | Uint8Array)[]; readonly players: AgentAnswer[] };
  cut(off: boolean): void;
}

export function openNode(hub: MemoryHub, nodeId: string, monotonicMs = () => performance.now()): TestNode {
  const bus = hub.open();
  const metrics = new StreamingMetrics(new Registry());
  const heard: TestNode["heard"] = { agents: [], players: [] };
  const cluster = new Cluster({
    nodeId,
    prefix: "test",
    bus,
    publicUrl: () => `http://${nodeId}.example.org/`,
    links: { send: (_, message) => heard.agents.push(message) > 0, supersede: () => {} },
    players: {
      linkChanged: () => {},
      agentAnswered: (_, message) => heard.players.push(message),
      status: statusOf,
      count: () => 0,
    },
    sessionSaid: () => {},
    monotonicMs,
    metrics,
    log: createLog({ name: "test", level: "silent" }),
  });
  return {
    cluster,
    metrics,
    heard,
    cut: (off) => bus.cut(off),
    async [Symbol.asyncDispose]() {
      cluster[Symbol.dispose]();
      await bus[Symbol.asyncDispose]();
    },
  };
}
