// What operators see of the relay.
import { latencyStages } from "../contracts/latency.js";
import { verdictKind } from "../contracts/latency-verdict.js";
import { Counter, Gauge, Histogram, type Registry, Tally } from "../platform/metrics.js";

export class StreamingMetrics {
  readonly open: Gauge<"kind">;
  readonly relayed: Counter<"to" | "type">;
  /** Control input to agents linked here; of `relayed`. */
  readonly input = new Tally();
  readonly refused: Counter<"kind" | "reason">;
  readonly inputDropped: Counter;
  readonly feedUp: Gauge;
  readonly busUp: Gauge;
  readonly nodes: Gauge;
  readonly nodeMessages: Counter<"direction" | "to">;
  /** Control input to another node, and from one; of `nodeMessages`. */
  readonly nodeInput = { out: new Tally(), in: new Tally() };
  readonly nodeDropped: Counter<"reason">;
  readonly latency: Histogram<"stage" | "percentile">;
  readonly verdicts: Counter<"verdict">;

  constructor(registry: Registry) {
    const registers = [registry];
    this.open = new Gauge({
      name: "hotseat_streaming_sockets",
      help: "Open WebSockets, by kind; an agent's is the link to its VM",
      labelNames: ["kind"],
      registers,
    });
    const { input, nodeInput } = this;
    this.relayed = new Counter({
      name: "hotseat_streaming_messages_total",
      help: "Messages sent to players and agents, by type",
      labelNames: ["to", "type"],
      registers,
      collect() {
        this.inc({ to: "agent", type: "input" }, input.take());
      },
    });
    this.refused = new Counter({
      name: "hotseat_streaming_refused_total",
      help: "Sockets closed by this side, by reason",
      labelNames: ["kind", "reason"],
      registers,
    });
    this.inputDropped = new Counter({
      name: "hotseat_streaming_input_dropped_total",
      help: "Input messages of control sockets dropped because their agent was not there",
      registers,
    });
    this.feedUp = new Gauge({
      name: "hotseat_streaming_feed_up",
      help: "1: this process hears of every session's changes; 0: those who wait see nothing move",
      registers,
    });
    this.busUp = new Gauge({
      name: "hotseat_streaming_bus_up",
      help: "1: other streaming nodes can be reached, if there are any; a node without NATS is 1 always",
      registers,
    });
    this.nodes = new Gauge({
      name: "hotseat_streaming_nodes",
      help: "Other streaming nodes this one knows to be there",
      registers,
    });
    this.nodeMessages = new Counter({
      name: "hotseat_streaming_node_messages_total",
      help: "Messages that passed between nodes: to an agent, its input, or to a player",
      labelNames: ["direction", "to"],
      registers,
      collect() {
        for (const direction of ["in", "out"] as const)
          this.inc({ direction, to: "input" }, nodeInput[direction].take());
      },
    });
    this.nodeDropped = new Counter({
      name: "hotseat_streaming_node_dropped_total",
      help: "Messages between nodes that were not passed on: away and full (NATS), not-linked, malformed, too-long",
      labelNames: ["reason"],
      registers,
    });
    this.latency = new Histogram({
      name: "hotseat_streaming_latency_seconds",
      help: "From input to picture, by stage: p50, p95 and p99 of the last 10 s, as each player's page reports them every 5 s",
      labelNames: ["stage", "percentile"],
      buckets: [0.001, 0.005, 0.01, 0.02, 0.033, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5],
      registers,
    });
    this.verdicts = new Counter({
      name: "hotseat_streaming_latency_verdicts_total",
      help: "Latency reports of players' pages, by what their figures mean",
      labelNames: ["verdict"],
      registers,
    });
    for (const verdict of verdictKind.options) this.verdicts.inc({ verdict }, 0);
    for (const stage of latencyStages)
      for (const percentile of ["50", "95", "99"]) this.latency.zero({ stage, percentile });
    for (const kind of ["signalling", "control", "agent"] as const) this.open.set({ kind }, 0);
  }
}
