// The registry of everything that can go wrong on our HTTP surface, as RFC 9457 problem types.
//
// A type is named for what the caller does next, not for where the failure arose. `detail` is public and says what to
// do; internals go to the log. Drivers translate vendor errors at their own edge; HTTP maps problems once.
import * as z from "zod";
import { readAs } from "./read-as.js";
import { quotaLimit } from "./tenants.js";

export const problemTypes = {
  "invalid-request": { status: 400, title: "The request does not have the documented form", retryable: false },
  unauthenticated: { status: 401, title: "A credential is needed", retryable: false },
  forbidden: { status: 403, title: "This credential may not do that", retryable: false },
  "not-found": { status: 404, title: "There is no such thing", retryable: false },
  "illegal-transition": { status: 409, title: "Its state does not allow that now", retryable: false },
  "no-free-seat": { status: 409, title: "The VM has no free seat for this session", retryable: true },
  "game-unavailable": { status: 409, title: "No machine here can run this game", retryable: false },
  "session-elsewhere": { status: 409, title: "The session already has a seat on another VM", retryable: false },
  "agent-fenced": { status: 410, title: "No agent of that launch is wanted any more: end yourself", retryable: false },
  "vm-has-sessions": { status: 409, title: "The VM has live sessions", retryable: false },
  "too-large": { status: 413, title: "The body is too large", retryable: false },
  "unsupported-media-type": { status: 415, title: "Send application/json", retryable: false },
  "in-progress": {
    status: 409,
    title: "The first call with this Idempotency-Key is not answered yet",
    retryable: true,
  },
  "stale-version": { status: 412, title: "It has changed since it was read: read it again", retryable: false },
  "unsupported-version": { status: 426, title: "That version of the protocol is not spoken here", retryable: false },
  "key-reused": { status: 422, title: "This Idempotency-Key belongs to another request", retryable: false },
  "capacity-exhausted": { status: 409, title: "No VM may be made there now", retryable: true },
  "rate-limited": { status: 429, title: "Too many requests", retryable: true },
  "quota-exceeded": { status: 429, title: "The tenant has as many as it may", retryable: true },
  internal: { status: 500, title: "Something broke on our side", retryable: true },
  unavailable: { status: 503, title: "A service this one needs does not answer", retryable: true },
} as const;

export type ProblemType = keyof typeof problemTypes;

/** One wrong field of a request: `field` is its path (`cap.width`), `message` says what it must be. */
export const fieldError = z.object({ field: z.string(), message: z.string() });
export type FieldError = z.infer<typeof fieldError>;

/** What a tenant has, and may have, of what it asked one more of. */
const exceeded = z.object({ limit: quotaLimit, max: z.int(), used: z.int() });

export const problemDocument = z
  .object({
    type: z.string().describe("`urn:hotseat:problem:<name>`"),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    retryable: z.boolean(),
    errors: z.array(fieldError).optional(),
    limit: exceeded.shape.limit.optional().describe("Of quota-exceeded: which limit, with `max` and `used`"),
    max: exceeded.shape.max.optional(),
    used: exceeded.shape.used.optional(),
  })
  .describe("An RFC 9457 problem document")
  .meta({ id: "Problem" });
export type ProblemDocument = z.infer<typeof problemDocument>;

/** Throw it anywhere below a handler: the HTTP edge answers with its document. */
export class Problem extends Error {
  constructor(
    readonly type: ProblemType,
    readonly detail?: string,
    readonly extra: { errors?: FieldError[]; quota?: z.infer<typeof exceeded>; cause?: unknown } = {},
  ) {
    super(`${type}: ${detail ?? problemTypes[type].title}`, { cause: extra.cause });
    this.name = "Problem";
  }

  get status(): number {
    return problemTypes[this.type].status;
  }

  toDocument(): ProblemDocument {
    const { title, status, retryable } = problemTypes[this.type];
    return {
      type: `urn:hotseat:problem:${this.type}`,
      title,
      status,
      retryable,
      ...(this.detail === undefined ? {} : { detail: this.detail }),
      ...(this.extra.errors === undefined ? {} : { errors: this.extra.errors }),
      ...this.extra.quota,
    };
  }
}

const isProblemType = (name: string): name is ProblemType => Object.hasOwn(problemTypes, name);

/** The problem another role answered with, to be thrown on as our own. */
export function problemFromDocument(document: ProblemDocument): Problem {
  const name = document.type.replace("urn:hotseat:problem:", "");
  const quota = readAs(exceeded, document);
  return new Problem(isProblemType(name) ? name : "unavailable", document.detail, {
    errors: document.errors,
    ...(quota.success && { quota: quota.data }),
  });
}
