// The faults that come by themselves and last a while: outages, silences, pauses, losses.
import { placeKey } from "../src/orchestrator/placement/fleet.js";
import type { Agents } from "./agents.js";
import type { Cloud } from "./cloud.js";
import type { Consumer } from "./consumer.js";
import type { PeriodKind } from "./faults.js";
import type { Random } from "./kernel/random.js";
import type { ReplicaSlot } from "./replica-slot.js";
import type { Scenario } from "./scenario.js";
import type { Stage } from "./stage.js";

export interface WeatherDeps {
  readonly scenario: Scenario;
  readonly clouds: readonly Cloud[];
  readonly agents: Agents;
  readonly slots: readonly ReplicaSlot[];
  readonly consumer: Consumer;
  readonly storeAway: (lastsMs: number) => void;
}

export class Weather {
  constructor(
    private readonly stage: Stage,
    private readonly deps: WeatherDeps,
  ) {
    for (const kind of Object.keys(this.#befall) as PeriodKind[]) this.#next(kind);
  }

  #next(kind: PeriodKind): void {
    const { kernel, faults } = this.stage;
    const waitMs = faults.nextPeriodMs(kind);
    if (waitMs === null) return;
    kernel.after(waitMs, () => {
      if (!faults.on) return;
      this.#befall[kind](faults.random(kind), kind);
      this.#next(kind);
    });
  }

  readonly #befall: Record<PeriodKind, (random: Random, kind: PeriodKind) => void> = {
    "capacity-error": (random) => {
      const place = placeKey(random.pick(this.deps.scenario.regions), random.pick(["RTX-4080", "L4-90", "L4-360"]));
      random.pick(this.deps.clouds).runOut(random.between(60_000, 480_000), random.chance(0.4), place);
    },
    throttled: (random) => random.pick(this.deps.clouds).throttle(random.between(5_000, 90_000)),
    "silent-agent": (random, kind) => {
      const agent = this.#anyAgent(random);
      if (agent === null) return;
      this.stage.faults.note(kind, agent.machine.id);
      this.deps.agents.silence(agent, random.between(6_000, 100_000));
    },
    "zombie-agent": (random, kind) => {
      const agent = this.#anyAgent(random);
      if (agent === null) return;
      this.stage.faults.note(kind, agent.machine.id);
      const lastsMs = random.between(100_000, 200_000);
      this.deps.agents.silence(agent, lastsMs);
      agent.machine.undeadUntilMs = this.stage.kernel.nowMs + lastsMs + 10_000;
    },
    "machine-lost": (random, kind) => {
      const cloud = random.pick(this.deps.clouds);
      const machines = [...cloud.machines()];
      if (machines.length === 0) return;
      const machine = random.pick(machines);
      this.stage.faults.note(kind, machine.id);
      cloud.end(machine);
    },
    "replica-paused": (random, kind) => {
      const { life } = random.pick(this.deps.slots);
      if (life === null) return;
      this.stage.faults.note(kind, life.process.name);
      life.process.pause(random.between(1_000, 25_000));
    },
    "sink-down": (random, kind) => {
      this.stage.faults.note(kind, "consumer");
      this.deps.consumer.goAway(random.between(5_000, 120_000));
    },
    "database-away": (random, kind) => {
      this.stage.faults.note(kind, "store");
      this.deps.storeAway(random.between(2_000, 60_000));
    },
  };

  #anyAgent(random: Random) {
    const speaking = [...this.deps.agents.all()].filter(({ beats }) => beats);
    return speaking.length === 0 ? null : random.pick(speaking);
  }
}
