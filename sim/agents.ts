// The host agents on the simulated machines, as src/agent behaves towards the orchestrator: enrol with the bootstrap
// token, say ready, then beat every 5 s and run what the answer says; end when fenced, refused, or alone for too long.

import { Problem } from "../src/contracts/problems.js";
import type { AgentKey } from "../src/orchestrator/agents/proof.js";
import { templates } from "../src/orchestrator/catalog/templates.js";
import { hashKey } from "../src/platform/secrets.js";
import type { Cloud, Machine } from "./cloud.js";
import { Process } from "./kernel/process.js";
import type { Random } from "./kernel/random.js";
import type { Network } from "./network.js";
import type { Life } from "./replica-slot.js";
import type { Stage } from "./stage.js";

const beatMs = 5_000;
const aloneMsMax = 60_000;
const backoffMs = { least: 300, most: 4_000 };

export interface Agent {
  readonly machine: Machine;
  readonly cloud: Cloud;
  readonly process: Process;
  readonly key: AgentKey;
  /** What it is allowed to say of itself: null until it has enrolled. */
  epoch: number | null;
  up: boolean;
  beats: boolean;
  /** Cut off from the orchestrator, not from its players. */
  silentUntilMs: number;
  heardAtMs: number;
  beatAtMs: number;
  seats: readonly string[];
  /** The VM's, as it was told its seats. */
  version: number | null;
}

/** What an agent does that the rules are about. */
export interface AgentWitness {
  readonly enrolled: (agent: Agent) => void;
  readonly beaten: (agent: Agent) => void;
  readonly fenced: (agent: Agent) => void;
}

export class Agents {
  readonly #agents = new Map<string, Agent>();
  readonly #random: Random;

  constructor(
    private readonly stage: Stage,
    private readonly network: Network,
    private readonly options: { bootMs: readonly [least: number, most: number]; bootMsMax: number },
    private readonly witness: AgentWitness,
  ) {
    this.#random = stage.random("agents");
    this.#beatAll();
  }

  all(): IterableIterator<Agent> {
    return this.#agents.values();
  }

  /** Whether its agent has come up. */
  isUp(machine: Machine): boolean {
    return this.#agents.get(machine.id)?.up === true;
  }

  /** The machine runs: its agent boots. */
  boot(machine: Machine, cloud: Cloud): void {
    const { stage } = this;
    if (stage.faults.strikes("boot-never", machine.id)) return;
    const agent: Agent = {
      machine,
      cloud,
      process: new Process(`agent ${machine.id}`, stage.kernel),
      key: { kty: "OKP", crv: "Ed25519", x: machine.id },
      epoch: null,
      up: false,
      beats: false,
      silentUntilMs: 0,
      heardAtMs: stage.kernel.nowMs,
      beatAtMs: 0,
      seats: [],
      version: null,
    };
    this.#agents.set(machine.id, agent);
    const late = stage.faults.strikes("boot-late", machine.id)
      ? this.options.bootMsMax + stage.faults.random("boot-late").between(1_000, 60_000)
      : 0;
    agent.process.after(late + this.#random.between(...this.options.bootMs), () => void this.#live(agent));
  }

  /** The machine is gone. */
  gone(machine: Machine): void {
    this.#agents.get(machine.id)?.process.crash();
    this.#agents.delete(machine.id);
  }

  silence(agent: Agent, lastsMs: number): void {
    agent.silentUntilMs = this.stage.kernel.nowMs + lastsMs;
  }

  async #live(agent: Agent): Promise<void> {
    agent.up = true;
    try {
      agent.epoch = await this.#enrol(agent);
      agent.heardAtMs = this.stage.kernel.nowMs;
      this.stage.trace.add(`${agent.process.name} speaks for ${agent.machine.spec.vmId} at ${agent.epoch}`);
      this.witness.enrolled(agent);
      await this.#announce(agent);
      agent.beats = true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#refused(agent, error);
    }
  }

