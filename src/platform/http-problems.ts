// Errors on their way out: every one becomes an RFC 9457 document, and what is our fault goes to the log.
import type { FastifyReply, FastifyRequest } from "fastify";
import { Problem } from "../contracts/problems.js";
import type { Log } from "./log.js";

export const problemType = "application/problem+json";

export const bodyBytesMax = 64 * 1024;

export const pathOf = (request: FastifyRequest) => request.url.split("?", 1)[0];

export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE")
    return new Problem("too-large", `A body is at most ${bodyBytesMax} bytes.`, { cause: error });
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE")
    return new Problem("unsupported-media-type", undefined, { cause: error });
  const status = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
  if (code.startsWith("FST_ERR_CTP"))
    return new Problem("invalid-request", "The request cannot be read.", { cause: error });
  // The router's and the file server's refusals: an address that names nothing we serve.
  if (status < 500) return new Problem("not-found", "There is nothing at this address.", { cause: error });
  return new Problem("internal", undefined, { cause: error });
}

/** When it may go well by itself; null: unknown, or never. */
function retryAfterSeconds({ type, extra: { quota } }: Problem): number | null {
  if (type === "unavailable" || type === "in-progress") return 1;
  if (quota === undefined || quota.max === 0) return null;
  // Seats come free all the time, sessions end by the hour, and VMs only when somebody ends them.
  return { waiting: 5, sessions: 15, vms: null }[quota.limit];
}

export function answerProblem(problem: Problem, request: FastifyRequest, reply: FastifyReply, log: Log): FastifyReply {
  if (problem.status >= 500) {
    const level = problem.type === "unavailable" ? "warn" : "error";
    log[level]({ err: problem.extra.cause ?? problem, method: request.method, path: pathOf(request) }, problem.message);
  }
  if (problem.type === "unauthenticated") void reply.header("www-authenticate", 'Bearer realm="hotseat"');
  const wait = retryAfterSeconds(problem);
  if (wait !== null) void reply.header("retry-after", String(wait));
  return reply.code(problem.status).type(problemType).send(problem.toDocument());
}
