// What operators see of the relay.
import { Counter, Gauge, type Registry } from "../platform/metrics.js";

export class StreamingMetrics {
  readonly open: Gauge<"kind">;
  readonly relayed: Counter<"to" | "type">;
  readonly refused: Counter<"kind" | "reason">;
  readonly inputDropped: Counter;
  readonly feedUp: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    this.open = new Gauge({
      name: "hotseat_streaming_sockets",
      help: "Open WebSockets, by kind; an agent's is the link to its VM",
      labelNames: ["kind"],
      registers,
    });
    this.relayed = new Counter({
      name: "hotseat_streaming_messages_total",
      help: "Messages sent to players and agents, by type",
      labelNames: ["to", "type"],
      registers,
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
    for (const kind of ["signalling", "control", "agent"] as const) this.open.set({ kind }, 0);
  }
}
