// What a session goes through, made to happen: stores, asks the orchestrator and the streaming role, and stores again.
//
// Guarantees: an intent is stored before a seat is asked for, so a crash leaves a row to repair, never a seat nobody
// knows of; a session that ends gives its seat back even if the orchestrator is away when it ends (the debt is stored
// with the end, the sweeper pays it); nothing is answered before it is stored.
// Every decision is lifecycle.ts', reconcile.ts' or deadlines.ts'; a change is decided again when another came first.
import { type Assignment, orchestratorRoutes, type Vm } from "../contracts/orchestrator.js";
import { Problem, type ProblemType } from "../contracts/problems.js";
import type { ConnectionReport, CreatedSession, Session, SessionRequest, SessionStatus } from "../contracts/session.js";
import { streamingRoutes } from "../contracts/streaming.js";
import type { PlacementUse, TenantUse } from "../contracts/tenants.js";
import type { RouteClient } from "../platform/client.js";
import type { Clock } from "../platform/clock.js";
import type { Log } from "../platform/log.js";
import { type Quotas, quotaExceeded } from "../platform/quotas.js";
import { checkAt, deadlineOf, type SessionLimits } from "./deadlines.js";
import type { Games } from "./games.js";
import { advance, type End, eventOf, isOver, type SessionEvent, type SessionRecord, toSession } from "./lifecycle.js";
import type { SessionMetrics } from "./metrics.js";
import { eventOfNoPlacement, eventOfPlacement, interruptedCreation } from "./reconcile.js";
import type { SessionStore, Timers } from "./session-store.js";

const conflictsMax = 10;
// An end is answered at once; a withdrawal that takes longer goes on in the sweeper.
const withdrawAtOnceMsMax = 2_000;

/** Whose sessions a caller sees; null: everyone's. */
export type Tenancy = string | null;

type Credentials = Pick<CreatedSession, "urls" | "ticket" | "expiresAt">;

export interface SessionServiceDeps {
  readonly store: SessionStore;
  readonly orchestrator: RouteClient;
  readonly streaming: RouteClient;
  readonly games: Games;
  readonly quotas: Quotas;
  readonly metrics: SessionMetrics;
  readonly limits: SessionLimits;
  readonly clock: Clock;
  /** From what is given: the same id from the same text. */
  readonly newSessionId: (from: string | null) => string;
  readonly log: Log;
}

export class SessionService {
  constructor(private readonly deps: SessionServiceDeps) {}

