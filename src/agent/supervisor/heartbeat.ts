// The agent's lease: every few seconds it says what runs here and hears what must run.
//
// One beat is under way at a time. `refresh` gives its caller the answer to a beat that began after the call, since an
// earlier one may have been answered before the seat in question existed; callers who wait at the same time share it.
// The control plane ends the agent at once by fencing it: the VM was given up, or launched anew, and its sessions have
// their seats elsewhere. Any other refusal ends it after three beats in a row, each with a fresh token, so that one wrong
// answer from a control plane that just restarts does not end a stream.
import { agentRoutes } from "../../contracts/agents.js";
import type { SeatSpec } from "../../contracts/orchestrator.js";
import { createClient } from "../../platform/client.js";
import type { Log } from "../../platform/log.js";
import { type Identity, isFenced, isRefusal } from "./identity.js";
import { pause } from "./retry.js";

const heartbeatLimits = { callMsMax: 5_000, refusalsMax: 3 } as const;

export interface HeartbeatContext {
  readonly vmId: string;
  readonly orchestratorUrl: () => Promise<string>;
  readonly identity: Identity;
  readonly intervalMs: number;
  readonly running: () => string[];
  readonly apply: (seats: readonly SeatSpec[]) => void;
  /** The control plane is there. */
  readonly heard: () => void;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export class Heartbeat {
  #underWay: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  #refusals = 0;
  /** What must run here, and its version: an answer leaves out what has not changed. */
  #desired: { readonly version: number; readonly seats: readonly SeatSpec[] } | null = null;
  #end: ((why: string) => void) | undefined;
  /** Resolves, with why, when the control plane wants no agent here any more. */
  readonly ended: Promise<string>;

  constructor(private readonly context: HeartbeatContext) {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** Beats until the signal. */
  async run(): Promise<void> {
    const { intervalMs, signal } = this.context;
    while (!signal.aborted) {
      await this.refresh();
      await pause(intervalMs, signal);
    }
  }

  /** Resolves when a beat that began from now on is over, answered or not. */
  refresh(): Promise<void> {
    if (this.#underWay === null) return this.#begin();
    this.#next ??= this.#underWay.then(() => {
      this.#next = null;
      return this.#begin();
    });
    return this.#next;
  }

  #begin(): Promise<void> {
    this.#underWay = this.#beat().finally(() => {
      this.#underWay = null;
    });
    return this.#underWay;
  }

  async #beat(): Promise<void> {
    const { vmId, orchestratorUrl, identity, running, apply, heard, log, signal } = this.context;
    if (signal.aborted) return;
    try {
      const client = createClient({
        baseUrl: await orchestratorUrl(),
        bearer: () => identity.bearer(),
        timeoutMs: heartbeatLimits.callMsMax,
      });
      const { body } = await client.call(agentRoutes.heartbeat, {
        params: { vmId },
        body: { sessions: running(), ...(this.#desired && { version: this.#desired.version }) },
        signal,
      });
      if (signal.aborted) return;
      this.#refusals = 0;
      heard();
      if (body.status === "TERMINATED" || body.status === "ERROR") return this.#end?.(`the VM is ${body.status}`);
      const seats = body.seats ?? this.#desired?.seats;
      if (seats === undefined) throw new Error("the control plane does not say what must run here");
      this.#desired = { version: body.version, seats };
      apply(seats);
    } catch (error) {
      if (signal.aborted) return;
      if (isFenced(error)) return this.#end?.(`it is fenced: ${error.message}`);
      if (!isRefusal(error)) return log.warn({ err: error }, "heartbeat not answered");
      this.#refusals += 1;
      identity.invalidate();
      log.warn({ problem: error.message, refusals: this.#refusals }, "heartbeat refused");
      if (this.#refusals >= heartbeatLimits.refusalsMax) this.#end?.(`the control plane refuses it: ${error.message}`);
    }
  }
}
