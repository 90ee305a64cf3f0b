// The HTTP edge, the same for every role: authenticate, authorise by the route's table, parse, answer, and turn every
// error into an RFC 9457 document, in that order. A handler sees only parsed input and throws Problems.
import type { Duplex } from "node:stream";
import cookie from "@fastify/cookie";
import rateLimit from "@fastify/rate-limit";
import websocket from "@fastify/websocket";
import {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from "fastify";
import type * as z from "zod";
import { Problem } from "../contracts/problems.js";
import { readAs } from "../contracts/read-as.js";
import { type Route, type RouteRequest, routeLimits, takesIdempotencyKey } from "../contracts/route.js";
import { type Authenticator, type Caller, cookieName } from "./auth.js";
import type { ListenConfig } from "./config.js";
import { type ExpectedVersions, etagOf, isKnown, parseIfMatch } from "./etag.js";
import { answerProblem, bodyBytesMax, pathOf, problemType, toProblem } from "./http-problems.js";
import { type Answers, isFinal, keyedCall } from "./idempotency.js";
import { ListenError } from "./listen-error.js";
import type { Log } from "./log.js";
import { checkOrigin } from "./origin.js";
import { hashKey } from "./secrets.js";

const requestMsMax = 30_000;
const closingHandshakeMsMax = 500;

declare module "fastify" {
  interface FastifyRequest {
    caller: Caller;
  }
  interface FastifyContextConfig {
    /** Of the contract's route; the pages and sockets have none. */
    operationId?: string;
  }
}

export interface HttpServer {
  readonly app: FastifyInstance;
  readonly authenticator: Authenticator;
  readonly log: Log;
  /** Begun in order by `listen`, once the port is taken; one that throws is a failed start. */
  readonly onceListening: (() => Promise<void>)[];
  /** Where answers are kept by Idempotency-Key; without, the header is not looked at. */
  readonly answers?: Answers;
}

export interface Handled<R extends Route> extends RouteRequest<R> {
  readonly caller: Caller;
  /** If-Match, on routes that are `versioned`. */
  readonly expected: ExpectedVersions;
  /** Of a call with an Idempotency-Key: the same at every try, to derive the ids of what it makes from. */
  readonly effectId: string | null;
  readonly reply: FastifyReply;
  readonly raw: FastifyRequest;
}

/** A server without routes yet: mount roles on it, then `listen`. */
export async function createHttpServer(options: {
  config: ListenConfig;
  authenticator: Authenticator;
  log: Log;
}): Promise<HttpServer> {
  const { config, authenticator, log } = options;
  const app = fastify({
    bodyLimit: bodyBytesMax,
    requestTimeout: requestMsMax,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 200 },
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    // What the router itself refuses (an address that cannot be decoded, an endless id) never reaches a hook.
    frameworkErrors: (error, request, reply) => {
      void answerProblem(toProblem(error), request, reply, log);
    },
  });
  dropUpgradedSocketsOnClose(app);
  app.setErrorHandler((error, request, reply) => answerProblem(toProblem(error), request, reply, log));
  app.setNotFoundHandler((request, reply) =>
    answerProblem(new Problem("not-found", `There is no ${request.method} ${pathOf(request)}.`), request, reply, log),
  );
  parseJsonBodies(app);
  await app.register(cookie);
  await app.register(rateLimit, {
    max: routeLimits.requestsPer10sMax,
    timeWindow: 10_000,
    keyGenerator: budgetOf,
    allowList: (request) => request.caller?.kind === "service",
    errorResponseBuilder: (_request, context) =>
      new Problem("rate-limited", `At most ${context.max} requests per 10 s: try again in ${context.after}.`),
  });
  await app.register(websocket, { options: { maxPayload: bodyBytesMax } });
  app.decorateRequest("caller");
  app.addHook("onRequest", async (request, reply) => {
    void reply.header("x-content-type-options", "nosniff");
    void reply.header("referrer-policy", "no-referrer");
    checkOrigin(request, config);
    request.caller = await identify(request, authenticator);
  });
  return { app, authenticator, log, onceListening: [] };
}

