// What must hold for sessions: what was acknowledged was written, nobody who plays loses the seat by our doing, nobody
// holds anything after having given it back, and no tenant's queue holds up another's.
import type { Assignment } from "../../src/contracts/orchestrator.js";
import type { Agent } from "../agents.js";
import type { MemoryTables, OutboxEvent, PlacementRow, VmRow } from "../memory/tables.js";
import { lateMsMax } from "../network.js";
import type { Session } from "../sessions.js";
import type { Stage } from "../stage.js";

/** An agent's beat counts from when it is carried out, and is noted here when it is answered. */
const answerMsMax = 10_000;

export class SessionRules {
  /** VMs each session was ever given a seat on. */
  readonly #given = new Map<string, Set<string>>();
  readonly #known = new Set<string>();
  /** VMs somebody asked to end, or said to be broken. */
  readonly #meant = new Set<string>();
  readonly #beatenAtMs = new Map<string, number>();

  constructor(
    private readonly stage: Stage,
    private readonly tables: MemoryTables,
    private readonly deps: {
      readonly lostMsMax: number;
      readonly waitMsMax: number;
      readonly session: (sessionId: string) => Session | undefined;
      /** The agent that speaks for the VM, if its machine runs. */
      readonly agentOf: (vm: VmRow) => Agent | undefined;
    },
  ) {}

  meant(vmId: string): void {
    this.#meant.add(vmId);
  }

  beaten(agent: Agent): void {
    this.#beatenAtMs.set(agent.machine.id, this.stage.kernel.nowMs);
  }

  seated({ sessionId, seat }: PlacementRow): void {
    this.#known.add(sessionId);
    const given = this.#given.get(sessionId);
    if (given === undefined) this.#given.set(sessionId, new Set([seat!.vm.vmId]));
    else given.add(seat!.vm.vmId);
  }

  waits({ sessionId }: PlacementRow): void {
    this.#known.add(sessionId);
  }

  /** Its seat there is gone: because it asked, or because of something that was not our doing. */
  unseated(sessionId: string, vm: VmRow | undefined, vmId: string): void {
    if (this.deps.session(sessionId)?.endAsked || this.#meant.has(vmId)) return;
    const agent = vm && this.deps.agentOf(vm);
    if (agent === undefined) return; // the machine is gone, or nobody speaks for it
    const { nowMs } = this.stage.kernel;
    const beatenAtMs = this.#beatenAtMs.get(agent.machine.id) ?? 0;
    const silentMs = nowMs - beatenAtMs;
    if (agent.silentUntilMs > beatenAtMs && silentMs > this.deps.lostMsMax - answerMsMax) return;
    this.stage.break(
      "no live session ended by us",
      `${sessionId} lost its seat on ${vmId} (${vm?.error?.code ?? vm?.reason}), whose agent was heard ${silentMs} ms ago`,
    );
  }

  /** It is in the store no more: if it waited, it left, or nobody had renewed it for too long. */
  left(sessionId: string, waited: boolean): void {
    const session = this.deps.session(sessionId);
    if (!waited || session === undefined || session.endAsked) return;
    const silentMs = this.stage.kernel.nowMs - session.renewedAtMs;
    if (silentMs < this.deps.waitMsMax)
      this.stage.break("who waits and renews stays", `${sessionId} was let go ${silentMs} ms after it was renewed`);
  }

  answered({ sessionId }: Session, answer: Assignment): void {
    if (answer.status === "ASSIGNED" ? this.#given.get(sessionId)?.has(answer.vmId) : this.#known.has(sessionId))
      return;
    this.stage.break("acknowledged is durable", `${sessionId} was told ${JSON.stringify(answer)}`);
  }

  /** Nothing that was asked before can still be carried out. */
  withdrawn({ sessionId, lastAskedAtMs }: Session): void {
    if (this.stage.kernel.nowMs < lastAskedAtMs + lateMsMax) return;
    if (this.tables.placements.has(sessionId))
      this.stage.break("withdrawn holds nothing", `${sessionId} was withdrawn and is still there`);
  }

  missing({ sessionId, endAsked }: Session, seated: boolean): void {
    if (endAsked || this.tables.placements.has(sessionId) === false) return;
    this.stage.break("acknowledged is durable", `${sessionId} (seated: ${seated}) is said not to be there`);
  }
}

/** What the consumer of events must have got: all that was written, in that order, nothing else. */
export class DeliveryRules {
  readonly #written = new Map<number, OutboxEvent>();
  #delivered = 0;

  constructor(private readonly stage: Stage) {}

  written(event: OutboxEvent): void {
    this.#written.set(event.seq, event);
  }

  stored({ id, type, subject }: { readonly id: string; readonly type: string; readonly subject: string }): void {
    const seq = Number(id);
    const written = this.#written.get(seq);
    if (written?.type !== type || written.subject !== subject)
      this.stage.break("events", `${type} of ${subject} (${id}) was delivered and never written`);
    if (seq <= this.#delivered) return;
    if (seq !== this.#delivered + 1) this.stage.break("events", `${id} was delivered after ${this.#delivered}`);
    this.#delivered = seq;
  }

  get outstanding(): number {
    return this.#written.size - this.#delivered;
  }
}
