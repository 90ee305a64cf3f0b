// A route is described once, here: the server registers it, the typed client calls it, OpenAPI documents it, and the
// trust test drives every kind of caller against it.
import type * as z from "zod";

/**
 * Who may call (DESIGN.md, "Trust"). The first four are API-key scopes; `agent` is a VM's short-lived JWT and reaches
 * only its own `:vmId`; `bootstrap` is that VM's single-use token; `player` is a ticket for its own `:sessionId`.
 * `anyone` needs no credential.
 */
export const callers = ["operate", "session", "read", "service", "agent", "bootstrap", "player", "anyone"] as const;
export type CallerKind = (typeof callers)[number];

export const routeLimits = {
  /** Of one API key, cookie, agent or ticket; of one address where nothing is proved. */
  requestsPer10sMax: 2_000,
} as const;

export interface Route {
  readonly method: "GET" | "POST" | "DELETE";
  /** Fastify's form: `/api/orchestrator/v1/vm/:vmId`. */
  readonly path: string;
  readonly operationId: string;
  readonly tag: "orchestrator" | "streaming" | "session" | "platform";
  readonly summary: string;
  readonly callers: readonly CallerKind[];
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Answers have a `version` and carry it as their ETag; a GET takes If-None-Match, a write If-Match. */
  readonly versioned?: true;
  /** Success answers by status. Problems are documented for every route alike. */
  readonly responses: Readonly<Record<number, { readonly description: string; readonly schema: z.ZodType }>>;
}

/** Keeps the literal types of a route, so that handlers and the client infer theirs from it. */
export const route = <const R extends Route>(definition: R): R => definition;

/**
 * Whether a call may carry an Idempotency-Key: POSTs on VMs and sessions. Those of agents alone need none (they are
 * level-triggered), nor does what only hands out credentials.
 */
export const takesIdempotencyKey = ({ method, tag, callers: who }: Route): boolean =>
  method === "POST" &&
  (tag === "orchestrator" || tag === "session") &&
  who.some((kind) => kind === "operate" || kind === "session" || kind === "service");

type InferOr<S, Otherwise> = S extends z.ZodType ? z.output<S> : Otherwise;
type InputOr<S, Otherwise> = S extends z.ZodType ? z.input<S> : Otherwise;

/** What a handler is given, parsed. */
export interface RouteRequest<R extends Route> {
  readonly params: InferOr<R["params"], Record<string, never>>;
  readonly query: InferOr<R["query"], Record<string, never>>;
  readonly body: InferOr<R["body"], undefined>;
}

/** What a client sends, before defaults are filled in. */
export interface RouteCall<R extends Route> {
  readonly params?: InputOr<R["params"], never>;
  readonly query?: InputOr<R["query"], never>;
  readonly body?: InputOr<R["body"], never>;
}

/** `{ status, body }` for each documented success answer. */
export type RouteAnswer<R extends Route> = {
  [S in keyof R["responses"] & number]: {
    readonly status: S;
    readonly body: z.output<R["responses"][S]["schema"]>;
  };
}[keyof R["responses"] & number];