  /**
   * `effectId`: of an earlier try with the same one, the session is answered if there is any; one that failed is
   * succeeded by a new one. @throws Problem quota-exceeded: the tenant has as many live sessions as it may, and nobody
   * was asked; what the orchestrator refused it for (nothing is left); `unavailable`
   * (it is FAILED); in-progress: an earlier try is not given up yet; illegal-transition: it was
   * ended on request meanwhile.
   */
  async create(asked: SessionRequest, tenant: string, effectId: string | null = null): Promise<CreatedSession> {
    const { store, clock, games, quotas, metrics } = this.deps;
    const { sessionId, earlier } = await this.#place(effectId);
    if (earlier !== null) {
      if (earlier.intent) throw new Problem("in-progress", "The session is still being set up: ask again in a second.");
      return { ...toSession(earlier), ...(await this.ticket(sessionId, tenant)) };
    }
    const { playerId, ...placement } = asked;
    const presetId = await games.presetFor(placement);
    const now = clock.now();
    const intent: SessionRecord = {
      sessionId,
      tenant,
      playerId: playerId ?? null,
      request: { ...placement, presetId },
      presetId,
      status: "QUEUED",
      statusSince: now,
      intent: true,
      seat: null,
      queue: null,
      end: null,
      owesWithdraw: false,
      createdAt: now,
      readyAt: null,
      joinedAt: null,
      endedAt: null,
      version: 1,
    };
    const liveMax = quotas.max(tenant, "sessions");
    const live = await store.intend(intent, this.#timers(intent), liveMax);
    if (liveMax !== null && live !== null) {
      metrics.refused(tenant);
      throw quotaExceeded("sessions", liveMax, live);
    }
    const assignment = await this.#assign(intent);
    const credentials = await this.#credentials(intent);
    const event = eventOfPlacement(intent, assignment);
    const placed = event === null ? null : advance(intent, event, clock.now());
    if (placed === null) throw new Error(`a new session cannot follow ${assignment.status}`);
    const session = { ...placed, intent: false };
    if (!(await store.commit(session, this.#timers(session)))) {
      await store.oweWithdrawal(intent.sessionId, clock.now());
      const { status } = await this.#visible(intent.sessionId, null);
      if (status === "ENDED") throw endedMeanwhile();
      throw new Problem("unavailable", "The session was given up before it was ready: ask again.");
    }
    metrics.created(session);
    return { ...toSession(session), ...credentials };
  }

  /** @throws Problem not-found */
  async get(sessionId: string, tenancy: Tenancy): Promise<Session> {
    return toSession(await this.#visible(sessionId, tenancy));
  }

  /** @throws Problem invalid-request when the cursor is not one. */
  async list(
    filter: { status: SessionStatus | null; limit: number; cursor: string | null },
    tenancy: Tenancy,
  ): Promise<{ sessions: Session[]; nextCursor: string | null }> {
    const page = await this.deps.store.list({ ...filter, tenant: tenancy });
    if (page === null)
      throw new Problem("invalid-request", "The cursor is not one of a page here.", {
        errors: [{ field: "cursor", message: "is not the nextCursor of a page" }],
      });
    return { sessions: page.sessions.map(toSession), nextCursor: page.nextCursor };
  }

  /** What tenants have of what they may: of those that have something or are named in the settings. @throws Problem unavailable */
  async tenants(tenancy: Tenancy): Promise<TenantUse[]> {
    const { orchestrator, store, quotas } = this.deps;
    const { body } = await orchestrator.call(orchestratorRoutes.tenants);
    const placed = new Map(body.tenants.map((use) => [use.tenant, use]));
    const live = await store.countLiveByTenant(tenancy);
    const unused = (tenant: string): PlacementUse => ({
      tenant,
      waiting: { used: 0, max: quotas.max(tenant, "waiting") },
      vms: { used: 0, max: quotas.max(tenant, "vms") },
    });
    const tenants = tenancy === null ? quotas.named.concat(...placed.keys(), ...live.keys()) : [tenancy];
    return [...new Set(tenants)].sort().map((tenant) => ({
      ...(placed.get(tenant) ?? unused(tenant)),
      sessions: { used: live.get(tenant) ?? 0, max: quotas.max(tenant, "sessions") },
    }));
  }

  /** Ends a session; one that is over already stays as it ended. */
  async end(sessionId: string, tenancy: Tenancy): Promise<Session> {
    await this.#visible(sessionId, tenancy);
    const end = { reason: "ended-by-request", detail: "The session was ended on request." } as const;
    return toSession(await this.#change(sessionId, () => ({ type: "ended", end })));
  }

  /** @throws Problem not-found; illegal-transition when the session is over. */
  async ticket(sessionId: string, tenancy: Tenancy): Promise<Credentials> {
    const session = await this.#visible(sessionId, tenancy);
    if (isOver(session.status)) throw new Problem("illegal-transition", "The session is over: create a new one.");
    return this.#streamUrl(sessionId);
  }

  /** Follows what was seen of the player; a report about an older seat, or one that comes too late, changes nothing. */
  async report(sessionId: string, report: ConnectionReport): Promise<Session> {
    await this.#visible(sessionId, null);
    const session = await this.#change(sessionId, (current) =>
      (current.seat?.vmId ?? null) === report.vmId ? eventOf(report) : null,
    );
    return toSession(session);
  }

  /** Compares a session with the orchestrator, and follows it. A creation under way is left alone until its time is up. */
  async reconcile(sessionId: string): Promise<void> {
    const { store, clock, limits } = this.deps;
    for (let attempt = 0; attempt < conflictsMax; attempt++) {
      const session = await store.get(sessionId);
      if (session === null || isOver(session.status)) return;
      if (session.intent && clock.now() < session.createdAt + limits.intentMs) return;
      const event = session.intent ? interruptedCreation : await this.#eventOfSeat(session);
      if (event === null || (await this.#commit(session, event)) !== "conflict") return;
    }
  }

  /** Ends a session whose limit has passed. */
  async expire(sessionId: string): Promise<void> {
    const { clock, limits } = this.deps;
    await this.#change(sessionId, (session) => {
      const deadline = deadlineOf(session, limits);
      return deadline !== null && deadline.at <= clock.now() ? deadline.event : null;
    });
  }

  /** Gives back whatever an ended session holds. @throws Problem unavailable: it is still owed. */
  async withdraw(sessionId: string, signal?: AbortSignal): Promise<void> {
    await this.deps.orchestrator.call(orchestratorRoutes.withdraw, { params: { sessionId }, signal });
    await this.deps.store.settleWithdrawal(sessionId);
  }

  /** The id of the session to make, or the session that an earlier try has made. */
  async #place(effectId: string | null): Promise<{ sessionId: string; earlier: SessionRecord | null }> {
    const { store, newSessionId } = this.deps;
    if (effectId === null) return { sessionId: newSessionId(null), earlier: null };
    for (let attempt = 0; ; attempt++) {
      const sessionId = newSessionId(attempt === 0 ? effectId : `${effectId}-${attempt}`);
      const earlier = await store.get(sessionId);
      if (earlier === null || earlier.status !== "FAILED") return { sessionId, earlier };
    }
  }

  async #visible(sessionId: string, tenancy: Tenancy): Promise<SessionRecord> {
    const session = await this.deps.store.get(sessionId);
    if (session === null || (tenancy !== null && session.tenant !== tenancy))
      throw new Problem("not-found", `There is no session ${sessionId}.`);
    return session;
  }

  async #assign({ sessionId, request, tenant }: SessionRecord): Promise<Assignment> {
    const { orchestrator, store, clock, limits } = this.deps;
    try {
      const { body } = await orchestrator.call(orchestratorRoutes.assign, { body: { sessionId, request, tenant } });
      return body;
    } catch (error) {
      if (!(error instanceof Problem && refusals.includes(error.type))) {
        const end: End = { reason: "no-capacity", detail: "The orchestrator did not answer." };
        const { status } = await this.#change(sessionId, () => ({ type: "failed", end }));
        // It may be granted yet: the request can outlive our patience.
        await store.oweWithdrawal(sessionId, clock.now() + limits.intentMs);
        throw status === "ENDED" ? endedMeanwhile() : asUnavailable(error);
      }
      await store.discard(sessionId);
      const errors = error.extra.errors?.map(({ field, message }) => ({
        field: field.replace(/^request\./, ""),
        message,
      }));
      throw new Problem(error.type, error.detail, { errors, quota: error.extra.quota, cause: error });
    }
  }

  async #credentials({ sessionId }: SessionRecord): Promise<Credentials> {
    try {
      return await this.#streamUrl(sessionId);
    } catch (error) {
      const end: End = { reason: "stream-failed", detail: "The streaming service did not answer." };
      const { status } = await this.#change(sessionId, () => ({ type: "failed", end }));
      // Ended by somebody else meanwhile, it was withdrawn before it had its seat.
      await this.deps.store.oweWithdrawal(sessionId, this.deps.clock.now());
      throw status === "ENDED" ? endedMeanwhile() : asUnavailable(error);
    }
  }

