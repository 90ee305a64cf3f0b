// What the local provider keeps on disk for a VM, in a folder of the VM's name: `agent.json` (the agent's configuration,
// with its bootstrap token: readable by us alone), `process.json` (which process it is), `agent.log`.
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { templateId } from "../../contracts/catalog.js";

const processRecord = z.object({ pid: z.int(), startedAt: z.string(), templateId });
export type ProcessRecord = z.infer<typeof processRecord>;

/** A single one as an agent of an earlier version reads it. */
const streamingUrl = z.union([z.string(), z.array(z.string())]);
const agentSettings = z.looseObject({ orchestratorUrl: z.string(), streamingUrl, templateId });
export type AgentUrls = Pick<z.infer<typeof agentSettings>, "orchestratorUrl" | "streamingUrl">;

const logTailBytes = 2_000;

export class LocalFiles {
  constructor(private readonly dir: string) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }

  vmIds(): string[] {
    return readdirSync(this.dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  }

  configPath(vmId: string): string {
    return join(this.dir, vmId, "agent.json");
  }

  writeConfig(vmId: string, config: AgentUrls & Record<string, unknown>): void {
    mkdirSync(join(this.dir, vmId), { recursive: true, mode: 0o700 });
    writeAtomically(this.configPath(vmId), config);
  }

  /** Null when there is none that can be read. */
  readConfig(vmId: string): z.infer<typeof agentSettings> | null {
    return readJson(this.configPath(vmId), agentSettings);
  }

  writeProcess(vmId: string, record: ProcessRecord): void {
    writeAtomically(join(this.dir, vmId, "process.json"), record);
  }

  readProcess(vmId: string): ProcessRecord | null {
    return readJson(join(this.dir, vmId, "process.json"), processRecord);
  }

  /** A descriptor to append to its log with, open during `use`. */
  withLog<R>(vmId: string, use: (descriptor: number) => R): R {
    const descriptor = openSync(join(this.dir, vmId, "agent.log"), "a", 0o600);
    try {
      return use(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  logTail(vmId: string): string {
    return (readOrNull(join(this.dir, vmId, "agent.log")) ?? "").slice(-logTailBytes);
  }

  remove(vmId: string): void {
    rmSync(join(this.dir, vmId), { recursive: true, force: true });
  }
}

function writeAtomically(path: string, content: unknown): void {
  const temporary = `${path}.${randomBytes(4).toString("hex")}`;
  writeFileSync(temporary, JSON.stringify(content, null, 2), { mode: 0o600 });
  renameSync(temporary, path);
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

function readJson<S extends z.ZodType>(path: string, schema: S): z.output<S> | null {
  const text = readOrNull(path);
  if (text === null) return null;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null;
    throw error;
  }
}
