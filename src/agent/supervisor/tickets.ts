// Who may join a session: a genuine ticket once, afterwards whoever holds the session's newest resume secret.
//
// Ingest has checked a ticket's signature and expiry and is stateless; "once" is decided here, on the only machine the
// session runs on. A `jti` is remembered until its expiry, and at least for a ticket's longest life by our own clock,
// so that a VM whose clock is wrong is no less strict. When too many are remembered, further tickets are refused.
//
// A resume secret is 256 random bits, kept as its hash, and replaced at each signalling join. The one it replaced stays
// good until the new one was seen to arrive (`confirm`, or its use): the answer that carries it may be lost with the
// very link whose loss made the player resume, and the player must not lose the session for that. A ticket join ends
// what was before it at once.
import { createHash, timingSafeEqual } from "node:crypto";

export const ticketLimits = { jtisMax: 10_000, ticketLifeMsMax: 120_000, resumeBytes: 32 } as const;

export class UsedTickets {
  readonly #forgetAtMs = new Map<string, number>();

  /** True the first time; false for a replay, and when the memory is full. `expiresAtSeconds`: Unix time. */
  consume(jti: string, expiresAtSeconds: number, nowMs: number): boolean {
    if (this.#forgetAtMs.has(jti)) return false;
    if (this.#forgetAtMs.size >= ticketLimits.jtisMax) this.#forgetExpired(nowMs);
    if (this.#forgetAtMs.size >= ticketLimits.jtisMax) return false;
    this.#forgetAtMs.set(jti, Math.max(expiresAtSeconds * 1000, nowMs + ticketLimits.ticketLifeMsMax));
    return true;
  }

  get size(): number {
    return this.#forgetAtMs.size;
  }

  #forgetExpired(nowMs: number): void {
    for (const [jti, forgetAtMs] of this.#forgetAtMs) if (forgetAtMs <= nowMs) this.#forgetAtMs.delete(jti);
  }
}

/** The resume secret of one session. */
export class ResumeSecret {
  #current: Buffer | null = null;
  #replaced: Buffer | null = null;

  constructor(private readonly random: (bytes: number) => Buffer) {}

  /** After a ticket: the first secret, or one that ends all earlier ones. */
  issue(): string {
    const secret = this.random(ticketLimits.resumeBytes).toString("base64url");
    this.#current = hash(secret);
    this.#replaced = null;
    return secret;
  }

  /** After a signalling join by resume: the next secret, or null when `presented` is not good. */
  rotate(presented: string): string | null {
    const given = hash(presented);
    const isCurrent = matches(given, this.#current);
    if (!isCurrent && !matches(given, this.#replaced)) return null;
    const replaced = isCurrent ? this.#current : this.#replaced;
    const secret = this.issue();
    this.#replaced = replaced;
    return secret;
  }

  /** Whether `presented` is good now; changes nothing but that a use of the newest confirms it. */
  check(presented: string): boolean {
    if (!this.isNewest(presented)) return matches(hash(presented), this.#replaced);
    this.confirm();
    return true;
  }

  isNewest(presented: string): boolean {
    return matches(hash(presented), this.#current);
  }

  /** The newest secret has reached the player. */
  confirm(): void {
    this.#replaced = null;
  }
}

const hash = (secret: string): Buffer => createHash("sha256").update(secret).digest();

const matches = (given: Buffer, stored: Buffer | null): boolean => stored !== null && timingSafeEqual(given, stored);
