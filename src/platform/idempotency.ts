// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a call that is repeated with its key is answered as the
// first time, and done once.
//
// Guarantees, for 24 h: a final answer (a success, or a problem that asking again cannot mend) is kept and replayed; a
// call that failed otherwise, or whose process died, may be repeated, and is given the same `effectId`, from which its
// handler derives the ids of what it makes: so the effect is not doubled even where it took place unanswered. The row
// that carries it is durable before the work begins. Not kept: what a route withholds (tickets), which is made anew.
import { createHash, randomUUID } from "node:crypto";
import { Problem, problemTypes } from "../contracts/problems.js";
import {
  type Answer,
  claimCall,
  findCall,
  forgetCalls,
  giveClaimBack,
  type KeptCall,
  type KeyedCall,
  keepAnswer,
} from "./answer-store.js";
import type { Caller } from "./auth.js";
import type { Clock } from "./clock.js";
import type { Database } from "./database.js";
import type { Log } from "./log.js";

const keptMs = 24 * 3_600_000;
/** Longer than any handler takes: then its process has died. */
const claimMs = 30_000;
const answerBytesMax = 64 * 1024;
const forgetEveryMs = 10 * 60_000;
const forgetCallsMax = 20_000;

export type Begun =
  | { readonly kind: "again"; readonly answer: Answer }
  | {
      readonly kind: "first";
      /** Names what this call makes, however often it is tried. */
      readonly effectId: string;
      /** Never throws: the work is done, and says so even if that cannot be kept. */
      keep(answer: Answer): Promise<void>;
      giveBack(): Promise<void>;
    };

export class Answers {
  #forgotAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly db: Database,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** @throws Problem key-reused, in-progress; unavailable: nothing was done. */
  async begin(call: KeyedCall): Promise<Begun> {
    const nowMs = this.clock.now();
    const keptSince = new Date(nowMs - keptMs);
    await this.#forget(nowMs, keptSince);
    const claim = randomUUID();
    const effectId = await claimCall(this.db, call, {
      claim,
      effectId: randomUUID().replaceAll("-", ""),
      now: new Date(nowMs),
      claimedUntil: new Date(nowMs + claimMs),
      keptSince,
    });
    if (effectId === null) return { kind: "again", answer: answerOf(await findCall(this.db, call), call) };
    const attempt = async (what: string, write: () => Promise<void>) => {
      try {
        await write();
      } catch (error) {
        this.log.warn({ err: error, operation: call.operation }, `${what}: its key is free again in ${claimMs} ms`);
      }
    };
    return {
      kind: "first",
      effectId,
      keep: (answer) =>
        attempt("an answer could not be kept", () => {
          if (JSON.stringify(answer.body).length <= answerBytesMax) return keepAnswer(this.db, call, claim, answer);
          throw new Error(`an answer of ${call.operation} is past ${answerBytesMax} bytes`);
        }),
      giveBack: () => attempt("a key could not be given back", () => giveClaimBack(this.db, call, claim)),
    };
  }

  async #forget(nowMs: number, before: Date): Promise<void> {
    if (nowMs - this.#forgotAtMs < forgetEveryMs) return;
    this.#forgotAtMs = nowMs;
    await forgetCalls(this.db, before, forgetCallsMax);
  }
}

function answerOf(kept: KeptCall | null, { fingerprint }: KeyedCall): Answer {
  if (kept !== null && kept.fingerprint !== fingerprint)
    throw new Problem("key-reused", "The key came with another path, body or If-Match before: use a new one.");
  if (kept === null || kept.answer === null)
    throw new Problem("in-progress", "The same call is being answered: ask again in a second.");
  return kept.answer;
}

/** The call a request is; null: it has no key. @throws Problem invalid-request when the header is no key */
export function keyedCall(request: {
  readonly header: string | string[] | undefined;
  readonly caller: Caller;
  readonly operation: string;
  readonly url: string;
  readonly body: unknown;
  readonly ifMatch: string | undefined;
}): KeyedCall | null {
  const { header, operation, url, body, ifMatch } = request;
  const caller = callerName(request.caller);
  if (header === undefined || caller === null) return null;
  const key = typeof header === "string" ? parseKey(header) : null;
  if (key === null)
    throw new Problem("invalid-request", "The Idempotency-Key is not one.", {
      errors: [{ field: "Idempotency-Key", message: "must be 1 to 128 visible ASCII characters, quoted or not" }],
    });
  const told = JSON.stringify([url, canonical(body ?? null), ifMatch ?? null]);
  return { caller, operation, key, fingerprint: createHash("sha256").update(told).digest("hex") };
}

/** The draft's form is a quoted string (RFC 8941); many clients send it bare: `"k"` and `k` are one key. */
export function parseKey(header: string): string | null {
  const quoted = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,128})"$/.exec(header)?.[1];
  if (quoted !== undefined) return quoted.replace(/\\(.)/g, "$1");
  return /^[\x21\x23-\x7e]{1,128}$/.test(header) ? header : null;
}

/** Whether asking the same again would be answered the same. */
export const isFinal = (problem: Problem): boolean => problem.status < 500 && !problemTypes[problem.type].retryable;

function callerName(caller: Caller): string | null {
  if (caller.kind === "agent") return `agent ${caller.vmId}`;
  return "keyId" in caller ? `key ${caller.keyId}` : null;
}

/** The same value for JSON texts that differ in the order of fields alone. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, field]) => [name, canonical(field)]);
}