  async #enrol(agent: Agent): Promise<number> {
    const { vmId, bootstrapToken, epoch } = agent.machine.spec;
    const hash = hashKey(bootstrapToken);
    let mayHaveArrived = false;
    return this.#insist(agent, async () => {
      try {
        return await this.#ask(agent, "enrol", ({ replica }) =>
          replica.store.enrolments.enrol(vmId, hash, agent.key, epoch),
        );
      } catch (error) {
        if (mayHaveArrived && error instanceof Problem && error.type === "forbidden") return this.#prove(agent);
        mayHaveArrived = true;
        throw error;
      }
    });
  }

  /** An enrolment whose answer was lost has used the token up, for this very key. */
  async #prove(agent: Agent): Promise<number> {
    const { vmId, epoch } = agent.machine.spec;
    const known = await this.#ask(agent, "renew", ({ replica }) => replica.store.enrolments.keyOf(vmId, epoch));
    if (known.key.x !== agent.key.x) throw new Problem("forbidden", "The proof is not one by this VM's agent.");
    return known.epoch;
  }

  async #announce(agent: Agent): Promise<void> {
    const { vmId, templateId } = agent.machine.spec;
    const capabilities = {
      encoder: "h264_nvenc",
      pixelsPerSecond: 1e9,
      sustains: { width: 1920, height: 1080, fps: 60 },
      sessionsMax: templates[templateId].sessions,
    };
    await this.#insist(agent, () =>
      this.#ask(agent, "ready", async ({ replica: { store } }) => {
        await store.enrolments.check(vmId, agent.epoch!);
        try {
          await store.vms.markReady(vmId, capabilities);
        } catch (error) {
          if (!(error instanceof Problem) || error.type !== "illegal-transition") throw error;
          const { status } = await store.vms.get(vmId);
          if (status === "PROVISIONING" || status === "BOOTING") throw new Problem("unavailable", `still ${status}`);
        }
      }),
    );
  }

  #ask<T>(agent: Agent, what: string, handle: (life: Life) => Promise<T>): Promise<T> {
    if (this.stage.kernel.nowMs < agent.silentUntilMs) return Promise.reject(new Problem("unavailable", "cut off"));
    return this.network.request(`${what} ${agent.machine.spec.vmId}`, handle);
  }

  /** Again and again while nobody answers. */
  async #insist<T>(agent: Agent, attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const answer = await attempt();
        await agent.process.sleep(1);
        return answer;
      } catch (error) {
        if (!(error instanceof Problem) || error.type !== "unavailable") throw error;
        await agent.process.sleep(this.#random.between(backoffMs.least, backoffMs.most));
      }
    }
  }

  #refused(agent: Agent, problem: Problem): void {
    this.stage.trace.add(`${agent.process.name} of ${agent.machine.spec.vmId} ends: ${problem.message}`);
    if (problem.type === "agent-fenced") this.witness.fenced(agent);
    agent.cloud.end(agent.machine);
  }

  /** All beat at once, and reach the same replica, which is as hard as it gets. */
  #beatAll(): void {
    const { kernel, faults, trace } = this.stage;
    kernel.after(beatMs, () => this.#beatAll());
    const life = this.network.choose();
    const beating: Agent[] = [];
    for (const agent of [...this.#agents.values()]) {
      if (!agent.beats || !agent.process.running) continue;
      if (agent.seats.length === 0 && kernel.nowMs - agent.heardAtMs > aloneMsMax) {
        trace.add(`${agent.process.name} ends: it was alone`);
        agent.cloud.end(agent.machine);
      } else if (kernel.nowMs >= agent.silentUntilMs && !faults.strikes("request-lost", "heartbeat"))
        beating.push(agent);
    }
    if (life === null || beating.length === 0) return;
    life.process.after(this.#random.between(1, 20), () => {
      for (const agent of beating) void this.#beat(agent, life);
    });
  }

  async #beat(agent: Agent, life: Life): Promise<void> {
    const { kernel, faults } = this.stage;
    const { vmId } = agent.machine.spec;
    const sentAtMs = kernel.nowMs;
    agent.beatAtMs = sentAtMs;
    const { version } = agent;
    const beat = () => life.replica.heartbeats.renew({ vmId, epoch: agent.epoch!, version });
    if (faults.strikes("duplicate-message", "heartbeat"))
      life.process.after(
        faults.random("duplicate-message").between(100, 20_000),
        () => void beat().catch(() => undefined),
      );
    try {
      const told = await beat();
      this.witness.beaten(agent);
      if (!this.#hears(agent, sentAtMs) || faults.strikes("reply-lost", "heartbeat")) return;
      agent.heardAtMs = kernel.nowMs;
      agent.version = told.version;
      if (told.seats !== null) agent.seats = told.seats.map(({ sessionId }) => sessionId);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (this.#hears(agent, sentAtMs) && error.type !== "unavailable") this.#refused(agent, error);
    }
  }

  /** The answer to an earlier beat is no longer waited for. */
  #hears(agent: Agent, sentAtMs: number): boolean {
    return agent.process.alive && this.stage.kernel.nowMs >= agent.silentUntilMs && agent.beatAtMs === sentAtMs;
  }
}
