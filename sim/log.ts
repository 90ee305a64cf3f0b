// A replica's log: into the trace, and looked through for what no fault explains.
import { createLog, type Log } from "../src/platform/log.js";
import type { Stage } from "./stage.js";

/** What the simulated world throws, and what the product makes of it. */
const explained = new Set(["Problem", "ProviderError", "CapacityError", "SinkError"]);

interface Line {
  readonly msg: string;
  readonly err?: { readonly type: string; readonly message: string; readonly stack: string };
}

export function simulatedLog(stage: Stage, name: string): Log {
  const write = (text: string) => {
    const { msg, err } = JSON.parse(text) as Line;
    stage.trace.add(`${name} log: ${msg}${err ? `: ${err.message}` : ""}`);
    if (err && !explained.has(err.type)) stage.break("nothing unexpected is thrown", `${msg}: ${err.stack}`);
  };
  return createLog({ name, level: "warn", stream: { write } });
}
