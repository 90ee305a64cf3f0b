// One installation and everything around it, put together from the seed, with the rules that watch it.
import type { ProviderId } from "../src/contracts/catalog.js";
import { placeRules } from "../src/orchestrator/config.js";
import type { OrchestratorStore, StoreSettings } from "../src/orchestrator/store.js";
import { Quotas } from "../src/platform/quotas.js";
import { type Agent, Agents } from "./agents.js";
import { type Break, broken } from "./breaks.js";
import { Cloud } from "./cloud.js";
import { Consumer } from "./consumer.js";
import { FairnessRules } from "./invariants/fairness.js";
import { lookMs, MachineRules } from "./invariants/machines.js";
import { RowRules } from "./invariants/rows.js";
import { DeliveryRules, SessionRules } from "./invariants/sessions.js";
import type { Random } from "./kernel/random.js";
import { memoryStore } from "./memory/memory-store.js";
import { MemoryTables, type VmRow } from "./memory/tables.js";
import { Network } from "./network.js";
import { Operators } from "./operators.js";
import { ReplicaSlot } from "./replica-slot.js";
import { type Scenario, scenarioOf } from "./scenario.js";
import { Sessions } from "./sessions.js";
import type { Stage } from "./stage.js";
import { Weather } from "./weather.js";

export class World {
  readonly #scenario: Scenario;
  readonly #tables: MemoryTables;
  readonly #clouds: ReadonlyMap<ProviderId, Cloud>;
  readonly #slots: readonly ReplicaSlot[];
  readonly #agents: Agents;
  readonly #consumer: Consumer;
  readonly #operators: Operators;
  readonly #machineRules: MachineRules;
  readonly #sessionRules: SessionRules;
  readonly #delivery: DeliveryRules;
  readonly #fairness: FairnessRules;
  readonly rows: RowRules;
  readonly sessions: Sessions;
  #storeAwayUntilMs = 0;

