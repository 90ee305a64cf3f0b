// The agent as a process, without the command line around it: `node run-agent.mjs <config file>`.
import { runAgent } from "../../dist/agent/main.js";
import { createLog } from "../../dist/platform/log.js";

const stop = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => stop.abort());
const log = createLog({ name: "agent", level: "debug" });
try {
  await runAgent(process.argv[2], { signal: stop.signal, log });
} catch (error) {
  log.fatal({ err: error }, "the agent failed");
  process.exitCode = 1;
}
