// VMs on this machine: one host-agent process each, detached, so that it and its players outlive the orchestrator.
//
// A process is known by pid and start time, kept beside its configuration: after a restart it is adopted (and told our
// present URLs), or found dead. Writing the configuration comes before the process, its identity right after it; a crash
// in between leaves a process that is found by its command line. It is watched, and its death reported at once.
//
// Templates are names here: what the machine carries is what an agent's probe says. Until one did, there is one VM;
// afterwards all VMs together carry as many sessions as the machine does.
import { type ChildProcess, spawn } from "node:child_process";
import type { TemplateId } from "../../contracts/catalog.js";
import { endProcess } from "../../platform/child-process.js";
import type { Log } from "../../platform/log.js";
import {
  commandLine,
  isAlive,
  listProcesses,
  type ProcessIdentity,
  processIdentity,
} from "../../platform/process-identity.js";
import { templates } from "../catalog/templates.js";
import { type AgentUrls, LocalFiles } from "./local-files.js";
import { CapacityError, type Instance, type LaunchSpec, type Provider, ProviderError } from "./provider.js";

const watchMs = 250;
const termMs = 2_000;

export interface LocalOptions {
  /** Where the VMs' folders are. */
  readonly dir: string;
  /** Program and arguments; the configuration's path is appended. */
  readonly agentCommand: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Goes into every agent's configuration. */
  readonly agentSettings: Readonly<Record<string, unknown>>;
  readonly urls: AgentUrls;
  /** Sessions this machine carries; null while no agent has measured it. */
  readonly seatsMax: () => Promise<number | null>;
  readonly log: Log;
}

interface Machine {
  readonly process: ProcessIdentity;
  readonly templateId: TemplateId;
}

export class LocalProvider implements Provider {
  readonly listLagMsMax = 0;
  readonly #files: LocalFiles;
  readonly #machines = new Map<string, Machine>();
  readonly #listeners = new Set<() => void>();
  readonly #watch: NodeJS.Timeout;
  #launching: Promise<void> = Promise.resolve();

  /** Adopts the agents that an earlier orchestrator left running. */
  static async open(options: LocalOptions): Promise<LocalProvider> {
    const provider = new LocalProvider(options);
    await provider.#adopt();
    return provider;
  }

  private constructor(private readonly options: LocalOptions) {
    this.#files = new LocalFiles(options.dir);
    this.#watch = setInterval(() => this.#lookForDead(), watchMs).unref();
  }

  /** One after another, so that two do not take the same last seats. */
  launch(spec: LaunchSpec): Promise<void> {
    const launched = this.#launching.then(() => this.#launch(spec));
    this.#launching = launched.catch(() => undefined); // its caller is told; the next launch is not its victim
    return launched;
  }

  async terminate(vmId: string): Promise<void> {
    const machine = this.#machines.get(vmId);
    this.#machines.delete(vmId);
    try {
      if (machine !== undefined) await endProcess(machine.process, { termMs, group: true });
    } catch (cause) {
      if (machine !== undefined) this.#machines.set(vmId, machine);
      throw new ProviderError(`The agent of VM ${vmId} does not end.`, { cause });
    }
    this.#files.remove(vmId);
  }

  async list(): Promise<Instance[]> {
    this.#lookForDead();
    return [...this.#machines.keys()].map((vmId) => ({ vmId, state: "running" }));
  }

  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Stops watching; the agents run on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#launching;
    clearInterval(this.#watch);
    this.#listeners.clear();
  }

  async #launch({ vmId, epoch, templateId, bootstrapToken }: LaunchSpec): Promise<void> {
    if (this.#machines.has(vmId)) return;
    await this.#checkRoom(templateId);
    const { urls, agentSettings, agentCommand, environment } = this.options;
    this.#files.writeConfig(vmId, { ...agentSettings, ...urls, vmId, templateId, epoch, bootstrapToken });
    const [program = "", ...args] = agentCommand;
    const child = this.#files.withLog(vmId, (log) =>
      spawn(program, [...args, this.#files.configPath(vmId)], {
        detached: true,
        stdio: ["ignore", log, log],
        env: { ...environment },
      }),
    );
    const process = await identityOf(child);
    if (process === null) throw new ProviderError(`The agent's program ${program} does not start.`);
    this.#files.writeProcess(vmId, { ...process, templateId });
    this.#machines.set(vmId, { process, templateId });
    child.once("exit", () => this.#lookForDead());
    child.unref();
  }

  async #checkRoom(templateId: TemplateId): Promise<void> {
    const seatsMax = await this.options.seatsMax();
    if (seatsMax === null) {
      if (this.#machines.size > 0)
        throw new CapacityError("What this machine carries is not known before its first VM is ready.", "provider");
      return;
    }
    const seatsOf = (template: TemplateId) => Math.min(templates[template].sessions, seatsMax);
    const taken = [...this.#machines.values()].reduce((sum, machine) => sum + seatsOf(machine.templateId), 0);
    if (taken + seatsOf(templateId) > seatsMax)
      throw new CapacityError(`This machine carries ${seatsMax} sessions, and its VMs have them all.`, "provider");
  }

  async #adopt(): Promise<void> {
    for (const vmId of this.#files.vmIds()) {
      const config = this.#files.readConfig(vmId);
      const process = this.#files.readProcess(vmId) ?? this.#findProcess(vmId);
      if (config === null || process === null || !isAlive(process)) {
        if (process !== null) await endProcess(process, { termMs, group: true });
        this.#files.remove(vmId);
        continue;
      }
      this.#files.writeConfig(vmId, { ...config, ...this.options.urls });
      this.#files.writeProcess(vmId, { ...process, templateId: config.templateId });
      this.#machines.set(vmId, { process, templateId: config.templateId });
      this.options.log.info({ vmId, pid: process.pid }, "a local VM was adopted");
    }
  }

  #findProcess(vmId: string): ProcessIdentity | null {
    const command = [...this.options.agentCommand, this.#files.configPath(vmId)].join(" ");
    return listProcesses().find(({ pid }) => commandLine(pid) === command) ?? null;
  }

  #lookForDead(): void {
    const dead = [...this.#machines].filter(([, { process }]) => !isAlive(process));
    for (const [vmId, { process }] of dead) {
      this.#machines.delete(vmId);
      this.options.log.warn({ vmId, pid: process.pid, lastWords: this.#files.logTail(vmId) }, "a local VM died");
      // Its session processes are in its group: nobody would end them now.
      endProcess(process, { termMs, group: true }).catch((error: unknown) =>
        this.options.log.error({ err: error, vmId }, "what a dead local VM left running does not end"),
      );
    }
    if (dead.length > 0) for (const listener of this.#listeners) listener();
  }
}

/** Null: it could not be started, or ended before it could be named. */
async function identityOf(child: ChildProcess): Promise<ProcessIdentity | null> {
  if (child.pid !== undefined) return processIdentity(child.pid);
  await new Promise((resolve) => child.once("error", resolve));
  return null;
}