  async #streamUrl(sessionId: string): Promise<Credentials> {
    const { body } = await this.deps.streaming.call(streamingRoutes.streamUrl, { params: { sessionId } });
    return body;
  }

  async #eventOfSeat(session: SessionRecord): Promise<SessionEvent | null> {
    const { orchestrator } = this.deps;
    const { sessionId, seat } = session;
    const placement = await orNull(orchestrator.call(orchestratorRoutes.getPlacement, { params: { sessionId } }));
    if (placement !== null) return eventOfPlacement(session, placement.body);
    const vm: { body: Vm } | null =
      seat && (await orNull(orchestrator.call(orchestratorRoutes.getVm, { params: { vmId: seat.vmId } })));
    return eventOfNoPlacement(session, vm?.body ?? null);
  }

  /** Decides on the newest record until the decision is stored; a decision the table does not allow changes nothing. */
  async #change(sessionId: string, decide: (session: SessionRecord) => SessionEvent | null): Promise<SessionRecord> {
    for (let attempt = 0; attempt < conflictsMax; attempt++) {
      const session = await this.#visible(sessionId, null);
      const event = decide(session);
      const changed = event === null ? session : await this.#commit(session, event);
      if (changed !== "conflict") return changed;
    }
    throw new Problem("unavailable", "The session changes too fast: ask again.");
  }

  async #commit(session: SessionRecord, event: SessionEvent): Promise<SessionRecord | "conflict"> {
    const { store, clock, metrics, log } = this.deps;
    const next = advance(session, event, clock.now());
    if (next === null || repeats(session, next)) return session;
    if (!(await store.commit(next, this.#timers(next)))) return "conflict";
    metrics.changed(session, next);
    const { sessionId, status, end } = next;
    if (status !== session.status) log.info({ sessionId, from: session.status, to: status, end }, "session changed");
    if (next.owesWithdraw) await this.#withdrawAtOnce(sessionId);
    return next;
  }

  async #withdrawAtOnce(sessionId: string): Promise<void> {
    try {
      await this.withdraw(sessionId, AbortSignal.timeout(withdrawAtOnceMsMax));
    } catch (error) {
      this.deps.log.warn({ err: error, sessionId }, "the session's seat could not be given back yet");
    }
  }

  #timers(session: SessionRecord): Timers {
    const now = this.deps.clock.now();
    return {
      deadlineAt: deadlineOf(session, this.deps.limits)?.at ?? null,
      checkAt: checkAt(session, now, this.deps.limits),
      withdrawAt: session.owesWithdraw ? now + withdrawAtOnceMsMax : null,
    };
  }
}

/** What the orchestrator may refuse a session for; anything else it answers is a failure of ours, not of the caller's. */
const refusals: readonly ProblemType[] = [
  "invalid-request",
  "no-free-seat",
  "capacity-exhausted",
  "rate-limited",
  "quota-exceeded",
];

const endedMeanwhile = () => new Problem("illegal-transition", "The session was ended before it was ready.");

const asUnavailable = (error: unknown): Problem =>
  error instanceof Problem && error.type === "unavailable"
    ? error
    : new Problem("unavailable", "The session could not be set up: try again.", { cause: error });

/** Whether only the version would change: the same thing reported twice. */
const repeats = (before: SessionRecord, after: SessionRecord): boolean =>
  before.status === after.status &&
  before.seat === after.seat &&
  before.queue === after.queue &&
  before.joinedAt === after.joinedAt;

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Problem && error.type === "not-found") return null;
    throw error;
  }
}