/** A socket that never became a WebSocket, or whose peer does not answer the closing handshake, must not hold us up. */
function dropUpgradedSocketsOnClose(app: FastifyInstance): void {
  const sockets = new Set<Duplex>();
  app.server.on("upgrade", (_request, socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  app.addHook("preClose", async () => {
    setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, closingHandshakeMsMax);
  });
}

/** Returned by a handler that has taken the reply over (a feed). */
export const sent = Symbol("sent");

/** Fields of an answer that are too secret to be kept with its Idempotency-Key: made anew when it is replayed. */
export interface Withheld<R extends Route> {
  readonly fields: readonly string[];
  renew(request: Handled<R>, kept: Readonly<Record<string, unknown>>): Promise<object>;
}

type Handler<R extends Route, S extends keyof R["responses"] & number> = (
  request: Handled<NoInfer<R>>,
) => Promise<{ readonly status: S; readonly body: z.output<R["responses"][S]["schema"]> } | typeof sent>;

/** Registers one route of the contracts. */
export function serve<R extends Route, S extends keyof R["responses"] & number>(
  { app, answers }: HttpServer,
  route: R,
  handle: Handler<R, S>,
  withheld?: Withheld<NoInfer<R>>,
): void {
  app.route({
    method: route.method,
    url: route.path,
    config: { operationId: route.operationId },
    onRequest: async (request) => authorise(route, request),
    handler: async (request, reply) => {
      const handled = {
        params: parsePart(route.params, request.params, "path"),
        query: parsePart(route.query, request.query, "query"),
        body: parsePart(route.body, request.body, "body"),
        caller: request.caller,
        expected: route.versioned ? parseIfMatch(request.headers["if-match"]) : null,
        effectId: null,
        reply,
        raw: request,
      } as Handled<R>;
      const answer =
        answers !== undefined && takesIdempotencyKey(route)
          ? await answerOnce(answers, route, handled, handle, withheld)
          : await handle(handled);
      if (answer === sent) return reply;
      if (route.versioned && isVersioned(answer.body)) {
        void reply.header("etag", etagOf(answer.body.version));
        if (route.method === "GET" && isKnown(request.headers["if-none-match"], answer.body.version))
          return reply.code(304).send();
      }
      void reply.code(answer.status);
      return reply.send(answer.body);
    },
  });
}

const isVersioned = (body: unknown): body is { version: number } =>
  typeof body === "object" && body !== null && "version" in body && typeof body.version === "number";

/** Does the work of a call that has a key once, and answers its repetitions from what is kept (idempotency.ts). */
async function answerOnce<R extends Route, S extends keyof R["responses"] & number>(
  answers: Answers,
  route: R,
  handled: Handled<R>,
  handle: Handler<R, S>,
  withheld: Withheld<R> | undefined,
): Promise<Awaited<ReturnType<Handler<R, S>>>> {
  const { raw, reply, caller } = handled;
  const call = keyedCall({
    header: raw.headers["idempotency-key"],
    caller,
    operation: route.operationId,
    url: raw.url,
    body: raw.body,
    ifMatch: raw.headers["if-match"],
  });
  if (call === null) return handle(handled);
  const begun = await answers.begin(call);
  if (begun.kind === "again") {
    const { status, contentType, body } = begun.answer;
    const kept = body as Record<string, unknown>;
    const renewed = contentType === problemType ? {} : await withheld?.renew(handled, kept);
    void reply.header("idempotency-replayed", "true").type(contentType);
    return { status, body: { ...kept, ...renewed } } as Awaited<ReturnType<Handler<R, S>>>;
  }
  try {
    const answer = await handle({ ...handled, effectId: begun.effectId });
    if (answer !== sent)
      await begun.keep({
        status: answer.status,
        contentType: "application/json; charset=utf-8",
        body: withoutFields(answer.body, withheld?.fields ?? []),
      });
    return answer;
  } catch (error) {
    if (error instanceof Problem && isFinal(error))
      await begun.keep({ status: error.status, contentType: problemType, body: error.toDocument() });
    else await begun.giveBack();
    throw error;
  }
}

const withoutFields = (body: unknown, fields: readonly string[]) =>
  Object.fromEntries(Object.entries(body as object).filter(([name]) => !fields.includes(name)));

/** Listens and begins what waited for it; says in words what is wrong when it cannot. Returns the port taken. */
export async function listen(server: HttpServer, { host, port }: ListenConfig): Promise<number> {
  try {
    await server.app.listen({ host, port });
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const why = listenFailures[code]?.(host, port);
    throw why === undefined ? cause : new ListenError(why, { cause });
  }
  for (const begin of server.onceListening) await begin();
  return boundPort(server) ?? port;
}

const listenFailures: Record<string, (host: string, port: number) => string> = {
  EADDRINUSE: (_, port) => `Port ${port} is in use: stop what uses it, or take another with --port.`,
  EACCES: (_, port) => `Port ${port} needs more rights: take one above 1023 with --port.`,
  EADDRNOTAVAIL: (host) => `This machine has no address ${host}: check --host.`,
};

/** Where processes on this machine reach the server, whatever name browsers use; with its real port once it listens. */
export function ownUrl(server: HttpServer, { host, port }: ListenConfig): string {
  const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return `http://${name}:${boundPort(server) ?? port}`;
}

function boundPort({ app }: HttpServer): number | null {
  const address = app.server.address();
  return typeof address === "object" && address !== null ? address.port : null;
}

/** Parses with a contract's schema. @throws Problem invalid-request naming every wrong field. */
export function parseOr400<S extends z.ZodType>(schema: S, value: unknown, part = "body"): z.output<S> {
  const parsed = readAs(schema, value);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.flatMap((issue) => flattenIssue(issue, []));
  throw new Problem("invalid-request", `The ${part} is wrong: ${errors[0]?.field || part}: ${errors[0]?.message}`, {
    errors,
  });
}

type Issue = z.core.$ZodIssue;

// Of a union, the branch that came closest speaks: its messages name the field, the union's own says nothing.
function flattenIssue(issue: Issue, prefix: PropertyKey[]): { field: string; message: string }[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const closest = issue.errors.reduce((a, b) => (b.length < a.length ? b : a));
    return closest.flatMap((inner) => flattenIssue(inner, path));
  }
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => ({ field: [...path, key].join("."), message: "is not a field of this request" }));
  return [{ field: path.join("."), message: issue.message }];
}

