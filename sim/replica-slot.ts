// Where one replica of the orchestrator runs, one life after another: the product's own wiring (replica.ts) over a faulty
// store and faulty providers, started again a while after each crash, with nothing but what the store remembers.
import { createHash } from "node:crypto";
import type { ProviderId } from "../src/contracts/catalog.js";
import { deadlinesOf, type OrchestratorConfig } from "../src/orchestrator/config.js";
import type { ChangeSignal } from "../src/orchestrator/events/outbox-store.js";
import type { EventSink } from "../src/orchestrator/events/sink.js";
import { Bell, keepDoing, type Timer } from "../src/orchestrator/loop.js";
import { Replica } from "../src/orchestrator/replica.js";
import type { OrchestratorStore, StoreSettings } from "../src/orchestrator/store.js";
import { Registry } from "../src/platform/metrics.js";
import type { Cloud } from "./cloud.js";
import { faultyStore } from "./faulty-store.js";
import { Process } from "./kernel/process.js";
import type { Random } from "./kernel/random.js";
import { simulatedLog } from "./log.js";
import type { Stage } from "./stage.js";
import { Wire } from "./wire.js";

/** Nothing looks again sooner than that without a signal: half of all calls would find nothing to do. */
const idleMsLeast = 8_000;

export interface Life {
  readonly process: Process;
  readonly replica: Replica;
  readonly bells: Record<ChangeSignal, Bell>;
  /** It has started and takes requests. */
  serving: boolean;
}

export interface Surroundings {
  readonly config: OrchestratorConfig;
  readonly clouds: ReadonlyMap<ProviderId, Cloud>;
  readonly openStore: (settings: StoreSettings) => OrchestratorStore;
  readonly openSink: (wire: Wire) => EventSink;
  readonly isStoreAway: () => boolean;
  readonly afterStep: (what: string) => void;
}

export class ReplicaSlot {
  life: Life | null = null;
  #lives = 0;
  #close: () => void = () => {};

  constructor(
    private readonly stage: Stage,
    private readonly index: number,
    private readonly around: Surroundings,
  ) {}

  start(): void {
    const { stage, around } = this;
    const { config, clouds } = around;
    const name = `r${this.index}.${++this.#lives}`;
    const process = new Process(name, stage.kernel);
    const wire = new Wire(stage, process, {
      afterStep: around.afterStep,
      isStoreAway: around.isStoreAway,
      crash: (why) => this.crash(process, why),
    });
    const log = simulatedLog(stage, name);
    const random = stage.random(`replica ${name}`);
    const replica = new Replica({
      config,
      openStore: (settings) => faultyStore(around.openStore(settings), wire, { stage, process }),
      sinks: [around.openSink(wire)],
      registry: new Registry(),
      clock: { now: () => stage.kernel.nowMs },
      random: () => random.next(),
      randomBytes: (count) => bytes(random, count),
      defer: (run) => process.after(0, run),
      log,
    });
    const timer: Timer = (run, ms) => process.after(Math.max(ms, idleMsLeast), run);
    const bells = { events: new Bell(timer), reconcile: new Bell(timer), waiting: new Bell(timer) };
    const life: Life = { process, replica, bells, serving: false };
    this.life = life;
    stage.trace.add(`${name} starts`);
    const sites = new Map(
      [...clouds].map(([id, cloud]) => [
        id,
        { provider: cloud.port(wire), deadlines: deadlinesOf(config.deadlines[id]) },
      ]),
    );
    for (const { provider } of sites.values()) provider.onChange(() => process.after(1, bells.reconcile.ring));
    const listening = replica.store.signals.listen((notice) => {
      if (notice.kind === "signalled") bells[notice.signal].ring();
      else for (const bell of Object.values(bells)) bell.ring();
    });
    this.#close = () => {
      void listening[Symbol.asyncDispose]();
      void replica.fleet[Symbol.asyncDispose]();
      for (const { provider } of sites.values()) void provider[Symbol.asyncDispose]();
    };
    const run = async () => {
      try {
        await replica.fleet.open();
      } catch {
        return this.crash(process, "it could not start");
      }
      life.serving = true;
      const { signal } = new AbortController();
      for (const { what, everyMs, on, round } of replica.work(sites)) {
        const bell = on === undefined ? new Bell(timer) : bells[on];
        void keepDoing(what, round, { bell, everyMs, signal, log });
      }
      for (const relay of replica.relays) void relay.run(bells.events, signal);
    };
    void run();
  }

  crash(process: Process, why: string): void {
    if (!process.alive) return;
    const { stage } = this;
    process.crash();
    this.#close();
    this.life = null;
    stage.trace.add(`${process.name} dies: ${why}`);
    const restartMs = stage.random(`restart ${process.name}`).between(500, 30_000);
    stage.kernel.after(restartMs, () => this.start());
  }
}

/** From 128 bits of the stream, so that ids of different lives do not meet. */
function bytes(random: Random, count: number): Buffer {
  const words = [random.next(), random.next(), random.next(), random.next()].join();
  return createHash("sha512").update(words).digest().subarray(0, count);
}
