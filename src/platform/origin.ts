// Where a request may come from: pages of our own origin, and hosts that are our names.
import type { FastifyRequest } from "fastify";
import { Problem } from "../contracts/problems.js";
import type { ListenConfig } from "./config.js";

/**
 * A page of another site must neither act through our cookie (CSRF) nor reach a loopback server by DNS rebinding.
 * @throws Problem forbidden
 */
export function checkOrigin(request: FastifyRequest, config: ListenConfig): void {
  const publicUrl = config.publicUrl === undefined ? undefined : new URL(config.publicUrl);
  const loopback = ["127.0.0.1", "localhost", "[::1]"];
  const hosts = [...loopback, config.host, ...(publicUrl === undefined ? [] : [publicUrl.hostname])];
  const wildcard = config.host === "0.0.0.0" || config.host === "::";
  const hostname = request.host.replace(/:\d+$/, "");
  if (!wildcard && !hosts.includes(hostname))
    throw new Problem("forbidden", `This server is not ${hostname}: set its publicUrl if that is its name.`);
  const { origin } = request.headers;
  if (origin === undefined || (request.method === "GET" && request.headers.upgrade === undefined)) return;
  const own = origin === `http://${request.host}` || origin === `https://${request.host}`;
  if (
    !own &&
    origin !== publicUrl?.origin &&
    !config.allowedOrigins.some((allowed) => new URL(allowed).origin === origin)
  )
    throw new Problem("forbidden", `Pages of ${origin} may not act here: add it to allowedOrigins if they should.`);
}
