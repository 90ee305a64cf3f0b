// A store's test stage: an empty fleet at a time the test decides, and short words for what tests do with it.
import { join } from "node:path";
import { expect } from "vitest";
import { memoryStore } from "../../sim/memory/memory-store.js";
import { MemoryTables } from "../../sim/memory/tables.js";
import type { PresetId, RegionId, TemplateId } from "../../src/contracts/catalog.js";
import type { VmEvent } from "../../src/contracts/events.js";
import type { Vm } from "../../src/contracts/orchestrator.js";
import { Problem, type ProblemType } from "../../src/contracts/problems.js";
import { fallbackChains } from "../../src/orchestrator/catalog/regions.js";
import { cursorAfter } from "../../src/orchestrator/events/cursor.js";
import { encodeDecision, namedDecision } from "../../src/orchestrator/placement/decision.js";
import { demandOf, seatSpecOf } from "../../src/orchestrator/placement/demand.js";
import type { GrowthRules } from "../../src/orchestrator/placement/growth.js";
import { unitsFor } from "../../src/orchestrator/placement/seats.js";
import { sqlStore } from "../../src/orchestrator/sql-store.js";
import type {
  ChosenSeat,
  Given,
  LeaseAnswer,
  NewPlacement,
  OrchestratorStore,
  StoreSettings,
} from "../../src/orchestrator/store.js";
import type { VmRecord } from "../../src/orchestrator/vm/reconcile.js";
import { systemClock } from "../../src/platform/clock.js";
import { type Database, openDatabase } from "../../src/platform/database.js";
import { migrate } from "../../src/platform/migrations.js";
import { migratePlatform } from "../../src/platform/platform-schema.js";
import { Quotas } from "../../src/platform/quotas.js";
import { silentLog, startTestPostgres } from "../../src/platform/test-postgres.js";

export interface StoreUnderTest extends AsyncDisposable {
  /** One replica's. */
  open(settings: StoreSettings): OrchestratorStore;
  /** Forgets everything but the templates. */
  empty(): Promise<void>;
}

export async function memorySubject(): Promise<StoreUnderTest> {
  let tables = new MemoryTables(systemClock.now);
  return {
    open: (settings) => memoryStore(tables, settings),
    async empty() {
      tables = new MemoryTables(systemClock.now);
    },
    async [Symbol.asyncDispose]() {},
  };
}

export interface SqlSubject extends StoreUnderTest {
  readonly url: string;
  readonly database: Database;
}

export async function sqlSubject(): Promise<SqlSubject> {
  const postgres = await startTestPostgres();
  const database = openDatabase({ url: postgres.url, applicationName: "test", log: silentLog });
  await migratePlatform(database, silentLog);
  const directory = join(import.meta.dirname, "../../src/orchestrator/migrations");
  await migrate(database, { schema: "orchestrator", directory, log: silentLog });
  return {
    url: postgres.url,
    database,
    open: (settings) => sqlStore(database, settings),
    async empty() {
      const tables = await database.query<{ name: string }>(
        `select format('%I.%I', schemaname, tablename) as name from pg_tables
          where schemaname = 'orchestrator' and tablename not in ('vms', 'schema_migrations')
             or (schemaname, tablename) = ('platform', 'leases')`,
      );
      await database.query(
        `delete from orchestrator.vms where status <> 'TEMPLATE';
         update orchestrator.vms set created_at = 'epoch';
         truncate ${tables.map(({ name }) => name).join()} restart identity`,
      );
    },
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await postgres[Symbol.asyncDispose]();
    },
  };
}

export const startMs = Date.UTC(2026, 0, 1);
const region = "us-east-1" satisfies RegionId;
export const vmsMax = 6;

export const rules: GrowthRules = {
  places: () => ({ provider: "simulated", vmsMax }),
  budget: { vmsMax: null, eurPerHourMax: null },
  quotas: new Quotas({}),
};

export interface SessionWish {
  readonly presetId?: PresetId;
  readonly region?: RegionId;
  readonly waitMs?: number;
  readonly tenant?: string;
  /** Look nowhere else. */
  readonly rttMsMax?: number;
}

/** One replica on the stage; `beside` opens another one on the same tables. */
export class StoreStage {
  nowMs = startMs;
  readonly store: OrchestratorStore;
  readonly settings: StoreSettings;
  #made = 0;

  constructor(
    private readonly subject: StoreUnderTest,
    changed: Partial<StoreSettings> = {},
  ) {
    this.settings = {
      replicaId: "replica-a",
      clock: { now: () => this.nowMs },
      waitMsMax: 60_000,
      ...rules,
      newVmId: () => `vm-made-${String(++this.#made).padStart(3, "0")}`,
      drainMsOf: () => 3_600_000,
      ...changed,
    };
    this.store = subject.open(this.settings);
  }

  beside(replicaId: string): OrchestratorStore {
    return this.subject.open({ ...this.settings, replicaId });
  }

  get now(): Date {
    return new Date(this.nowMs);
  }

  at(msFromNow: number): Date {
    return new Date(this.nowMs + msFromNow);
  }