  constructor(
    private readonly stage: Stage,
    private readonly rule: Break | null,
  ) {
    const { kernel } = stage;
    const scenario = scenarioOf(stage.seed);
    const { config } = scenario;
    this.#scenario = scenario;
    this.#tables = new MemoryTables(() => kernel.nowMs);
    this.#clouds = new Map(scenario.providers.map((id) => [id, this.#openCloud(id)]));
    this.#delivery = new DeliveryRules(stage);
    this.#fairness = new FairnessRules(stage, this.#tables);
    this.#sessionRules = new SessionRules(stage, this.#tables, {
      lostMsMax: config.deadlines.local.lostSecondsMax * 1000,
      waitMsMax: config.waitSecondsMax * 1000,
      session: (sessionId) => this.sessions.find(sessionId),
      agentOf: (vm) => this.#agentOf(vm),
    });
    const { budget, places, tenants } = config;
    const growth = { places: placeRules(places), budget, quotas: new Quotas(tenants) };
    this.rows = new RowRules(stage, this.#tables, growth, {
      unseated: (...lost) => this.#sessionRules.unseated(...lost),
      seated: (placement) => {
        this.#sessionRules.seated(placement);
        this.#fairness.seated(placement);
      },
      left: (sessionId, waited) => {
        this.#sessionRules.left(sessionId, waited);
        this.#fairness.left(sessionId);
      },
      waits: (placement) => this.#sessionRules.waits(placement),
      told: (event) => this.#delivery.written(event),
    });
    this.#machineRules = new MachineRules(stage, this.#tables, [...this.#clouds.values()], {
      isClaimed: (vmId, epoch) => this.rows.isClaimed(vmId, epoch),
      canAct: () => this.#canAct(),
      isUp: (machine) => this.#agents.isUp(machine),
    });
    this.#consumer = new Consumer(stage, (event) => this.#delivery.stored(event));
    this.#slots = Array.from({ length: scenario.replicas }, (_, index) => this.#slot(index));
    const network = new Network(stage, this.#slots);
    this.#agents = new Agents(stage, network, scenario, {
      enrolled: (agent) => this.#machineRules.enrolled(agent, this.#agents.all()),
      beaten: (agent) => this.#sessionRules.beaten(agent),
      fenced: (agent) => this.#machineRules.fenced(agent),
    });
    this.sessions = new Sessions(stage, network, scenario, this.#sessionRules);
    this.#operators = new Operators(stage, network, scenario, {
      meant: (vmId) => this.#sessionRules.meant(vmId),
      anyVm: (random) => this.#anyVm(random),
    });
    const clouds = [...this.#clouds.values()];
    const [agents, consumer, slots] = [this.#agents, this.#consumer, this.#slots];
    const storeAway = (lastsMs: number) => {
      this.#storeAwayUntilMs = kernel.nowMs + lastsMs;
    };
    new Weather(stage, { scenario, clouds, agents, consumer, slots, storeAway });
    for (const slot of this.#slots) slot.start();
    this.#look();
  }

  /** Nobody new comes, nothing goes wrong any more. */
  calm(): void {
    this.stage.faults.stop();
    this.sessions.stopArriving();
    this.#operators.stop();
  }

  /** What still has to come to rest; none: it has. */
  unrest(): string[] {
    const { placements, tracked, vms } = this.#tables;
    const open = this.sessions.open().length;
    const machines = [...this.#clouds.values()].flatMap((cloud) => [...cloud.machines()]);
    const lone = machines.filter(({ spec }) => vms.get(spec.vmId)?.status === "TERMINATED" || !vms.has(spec.vmId));
    const over = [...tracked].filter(({ status }) => status === "TERMINATED" || status === "ERROR");
    const counts = {
      "sessions that are not over": open,
      "rows of sessions": placements.size,
      "machines without a VM": lone.length,
      "VMs that are over and not closed": over.length,
      "events not delivered": this.#delivery.outstanding,
    };
    return Object.entries(counts).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`]));
  }

  #openCloud(id: ProviderId): Cloud {
    const cloud: Cloud = new Cloud(this.stage, id, {
      roomPerPlace: this.#scenario.roomPerPlace,
      launchMs: this.#scenario.launchMs,
      onLaunch: (spec) => this.#machineRules.launched(spec),
      onRunning: (machine) => this.#agents.boot(machine, cloud),
      onEnded: (machine) => this.#agents.gone(machine),
    });
    return cloud;
  }

  #openStore(settings: StoreSettings): OrchestratorStore {
    const store = memoryStore(this.#tables, settings);
    const beneath = { tables: this.#tables, kernel: this.stage.kernel };
    return this.rule === null ? store : broken(store, this.rule, beneath);
  }

  #slot(index: number): ReplicaSlot {
    return new ReplicaSlot(this.stage, index, {
      config: this.#scenario.config,
      clouds: this.#clouds,
      openStore: (settings) => this.#openStore(settings),
      openSink: (wire) => this.#consumer.sink(wire),
      isStoreAway: () => this.#isStoreAway(),
      afterStep: (what) => this.rows.check(what),
    });
  }

  #look(): void {
    this.stage.kernel.after(lookMs, () => {
      this.#machineRules.look();
      this.#look();
    });
  }

  #canAct(): boolean {
    const isThrottled = [...this.#clouds.values()].some((cloud) => cloud.isThrottled);
    return (
      !this.#isStoreAway() && !isThrottled && this.#slots.some(({ life }) => life?.serving && life.process.running)
    );
  }

  #isStoreAway(): boolean {
    return this.stage.kernel.nowMs < this.#storeAwayUntilMs;
  }

  #agentOf({ vmId, epoch }: VmRow): Agent | undefined {
    for (const agent of this.#agents.all()) if (agent.machine.spec.vmId === vmId && agent.epoch === epoch) return agent;
    return undefined;
  }

  #anyVm(random: Random): string | null {
    const live = [...this.#tables.tracked].filter(({ status }) => status !== "TERMINATED");
    return live.length === 0 ? null : random.pick(live).vmId;
  }
}
