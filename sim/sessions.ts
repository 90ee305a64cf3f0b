// Sessions of several tenants, as the session role asks for their seats: again with the same id when nobody answers,
// looked at again and again, and given back until that is acknowledged, and once more when a late request might have
// been carried out since (src/session/service.ts). One tenant is greedy.
import type { Assignment, PlacementRequest } from "../src/contracts/orchestrator.js";
import { Problem } from "../src/contracts/problems.js";
import type { Random } from "./kernel/random.js";
import { lateMsMax, type Network } from "./network.js";
import type { Scenario } from "./scenario.js";
import type { Stage } from "./stage.js";

export interface Session {
  readonly sessionId: string;
  readonly tenant: string;
  readonly request: PlacementRequest;
  readonly askedAtMs: number;
  lastAskedAtMs: number;
  /** When it was acknowledged last that it may wait on; it may have been so a moment before. */
  renewedAtMs: number;
  /** Somebody asked to end it: from then on it may lose its seat. */
  endAsked: boolean;
  over: boolean;
}

export interface SessionWitness {
  readonly answered: (session: Session, answer: Assignment) => void;
  readonly missing: (session: Session, seated: boolean) => void;
  readonly withdrawn: (session: Session) => void;
}

const triesMax = 4;
const lookMs = { waiting: 15_000, seated: 240_000 };
/** How long those play on who have a seat when no more come. */
const lastPlayMs = 60_000;
const retryMs = { least: 200, most: 5_000 };

export class Sessions {
  readonly #sessions = new Map<string, Session>();
  readonly #random: Random;
  readonly #tenants: readonly string[];
  #made = 0;
  #arriving = true;
  #endByMs = Number.POSITIVE_INFINITY;

  constructor(
    private readonly stage: Stage,
    private readonly network: Network,
    private readonly scenario: Scenario,
    private readonly witness: SessionWitness,
  ) {
    this.#random = stage.random("sessions");
    this.#tenants = ["steady-a", "steady-b", "steady-c"];
    this.#arrive();
    this.#burst();
  }

  get made(): number {
    return this.#made;
  }

  find(sessionId: string): Session | undefined {
    return this.#sessions.get(sessionId);
  }

  /** Sessions that are not over yet. */
  open(): Session[] {
    return [...this.#sessions.values()].filter(({ over }) => !over);
  }

  /** No more of them come; those who wait now wait as long as it takes, and play for a short while. */
  stopArriving(): void {
    this.#arriving = false;
    this.#endByMs = this.stage.kernel.nowMs + lastPlayMs;
  }

  #arrive(): void {
    this.stage.kernel.after(this.#random.wait(this.scenario.arrivalMs), () => {
      if (!this.#arriving) return;
      this.#begin(this.#random.pick(this.#tenants));
      this.#arrive();
    });
  }

  /** The greedy tenant comes with many at once. */
  #burst(): void {
    this.stage.kernel.after(this.#random.wait(this.scenario.burstMs), () => {
      if (!this.#arriving) return;
      const count = this.#random.whole(5, this.scenario.burstSessionsMax);
      for (let i = 0; i < count; i++) this.#begin("greedy");
      this.#burst();
    });
  }

  #begin(tenant: string): void {
    const random = this.#random;
    const { nowMs } = this.stage.kernel;
    const preset = random.next();
    const session: Session = {
      sessionId: `s-${++this.#made}`,
      tenant,
      request: {
        gameId: "demo",
        region: random.pick(this.scenario.regions),
        presetId: preset < 0.7 ? "default-standard" : preset < 0.92 ? "default-high" : "default-competitive",
        policy: random.chance(0.2) ? "nearest" : "soonest",
        client: random.chance(0.5) ? "api" : "browser",
      },
      askedAtMs: nowMs,
      lastAskedAtMs: nowMs,
      renewedAtMs: 0,
      endAsked: false,
      over: false,
    };
    this.#sessions.set(session.sessionId, session);
    void this.#live(session);
  }

  async #live(session: Session): Promise<void> {
    const { kernel } = this.stage;
    const playMs = this.#random.wait(this.scenario.playMs);
    const patienceMs = this.#random.chance(0.2) ? this.#random.between(5_000, 90_000) : Number.POSITIVE_INFINITY;
    let answer = await this.#assign(session);
    let playsUntilMs: number | null = null;
    while (answer !== null) {
      const seated = answer.status === "ASSIGNED";
      if (seated) playsUntilMs ??= kernel.nowMs + playMs;
      if (playsUntilMs !== null) playsUntilMs = Math.min(playsUntilMs, Math.max(this.#endByMs, kernel.nowMs));
      const until = playsUntilMs ?? (this.#arriving ? session.askedAtMs + patienceMs : Number.POSITIVE_INFINITY);
      if (kernel.nowMs >= until) break;
      await kernel.sleep(Math.max(1, Math.min(seated ? lookMs.seated : lookMs.waiting, until - kernel.nowMs)));
      answer = await this.#look(session, seated);
    }
    session.endAsked = true;
    await this.#withdraw(session);
    const lateMs = session.lastAskedAtMs + lateMsMax - kernel.nowMs;
    if (lateMs > 0) {
      await kernel.sleep(lateMs);
      await this.#withdraw(session);
    }
    session.over = true;
  }

  /** Null: refused, or nobody answered for too long. */
  async #assign(session: Session): Promise<Assignment | null> {
    const { sessionId, request, tenant } = session;
    for (let tries = 0; tries < triesMax; tries++) {
      session.lastAskedAtMs = this.stage.kernel.nowMs;
      try {
        const answer = await this.network.request(`assign ${sessionId}`, ({ replica }) =>
          replica.allocator.assign(sessionId, request, tenant),
        );
        this.witness.answered(session, answer);
        return answer;
      } catch (error) {
        if (error instanceof Problem && error.type === "quota-exceeded") return null;
        await this.#bear(error);
      }
    }
    return null;
  }

  /** As it is now; null: it holds nothing any more. */
  async #look(session: Session, seated: boolean): Promise<Assignment | null> {
    const { sessionId } = session;
    for (;;) {
      try {
        const askedAtMs = this.stage.kernel.nowMs;
        const answer = await this.network.request(`look ${sessionId}`, async ({ replica }) => {
          if (!seated) await replica.store.placements.renew([sessionId]);
          const answer = await replica.allocator.get(sessionId);
          this.witness.answered(session, answer);
          return answer;
        });
        if (!seated) session.renewedAtMs = askedAtMs;
        return answer;
      } catch (error) {
        if (error instanceof Problem && error.type === "not-found") {
          this.witness.missing(session, seated);
          return null;
        }
        await this.#bear(error);
      }
    }
  }

  async #withdraw(session: Session): Promise<void> {
    const { sessionId } = session;
    for (;;) {
      try {
        await this.network.request(`withdraw ${sessionId}`, ({ replica }) =>
          replica.allocator.withdraw(sessionId, "withdrawn"),
        );
        return this.witness.withdrawn(session);
      } catch (error) {
        await this.#bear(error);
      }
    }
  }

  /** Nobody answered: a while later it may be tried again. */
  async #bear(error: unknown): Promise<void> {
    if (!(error instanceof Problem) || error.type !== "unavailable") throw error;
    await this.stage.kernel.sleep(this.#random.between(retryMs.least, retryMs.most));
  }
}