  provision(vmId: string, where: { region?: RegionId; templateId?: TemplateId; tenant?: string } = {}): Promise<Vm> {
    const vm = { vmId, region, templateId: "L4-360", provider: "simulated", tenant: null, ...where } as const;
    return this.store.vms.create(vm, this.settings);
  }

  async ready(vmId: string, where: Parameters<StoreStage["provision"]>[1] = {}): Promise<Vm> {
    await this.provision(vmId, where);
    await this.store.vms.markLaunched(vmId);
    return this.store.vms.markReady(vmId);
  }

  /** In that order. */
  async readies(...vmIds: readonly string[]): Promise<void> {
    for (const vmId of vmIds) await this.ready(vmId);
  }

  session(sessionId: string, { waitMs = 60_000, tenant = "default", ...wish }: SessionWish = {}): NewPlacement {
    const demand = demandOf({ gameId: "demo", client: "api", region, ...wish }, fallbackChains);
    const spec = seatSpecOf(sessionId, demand, { idleMs: 600_000 });
    return { sessionId, tenant, demand, spec, expiresAt: this.at(waitMs) };
  }

  chosen(sessionId: string, vmId: string, wish: SessionWish = {}): ChosenSeat {
    const placement = this.session(sessionId, wish);
    const vm = { region, templateId: "L4-360", sessionsMax: null, usedUnits: 0 } as const;
    const units = unitsFor(vm, placement.demand.preset);
    return { placement, vmId, units, why: encodeDecision(namedDecision(vm, placement.demand)) };
  }

  give(...seats: readonly (readonly [sessionId: string, vmId: string, presetId?: PresetId])[]): Promise<Given> {
    return this.store.seats.give(
      seats.map(([sessionId, vmId, presetId]) => this.chosen(sessionId, vmId, { presetId })),
      this.now,
    );
  }

  async leave(sessionId: string, more: { vmId?: string; expected?: readonly number[] } = {}): Promise<boolean> {
    const leaving = { sessionId, vmId: null, reason: "left", expected: null, ...more };
    return (await this.store.seats.giveBack([leaving], this.now)).left[0]!;
  }

  enqueue(...sessions: readonly NewPlacement[]): ReturnType<OrchestratorStore["placements"]["enqueue"]> {
    return this.store.placements.enqueue(sessions);
  }

  /** The VM the session sits on; "waiting"; or null. */
  async whereIs(sessionId: string): Promise<string | null> {
    const placement = await this.store.placements.find(sessionId);
    return placement?.kind === "seated" ? placement.vm.vmId : (placement?.kind ?? null);
  }

  async queue(): Promise<string[]> {
    return (await this.store.placements.readQueue()).waiting.map(({ sessionId }) => sessionId);
  }

  async events(): Promise<VmEvent[]> {
    const { rows } = await this.store.outbox.forSink("test").read(cursorAfter(0), 10_000);
    return rows.map(({ event }) => event);
  }

  /** In short: `VMReady vm-1`, `SessionReleased s1 vm-terminated none`. */
  async told(): Promise<string[]> {
    return (await this.events()).map(inShort);
  }

  /** Whatever a reader could see of the store. */
  async everything(): Promise<unknown> {
    const { vms, holds } = this.store;
    return {
      vms: await vms.list({ limit: 500 }),
      records: await this.records(),
      queue: await this.queue(),
      fleet: await this.fleet(),
      holds: await holds.read(),
      events: await this.events(),
    };
  }

  /** As the reconciler sees them. */
  async records(): Promise<VmRecord[]> {
    const { settled, unsettled } = await this.store.vms.survey(new Map());
    return byId(await this.store.vms.records([...unsettled, ...[...settled.values()].flat()]));
  }

  /** A heartbeat for each, by an agent that knows no seats. */
  beat(...beats: readonly (readonly [vmId: string, epoch: number])[]): Promise<readonly LeaseAnswer[]> {
    return this.store.leases.renew(beats.map(([vmId, epoch]) => ({ vmId, epoch, version: null })));
  }

  async fleet() {
    const { vms, held, halfOpen, launchMs } = await this.store.placements.readFleet();
    return { vms: byId(vms), held: [...held].sort(), halfOpen: [...halfOpen].sort(), launchMs: [...launchMs].sort() };
  }

  /** And nothing has changed. */
  async refuses(call: () => Promise<unknown>, type: ProblemType): Promise<Problem> {
    const before = await this.everything();
    const problem = await call().then(
      () => null,
      (error: unknown) => error,
    );
    if (!(problem instanceof Problem)) throw new Error("it was not refused", { cause: problem });
    expect(problem.type).toBe(type);
    expect(await this.everything()).toEqual(before);
    return problem;
  }
}

export const byId = <Row extends { readonly vmId: string }>(rows: Iterable<Row>): Row[] =>
  [...rows].sort((a, b) => (a.vmId < b.vmId ? -1 : 1));

export function inShort({ type, subject, data }: VmEvent): string {
  switch (type) {
    case "SessionAssigned":
      return `${type} ${data.sessionId} ${data.vmId}`;
    case "SessionReleased":
      return `${type} ${data.sessionId} ${data.reason} ${data.next}`;
    default:
      return `${type} ${subject}`;
  }
}
