// `hotseat agent`: the host agent of one VM.
import { runAgent } from "../agent/main.js";
import { readAgentConfig } from "../agent/supervisor/agent-config.js";
import { createLog } from "../platform/log.js";

export async function runAgentRole({ config: path }: { config: string }, signal: AbortSignal): Promise<void> {
  const { vmId, logLevel, logFile } = await readAgentConfig(path);
  const log = createLog({ name: "hotseat-agent", level: logLevel, file: logFile }).child({ vmId });
  const why = await runAgent(path, { signal, log });
  log.info({ why }, "the agent has ended");
}