function parsePart(schema: z.ZodType | undefined, value: unknown, part: "path" | "query" | "body"): unknown {
  if (schema !== undefined) {
    // A path parameter that cannot be an id names nothing: 404 like any other unknown id.
    if (part === "path" && !readAs(schema, value).success)
      throw new Problem("not-found", "That id does not have the form of an id.");
    return parseOr400(schema, value, part);
  }
  if (part === "body" && value !== undefined && value !== null && Object.keys(value).length > 0)
    throw new Problem("invalid-request", "This call takes no body.");
  return part === "body" ? undefined : {};
}

async function identify(request: FastifyRequest, authenticator: Authenticator): Promise<Caller> {
  const header = request.headers.authorization;
  if (header !== undefined) {
    const [scheme, token, ...more] = header.split(" ");
    const isBearer = scheme?.toLowerCase() === "bearer" && more.length === 0;
    const caller = isBearer && token ? await authenticator.fromBearer(token) : null;
    if (caller === null) throw new Problem("unauthenticated", "The credential is unknown or has expired.");
    return caller;
  }
  const value = request.cookies[cookieName];
  return (value === undefined ? null : authenticator.fromCookie(value)) ?? { kind: "anyone" };
}

/**
 * Whose requests are counted together: by what the credential proves and never by how it was written, of which there are
 * many ways. By address whoever proved nothing: a cookie, or a bootstrap token, that anybody makes up is no budget of its
 * own.
 */
function budgetOf({ caller, headers, cookies, ip }: FastifyRequest): string {
  switch (caller.kind) {
    case "anyone":
    case "bootstrap":
      return ip;
    case "agent":
      return `agent ${caller.vmId}`;
    case "player":
      return `ticket ${caller.jti}`;
    default:
      return headers.authorization === undefined ? hashKey(cookies[cookieName] ?? "") : `key ${caller.keyId}`;
  }
}

function authorise(route: Route, request: FastifyRequest): void {
  const { caller } = request;
  if (route.callers.includes("anyone")) return;
  if (caller.kind === "anyone") throw new Problem("unauthenticated", "Send an API key: `Authorization: Bearer hs_…`.");
  if (!route.callers.includes(caller.kind))
    throw new Problem(
      "forbidden",
      `This call is for: ${route.callers.join(", ")}; the credential is of kind ${caller.kind}.`,
    );
  const params = request.params as Record<string, string>;
  if (caller.kind === "agent" && params.vmId !== caller.vmId)
    throw new Problem("forbidden", "An agent speaks only for its own VM.");
  if (caller.kind === "player" && params.sessionId !== caller.sessionId)
    throw new Problem("forbidden", "The ticket is for another session.");
}

function parseJsonBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, text, done) => {
    if (text.length === 0) return done(null, undefined);
    try {
      done(null, JSON.parse(text.toString()));
    } catch {
      done(new Problem("invalid-request", "The body is not JSON."));
    }
  });
}
